//! surf's backend: which connection a request takes, and what becomes of it.

use crate::connect::{Io, Origin};
use crate::wire::{Exchange, Wire};
use async_trait::async_trait;
use durable_streams_contract::{TransportError, TransportErrorKind};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use surf::http::{Error, Request, Response, StatusCode};

/// How many idle connections are kept for one origin, and how long.
const MAX_IDLE: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The connections that wait for a request.
#[derive(Debug, Default)]
pub(crate) struct Idle(Mutex<HashMap<Origin, Vec<(Io, Instant)>>>);

impl Idle {
    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Vec<(Io, Instant)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, origin: Origin, io: Io) {
        let mut idle = self.lock();
        idle.retain(|_, list| {
            list.retain(|(_, since)| since.elapsed() < IDLE_TIME);
            !list.is_empty()
        });
        let list = idle.entry(origin).or_default();
        if list.len() < MAX_IDLE {
            list.push((io, Instant::now()));
        }
    }

    /// The one that was used last, if it is still good.
    fn take(&self, origin: &Origin) -> Option<Io> {
        let mut idle = self.lock();
        let list = idle.get_mut(origin)?;
        while let Some((mut io, since)) = list.pop() {
            if since.elapsed() < IDLE_TIME && io.is_quiet() {
                return Some(io);
            }
        }
        None
    }
}

/// One connection for each exchange at a time. It goes back only when the response was read to its end, so that
/// nothing is left on it.
#[derive(Debug)]
pub(crate) struct Connections {
    idle: Arc<Idle>,
    connect_timeout: Duration,
}

impl Connections {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self { idle: Arc::default(), connect_timeout }
    }

    async fn connection(&self, origin: &Origin) -> Result<Io, TransportError> {
        if let Some(io) = self.idle.take(origin) {
            return Ok(io);
        }
        match async_std::future::timeout(self.connect_timeout, origin.connect()).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::new(TransportErrorKind::Timeout)
                .with_sent(durable_streams_contract::Sent::No)
                .with_message(format!("no connection within {:?}", self.connect_timeout))),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let origin = Origin::of(request.url())?;
        let exchange = request.ext().get::<Arc<Exchange>>().cloned();
        let exchange = exchange.unwrap_or_else(|| Arc::new(Exchange::new(false)));
        let io = self.connection(&origin).await?;
        let wire = Wire::new(io, origin, Arc::clone(&self.idle), exchange);
        async_h1::connect(wire, request).await.map_err(|error| match error.downcast::<std::io::Error>() {
            Ok(error) => classify(error, TransportErrorKind::Closed),
            Err(error) => TransportError::new(TransportErrorKind::Malformed).with_message(error.to_string()),
        })
    }
}

#[async_trait]
impl surf::HttpClient for Connections {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        // The transport takes the error out again.
        self.exchange(request).await.map_err(|error| Error::new(StatusCode::BadGateway, error))
    }
}

/// What an error on an open connection means; `cut_short` is the kind for its end.
pub(crate) fn classify(error: std::io::Error, cut_short: TransportErrorKind) -> TransportError {
    let kind = match error.kind() {
        ErrorKind::UnexpectedEof => cut_short,
        ErrorKind::InvalidData | ErrorKind::InvalidInput => TransportErrorKind::Malformed,
        ErrorKind::TimedOut => TransportErrorKind::Timeout,
        _ => TransportErrorKind::Closed,
    };
    TransportError::new(kind).with_message(error.to_string()).with_source(error)
}
