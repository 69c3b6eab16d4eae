//! isahc's clients: which request goes through which, and when one of them ends.

use durable_streams_contract::{Sent, TransportError, TransportErrorKind, TransportOptions};
use isahc::config::{Configurable, ExpectContinue, RedirectPolicy, VersionNegotiation};
use isahc::{HttpClient, HttpClientBuilder};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many live clients wait for the next live read, and how long. Each is a thread; a long-poll that was
/// answered comes back at once.
const MAX_IDLE: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    recipe: Recipe,
    max_live: usize,
    /// Everything else.
    common: HttpClient,
    /// Writes without a body: libcurl sends those again unseen when a used connection breaks, so each
    /// has a new one.
    bare: HttpClient,
    idle: Mutex<Vec<(HttpClient, Instant)>>,
    live: AtomicUsize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        discard(std::mem::take(&mut *lock(&self.idle)));
    }
}

impl Clients {
    pub(crate) fn new(recipe: Recipe, max_live: usize) -> Result<Self, TransportError> {
        Ok(Self(Arc::new(Shared {
            max_live,
            common: recipe.build(None)?,
            bare: recipe.build(Some(0))?,
            recipe,
            idle: Mutex::default(),
            live: AtomicUsize::new(0),
        })))
    }

    pub(crate) fn with_max_live(&self, max_live: usize) -> Result<Self, TransportError> {
        Self::new(self.0.recipe.clone(), max_live)
    }

    pub(crate) fn live(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    pub(crate) fn common(&self) -> Lease {
        Lease { client: self.0.common.clone(), live: None, finished: false }
    }

    pub(crate) fn bare(&self) -> Lease {
        Lease { client: self.0.bare.clone(), live: None, finished: false }
    }

    /// A client for one request; the common client if there are too many already.
    pub(crate) fn lease_live(&self) -> Result<Lease, TransportError> {
        let shared = &self.0;
        let more = |live: usize| (live < shared.max_live).then_some(live + 1);
        if shared.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return Ok(self.common());
        }
        let counted = Counted(Arc::clone(shared));
        let mut expired = Vec::new();
        let idle = {
            let mut idle = lock(&shared.idle);
            trim(&mut idle, &mut expired);
            idle.pop()
        };
        discard(expired);
        let client = match idle {
            Some((client, _)) => client,
            None => shared.recipe.build(Some(1))?,
        };
        Ok(Lease { client, live: Some(counted), finished: false })
    }
}

/// One of the live clients.
#[derive(Debug)]
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A client for one exchange. Dropping it before [`finish`](Self::finish) ends a live client, and with it the
/// connection.
#[derive(Debug)]
pub(crate) struct Lease {
    client: HttpClient,
    live: Option<Counted>,
    finished: bool,
}

impl Lease {
    pub(crate) fn client(&self) -> HttpClient {
        self.client.clone()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// The exchange came to its end: the client is as good as new.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(Counted(shared)) = &self.live else { return };
        // Swapped and not cloned: what is left here to drop must not be the last to hold it.
        let client = (std::mem::replace(&mut self.client, shared.common.clone()), Instant::now());
        let mut ended = Vec::new();
        {
            let mut idle = lock(&shared.idle);
            trim(&mut idle, &mut ended);
            let list = if self.finished && idle.len() < MAX_IDLE { &mut *idle } else { &mut ended };
            list.push(client);
        }
        discard(ended);
    }
}

/// Takes out what was idle for too long: the oldest are first.
fn trim(idle: &mut Vec<(HttpClient, Instant)>, expired: &mut Vec<(HttpClient, Instant)>) {
    let fresh = idle.iter().position(|(_, since)| since.elapsed() < IDLE_TIME).unwrap_or(idle.len());
    expired.extend(idle.drain(..fresh));
}

/// Drops clients where it does not hold up an executor: each drop joins a thread.
fn discard(clients: Vec<(HttpClient, Instant)>) {
    if !clients.is_empty() {
        blocking::unblock(move || drop(clients)).detach();
    }
}

fn lock<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a client is made.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) options: TransportOptions,
    pub(crate) configure: Arc<dyn Fn(HttpClientBuilder) -> HttpClientBuilder + Send + Sync>,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl Recipe {
    fn build(&self, connections: Option<usize>) -> Result<HttpClient, TransportError> {
        let mut builder = HttpClient::builder()
            .redirect_policy(RedirectPolicy::None)
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .version_negotiation(VersionNegotiation::http11())
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay();
        if !self.options.environment_proxy {
            builder = builder.proxy(None);
        }
        builder = (self.configure)(builder);
        if let Some(connections) = connections {
            builder = builder.connection_cache_size(connections);
        }
        builder.build().map_err(|error| {
            TransportError::new(TransportErrorKind::Other)
                .with_sent(Sent::No)
                .with_message("isahc could not be set up")
                .with_source(error)
        })
    }
}
