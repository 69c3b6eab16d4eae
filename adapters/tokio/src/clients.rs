//! reqwest's client, and when a new one takes its place.

use crate::sync::lock;
use durable_streams_contract::{Sent, TransportError, TransportErrorKind};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

type Build = dyn Fn() -> reqwest::ClientBuilder + Send + Sync;

/// The client in use. Clones share it.
///
/// reqwest has no way to close idle connections, so a request for a fresh connection replaces the client. The old one ends
/// with its exchanges, and closes the connections that were idle.
#[derive(Clone)]
pub(crate) struct Clients(Arc<Shared>);

struct Shared {
    current: Mutex<Current>,
    /// `None` for a client that was given.
    build: Option<Box<Build>>,
}

struct Current {
    client: reqwest::Client,
    built_at: Instant,
}

impl Clients {
    pub(crate) fn given(client: reqwest::Client) -> Self {
        Self(Arc::new(Shared {
            current: Mutex::new(Current { client, built_at: Instant::now() }),
            build: None,
        }))
    }

    pub(crate) fn built(
        build: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let current = Current { client: build_client(build())?, built_at: Instant::now() };
        Ok(Self(Arc::new(Shared { current: Mutex::new(current), build: Some(Box::new(build)) })))
    }

    pub(crate) fn get(&self) -> reqwest::Client {
        lock(&self.0.current).client.clone()
    }

    /// A client whose connections are opened from now on. A given client is returned as it is.
    pub(crate) fn fresh(&self) -> Result<reqwest::Client, TransportError> {
        let Some(build) = &self.0.build else { return Ok(self.get()) };
        let asked_at = Instant::now();
        // Those that ask at the same time wait here, and share what the first of them builds.
        let mut current = lock(&self.0.current);
        if current.built_at < asked_at {
            let client = build_client(build())?;
            *current = Current { client, built_at: Instant::now() };
        }
        Ok(current.client.clone())
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("is_given", &self.0.build.is_none()).finish()
    }
}

fn build_client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, TransportError> {
    builder.build().map_err(|error| {
        TransportError::new(TransportErrorKind::Other)
            .with_sent(Sent::No)
            .with_message("reqwest could not be set up")
            .with_source(error)
    })
}
