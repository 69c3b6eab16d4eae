//! A proxy that injects faults between a client and a real server.

mod action;
mod relay;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use action::{Action, Cut, End, ResponseHead};

use crate::connection::Connection;
use crate::direct::split_url;
use crate::front::{After, Front, Service};
use crate::recorded::Recorded;
use crate::sync::lock;

/// A proxy on a free loopback port, which records every request and applies the rule to it. Without
/// a rule it passes everything on.
///
/// It speaks HTTP/1.1. A request is read whole before anything is decided; a response is passed on piece by
/// piece as it comes, live ones included. Requests go to the server on connections of their own, so killing
/// the server breaks the client's connection only while a response is being sent; where the server cannot be
/// reached, the client's connection is reset. When the client leaves, the server's connection is closed.
///
/// Dropping the proxy closes everything. If a rule has panicked, by a failed assertion for instance, the drop panics.
///
/// ```no_run
/// use test_servers::{Action, Proxy, RustServer};
///
/// # fn main() -> std::io::Result<()> {
/// let server = RustServer::start()?;
/// let proxy = Proxy::start(server.url())?;
/// // The first POST is applied, but its answer never arrives.
/// proxy.rule(|request, nth| match (request.method.as_str(), nth) {
///     ("POST", 0) => Action::DropAfter,
///     _ => Action::Pass,
/// });
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    front: Front,
    setup: Arc<Setup>,
}

struct Setup {
    upstream: Mutex<String>,
    rule: Mutex<Arc<Rule>>,
}

type Decide = dyn Fn(&Recorded, usize) -> Action + Send + Sync;

struct Rule {
    decide: Box<Decide>,
    seen: AtomicUsize,
}

impl Rule {
    fn new(decide: impl Fn(&Recorded, usize) -> Action + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { decide: Box::new(decide), seen: AtomicUsize::new(0) })
    }
}

impl Proxy {
    /// A proxy in front of `upstream`, a URL such as [`RustServer::url`](crate::RustServer::url).
    ///
    /// # Errors
    ///
    /// When the URL is not of the form `http://HOST:PORT`, or no port is free.
    pub fn start(upstream: &str) -> io::Result<Self> {
        let setup = Arc::new(Setup {
            upstream: Mutex::new(split_url(upstream)?.0.to_owned()),
            rule: Mutex::new(Rule::new(|_, _| Action::Pass)),
        });
        let front = Front::start(Relay(Arc::clone(&setup)))?;
        Ok(Self { front, setup })
    }

    /// Its address, `http://127.0.0.1:PORT`; the path is passed on as it is.
    #[must_use]
    pub fn url(&self) -> &str {
        self.front.url()
    }

    /// Sends the requests from now on to another server.
    ///
    /// # Errors
    ///
    /// When the URL is not of the form `http://HOST:PORT`.
    pub fn retarget(&self, upstream: &str) -> io::Result<()> {
        split_url(upstream)?.0.clone_into(&mut lock(&self.setup.upstream));
        Ok(())
    }

    /// Replaces the rule for all requests from now on. The number is how many
    /// requests this rule has seen before, whatever their kind: 0 for its first.
    ///
    /// Rules are called on the connections' threads, perhaps at the same time. One that blocks holds up only
    /// its own request.
    pub fn rule(&self, decide: impl Fn(&Recorded, usize) -> Action + Send + Sync + 'static) {
        *lock(&self.setup.rule) = Rule::new(decide);
    }

    /// Passes everything on from now on.
    pub fn pass(&self) {
        self.rule(|_, _| Action::Pass);
    }

    /// Every request received so far, in order of their last byte, those that never reached the server included.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.front.requests()
    }

    /// Forgets the requests received so far.
    pub fn forget_requests(&self) {
        self.front.forget_requests();
    }

    /// Waits until `count` requests are recorded, for at most `timeout`. Returns whether they are.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.front.wait_for_requests(count, timeout)
    }

    /// How many client connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.front.open_connections()
    }

    /// How many client connections there have been.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.front.accepted_connections()
    }

    /// Closes the listener: new connections are refused. Those that are open stay.
    pub fn refuse(&self) {
        self.front.refuse();
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    ///
    /// When another program has taken the port meanwhile.
    pub fn resume(&self) -> io::Result<()> {
        self.front.resume()
    }

    /// Closes (by a FIN) every open client connection as soon as it has no request to answer: most of them now,
    /// but this does not wait.
    pub fn close_idle_connections(&self) {
        self.front.close_idle_connections();
    }

    /// Resets every open client connection, and waits until that is done.
    pub fn kill_connections(&self) {
        self.front.kill_connections();
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let upstream = lock(&self.setup.upstream);
        f.debug_struct("Proxy")
            .field("url", &self.url())
            .field("upstream", &*upstream)
            .finish_non_exhaustive()
    }
}

struct Relay(Arc<Setup>);

impl Service for Relay {
    fn answer(&self, connection: &Arc<Connection>, request: Recorded, _nth: usize) -> After {
        let rule = Arc::clone(&lock(&self.0.rule));
        let nth = rule.seen.fetch_add(1, Ordering::Relaxed);
        let action = (rule.decide)(&request, nth);
        let upstream = lock(&self.0.upstream).clone();
        relay::relay(connection, &request, &upstream, action)
    }
}
