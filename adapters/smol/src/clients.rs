//! isahc's clients: which request goes through which, and when one of them ends.

use durable_streams_contract::{Sent, TransportError, TransportErrorKind, TransportOptions};
use isahc::config::{Configurable, ExpectContinue, RedirectPolicy, VersionNegotiation};
use isahc::net::dns::DnsCache;
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
    /// For everything but live reads. Each request has a new connection.
    common: SharedClient,
    /// For requests whose connection may serve another one, if the user allows it.
    reusing: Option<SharedClient>,
    idle: Mutex<Vec<(HttpClient, Instant)>>,
    live: AtomicUsize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        discard(std::mem::take(&mut *lock(&self.idle)));
    }
}

/// A client that many exchanges use at once.
///
/// libcurl notices only at the next byte that an exchange was abandoned, so the client is replaced then: it takes no
/// more requests, and ends with the last of its exchanges, which closes the abandoned ones.
#[derive(Debug)]
struct SharedClient {
    /// How many connections it keeps; `None` for libcurl's default.
    kept: Option<usize>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    /// `None` until the next request.
    client: Option<HttpClient>,
    generation: u64,
}

impl SharedClient {
    fn new(recipe: &Recipe, kept: Option<usize>) -> Result<Self, TransportError> {
        let current = Current { client: Some(recipe.build(kept)?), generation: 0 };
        Ok(Self { kept, current: Mutex::new(current) })
    }

    fn get(&self, recipe: &Recipe) -> Result<(HttpClient, u64), TransportError> {
        let mut current = lock(&self.current);
        let client = match &current.client {
            Some(client) => client.clone(),
            None => current.client.insert(recipe.build(self.kept)?).clone(),
        };
        Ok((client, current.generation))
    }

    /// Replaces the client of this generation, if it was not replaced before.
    fn retire(&self, generation: u64) {
        let mut current = lock(&self.current);
        if current.generation == generation {
            current.generation += 1;
            let client = current.client.take();
            drop(current);
            discard(client.into_iter().map(|client| (client, Instant::now())).collect());
        }
    }

    fn retire_current(&self) {
        let generation = lock(&self.current).generation;
        self.retire(generation);
    }

    fn is_current(&self, generation: u64) -> bool {
        lock(&self.current).generation == generation
    }
}

impl Clients {
    pub(crate) fn new(recipe: Recipe, max_live: usize, reuse: bool) -> Result<Self, TransportError> {
        Ok(Self(Arc::new(Shared {
            max_live,
            common: SharedClient::new(&recipe, Some(0))?,
            reusing: if reuse { Some(SharedClient::new(&recipe, None)?) } else { None },
            recipe,
            idle: Mutex::default(),
            live: AtomicUsize::new(0),
        })))
    }

    pub(crate) fn with_max_live(&self, max_live: usize) -> Result<Self, TransportError> {
        Self::new(self.0.recipe.clone(), max_live, self.0.reusing.is_some())
    }

    pub(crate) fn with_reuse(&self) -> Result<Self, TransportError> {
        Self::new(self.0.recipe.clone(), self.0.max_live, true)
    }

    pub(crate) fn live(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    /// A client for a request that has a new connection.
    pub(crate) fn common(&self) -> Result<Lease, TransportError> {
        self.lease(Kind::Common)
    }

    /// A client for a request that may use the connection of an earlier one, if the user allows that; with `fresh`, of
    /// none before this.
    pub(crate) fn reusing(&self, fresh: bool) -> Result<Lease, TransportError> {
        match &self.0.reusing {
            None => self.common(),
            Some(reusing) => {
                if fresh {
                    reusing.retire_current();
                }
                self.lease(Kind::Reusing)
            }
        }
    }

    /// A client for one request after another on one connection.
    pub(crate) fn single_connection(&self) -> Result<Lease, TransportError> {
        let client = self.0.recipe.build(Some(1))?;
        Ok(Lease { client: Some(client), source: Source::Own, finished: false })
    }

    fn lease(&self, kind: Kind) -> Result<Lease, TransportError> {
        let (client, generation) = self.0.shared(kind).get(&self.0.recipe)?;
        let source = Source::Shared { clients: Arc::clone(&self.0), kind, generation };
        Ok(Lease { client: Some(client), source, finished: false })
    }

    /// A client for one live read; the common client if there are too many already.
    pub(crate) fn lease_live(&self) -> Result<Lease, TransportError> {
        let shared = &self.0;
        let more = |live: usize| (live < shared.max_live).then_some(live + 1);
        if shared.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return self.common();
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
            None => shared.recipe.build(Some(0))?,
        };
        Ok(Lease { client: Some(client), source: Source::Live(counted), finished: false })
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Common,
    Reusing,
}

impl Shared {
    fn shared(&self, kind: Kind) -> &SharedClient {
        match (kind, &self.reusing) {
            (Kind::Reusing, Some(reusing)) => reusing,
            _ => &self.common,
        }
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

/// A client for one exchange. Dropped before [`finish`](Self::finish), the exchange was abandoned: a live client
/// ends, and with it the connection; a shared one ends with the last of its exchanges.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Taken when it is dropped.
    client: Option<HttpClient>,
    source: Source,
    finished: bool,
}

#[derive(Debug)]
enum Source {
    Live(Counted),
    /// No one else's. It ends with this exchange.
    Own,
    Shared {
        clients: Arc<Shared>,
        kind: Kind,
        generation: u64,
    },
}

impl Lease {
    pub(crate) fn client(&self) -> Option<&HttpClient> {
        self.client.as_ref()
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.source, Source::Live(_))
    }

    /// The exchange came to its end: the client is as good as new.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        match &self.source {
            Source::Live(Counted(shared)) => {
                let client = (client, Instant::now());
                let mut ended = Vec::new();
                {
                    let mut idle = lock(&shared.idle);
                    trim(&mut idle, &mut ended);
                    let list = if self.finished && idle.len() < MAX_IDLE { &mut *idle } else { &mut ended };
                    list.push(client);
                }
                discard(ended);
            }
            Source::Own => discard(vec![(client, Instant::now())]),
            Source::Shared { clients, kind, generation } => {
                let shared = clients.shared(*kind);
                if !self.finished {
                    shared.retire(*generation);
                }
                if shared.is_current(*generation) {
                    drop(client);
                } else {
                    // It may be the last of a client that was replaced.
                    discard(vec![(client, Instant::now())]);
                }
            }
        }
    }
}

/// Takes out what was idle for too long: the oldest are first.
fn trim(idle: &mut Vec<(HttpClient, Instant)>, expired: &mut Vec<(HttpClient, Instant)>) {
    let fresh = idle.iter().position(|(_, since)| since.elapsed() < IDLE_TIME).unwrap_or(idle.len());
    expired.extend(idle.drain(..fresh));
}

/// Drops clients where it does not hold up an executor: each drop may join a thread.
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
    /// A client that keeps so many connections; `None` for libcurl's default.
    fn build(&self, kept: Option<usize>) -> Result<HttpClient, TransportError> {
        let mut builder = HttpClient::builder()
            .redirect_policy(RedirectPolicy::None)
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .version_negotiation(VersionNegotiation::http11())
            // A retry resolves the name again: the server may have moved.
            .dns_cache(DnsCache::Disable)
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay();
        if !self.options.environment_proxy {
            builder = builder.proxy(None);
        }
        builder = (self.configure)(builder);
        if let Some(kept) = kept {
            builder = builder.connection_cache_size(kept);
        }
        builder.build().map_err(|error| {
            TransportError::new(TransportErrorKind::Other)
                .with_sent(Sent::No)
                .with_message("isahc could not be set up")
                .with_source(error)
        })
    }
}
