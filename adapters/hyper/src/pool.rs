//! The connections that wait for requests, and the rules for them.
//!
//! A connection of HTTP/1.1 serves one exchange at a time, and comes back only when its response was read to the end. A
//! connection of HTTP/2 is shared by its exchanges. There is no task: a connection is looked at when it is taken out and when it
//! comes back. So a connection that its server closed while it was idle keeps its descriptor (in the state `CLOSE_WAIT`)
//! until the next request to its origin, or the next return of any connection after its time.

use crate::http1;
#[cfg(feature = "http2")]
use crate::http2;
use crate::origin::Origin;
use crate::sync::lock;
use std::collections::HashMap;
#[cfg(feature = "http2")]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How many connections a transport keeps, and how long.
///
/// ```
/// use durable_streams_hyper::PoolLimits;
/// use std::time::Duration;
///
/// let limits = PoolLimits::default().with_idle_time(Duration::from_secs(20));
/// assert_eq!(limits.max_idle, 32);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolLimits {
    /// Most idle connections of one origin. Default: 32.
    pub max_idle: usize,
    /// Longest time that a connection waits for its next request. It should be less than the idle timeout of the server or of the
    /// gateway before it. Default: 50 s.
    pub idle_time: Duration,
    /// The age at which a connection takes no more requests, so that a change of the name's addresses is noticed. Default:
    /// 10 min.
    pub max_age: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { max_idle: 32, idle_time: Duration::from_secs(50), max_age: Duration::from_secs(600) }
    }
}

impl PoolLimits {
    /// Sets [`max_idle`](Self::max_idle).
    #[must_use]
    pub fn with_max_idle(mut self, max_idle: usize) -> Self {
        self.max_idle = max_idle;
        self
    }

    /// Sets [`idle_time`](Self::idle_time).
    #[must_use]
    pub fn with_idle_time(mut self, idle_time: Duration) -> Self {
        self.idle_time = idle_time;
        self
    }

    /// Sets [`max_age`](Self::max_age).
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }
}

/// The connections of a transport.
pub(crate) struct Pool {
    limits: PoolLimits,
    origins: Mutex<HashMap<Origin, Connections>>,
}

/// The connections of one origin.
#[derive(Default)]
struct Connections {
    /// A connection that was opened earlier takes no more requests.
    discarded_at: Option<Instant>,
    /// The one that was used last is the last.
    idle: Vec<Idle>,
    #[cfg(feature = "http2")]
    shared: Vec<Shared>,
    /// Held by the exchange that opens a connection which others wait for.
    #[cfg(feature = "http2")]
    opening: Arc<tokio::sync::Mutex<()>>,
    /// What the last connection spoke.
    #[cfg(feature = "http2")]
    speaks_http1: bool,
}

/// A connection that many exchanges use.
///
/// Live reads have connections of their own: they hold streams for long, and their unread data takes up the window of the whole
/// connection.
#[cfg(feature = "http2")]
struct Shared {
    connection: http2::Connection,
    live: bool,
}

struct Idle {
    connection: Box<http1::Connection>,
    since: Instant,
}

impl Connections {
    fn is_in_use(&self) -> bool {
        #[cfg(feature = "http2")]
        if !self.shared.is_empty() || Arc::strong_count(&self.opening) > 1 {
            return true;
        }
        !self.idle.is_empty()
    }
}

/// How long ago `at` was.
fn age(at: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(at)
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self { limits, origins: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Connections>> {
        lock(&self.origins)
    }

    /// Lets no connection that exists now take another request to this origin. Exchanges in progress continue.
    pub(crate) fn discard(&self, origin: &Origin) {
        let mut origins = self.lock();
        let connections = origins.entry(origin.clone()).or_default();
        connections.discarded_at = Some(Instant::now());
        let idle = std::mem::take(&mut connections.idle);
        #[cfg(feature = "http2")]
        connections.shared.clear();
        // Closed outside of the lock.
        drop(origins);
        drop(idle);
    }

    /// The idle connection that was used last, if one is still good.
    pub(crate) fn take_idle(&self, origin: &Origin) -> Option<Box<http1::Connection>> {
        let now = Instant::now();
        loop {
            let Idle { mut connection, since } = self.lock().get_mut(origin)?.idle.pop()?;
            let in_time = age(since, now) < self.limits.idle_time
                && age(connection.opened_at, now) < self.limits.max_age;
            if in_time && connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Takes back a connection that is good for another exchange.
    pub(crate) fn put(&self, origin: &Origin, connection: Box<http1::Connection>) {
        let now = Instant::now();
        let mut expired = Vec::new();
        let mut origins = self.lock();
        let PoolLimits { max_idle, idle_time, max_age } = self.limits;
        origins.retain(|_, connections| {
            expired.extend(connections.idle.extract_if(.., |idle| age(idle.since, now) >= idle_time));
            // Later than that, the connections that were open then are too old in any case.
            connections.is_in_use() || connections.discarded_at.is_some_and(|at| age(at, now) < max_age)
        });
        let connections = origins.entry(origin.clone()).or_default();
        let discarded = connections.discarded_at.is_some_and(|at| connection.opened_at < at);
        let old = age(connection.opened_at, now) >= max_age;
        if !discarded && !old && connections.idle.len() < max_idle {
            connections.idle.push(Idle { connection, since: now });
        }
        // Closed outside of the lock.
        drop(origins);
        drop(expired);
    }
}

#[cfg(feature = "http2")]
impl Pool {
    /// A stream for a live read or for another request, on a shared connection that has one left; with `opened_after`, on one
    /// that is not older.
    pub(crate) fn take_stream(
        &self,
        origin: &Origin,
        live: bool,
        opened_after: Option<Instant>,
    ) -> Option<http2::Stream> {
        let now = Instant::now();
        let mut origins = self.lock();
        let shared = &mut origins.get_mut(origin)?.shared;
        shared.retain(|Shared { connection, .. }| {
            connection.is_open() && age(connection.opened_at, now) < self.limits.max_age
        });
        shared
            .iter()
            .filter(|shared| shared.live == live)
            .filter(|shared| opened_after.is_none_or(|after| shared.connection.opened_at >= after))
            .find_map(|shared| shared.connection.reserve())
    }

    /// The right to open a connection that others wait for.
    pub(crate) fn opening(&self, origin: &Origin) -> Arc<tokio::sync::Mutex<()>> {
        let mut origins = self.lock();
        Arc::clone(&origins.entry(origin.clone()).or_default().opening)
    }

    /// Whether the last connection that was opened spoke HTTP/1.1.
    pub(crate) fn speaks_http1(&self, origin: &Origin) -> bool {
        self.lock().get(origin).is_some_and(|connections| connections.speaks_http1)
    }

    pub(crate) fn set_speaks_http1(&self, origin: &Origin) {
        self.lock().entry(origin.clone()).or_default().speaks_http1 = true;
    }

    /// Adds a connection that others may use.
    pub(crate) fn share(&self, origin: &Origin, connection: http2::Connection, live: bool) {
        let mut origins = self.lock();
        let connections = origins.entry(origin.clone()).or_default();
        connections.speaks_http1 = false;
        connections.shared.push(Shared { connection, live });
    }
}
