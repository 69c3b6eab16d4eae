//! A scripted server: it sends what a test wrote.

mod exchange;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use exchange::Exchange;
pub use stream::{Flag, sse_control, sse_data, stream_headers};

use crate::connection::Connection;
use crate::front::{After, Front, Service};
use crate::recorded::Recorded;

/// A server on a free loopback port whose responses are written by the test, byte for byte if needed. A
/// handler is called for each request, on a thread for each connection.
///
/// Dropping it closes everything. If a handler has panicked, by a failed assertion for instance, the drop panics.
///
/// ```no_run
/// use test_servers::{Flag, Script, stream_headers};
///
/// # fn main() -> std::io::Result<()> {
/// let script = Script::start(|exchange| match exchange.nth() {
///     0 => exchange.respond(503, [("retry-after", "1")], "busy"),
///     1 => exchange.raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
///     _ => exchange.respond(200, stream_headers("0_5", &[Flag::UpToDate]), "whole"),
/// })?;
/// let url = format!("{}/stream", script.url());
/// # Ok(())
/// # }
/// ```
pub struct Script {
    front: Front,
}

impl Script {
    /// Starts a server that answers with `handler`.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn start(handler: impl Fn(&mut Exchange) + Send + Sync + 'static) -> io::Result<Self> {
        Ok(Self { front: Front::start(Handler(handler))? })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.front.url()
    }

    /// Every request received so far, in order of their last byte.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.front.requests()
    }

    /// Clears the recorded requests. [`Exchange::nth`] continues to count.
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

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("url", &self.url()).finish_non_exhaustive()
    }
}

struct Handler<F>(F);

impl<F: Fn(&mut Exchange) + Send + Sync + 'static> Service for Handler<F> {
    fn answer(&self, connection: &Arc<Connection>, request: Recorded, nth: usize) -> After {
        let mut exchange = Exchange::new(Arc::clone(connection), request, nth);
        (self.0)(&mut exchange);
        exchange.after()
    }
}
