//! A listening HTTP server: accepts, records, and hands each request to a service. The common half of
//! `Proxy` and `Script`.

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Farewell, Incoming};
use crate::message::{BodyFraming, BodyReader, read_request_head};
use crate::port::PortLease;
use crate::recorded::Recorded;
use crate::sync::{lock, wait_until};

/// How long connections may take to end at a shutdown.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens to a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    End(Farewell),
}

/// Answers requests. Called on the connection's thread, for many connections at once.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers `request`, the `nth` of all (the first is 0).
    fn answer(&self, connection: &Arc<Connection>, request: Recorded, nth: usize) -> After;
}

pub(crate) struct Front {
    shared: Arc<Shared>,
    url: String,
    port: PortLease,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    service: Box<dyn Service>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Recorded>,
    received: usize,
    /// Not owned here: a connection counts as open until its socket is closed, which its last owner does.
    connections: HashMap<u64, Weak<Connection>>,
    accepted: u64,
    refusing: bool,
    panics: Vec<String>,
}

impl Front {
    pub(crate) fn start(service: impl Service) -> io::Result<Self> {
        let port = PortLease::new()?;
        let shared = Arc::new(Shared {
            service: Box::new(service),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let url = format!("http://127.0.0.1:{}", port.port());
        let front = Self { shared, url, port, accepting: Mutex::new(None) };
        front.resume()?;
        Ok(front)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.state).requests.clone()
    }

    pub(crate) fn forget_requests(&self) {
        lock(&self.shared.state).requests.clear();
    }

    pub(crate) fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.shared.wait(timeout, |state| state.requests.len() >= count)
    }

    pub(crate) fn open_connections(&self) -> usize {
        lock(&self.shared.state).connections.len()
    }

    pub(crate) fn accepted_connections(&self) -> u64 {
        lock(&self.shared.state).accepted
    }

    /// Closes the listener and waits until that is done.
    pub(crate) fn refuse(&self) {
        let Some(accepting) = lock(&self.accepting).take() else { return };
        lock(&self.shared.state).refusing = true;
        // The listener wakes up for a connection. Where it cannot be made, it is gone already.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.port())));
        if let Err(panic) = accepting.join() {
            self.shared.note_panic(&*panic);
        }
    }

    pub(crate) fn resume(&self) -> io::Result<()> {
        let mut accepting = lock(&self.accepting);
        if accepting.is_some() {
            return Ok(());
        }
        let listener = self.listen()?;
        lock(&self.shared.state).refusing = false;
        let shared = Arc::clone(&self.shared);
        *accepting = Some(thread::spawn(move || shared.accept(&listener)));
        Ok(())
    }

    /// Listens on the port. A process that is just being started may hold the last listener for a moment: it has a copy of every
    /// descriptor until it becomes another program.
    fn listen(&self) -> io::Result<TcpListener> {
        let until = Instant::now() + END_TIMEOUT;
        loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port.port())) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                    thread::sleep(Duration::from_millis(5));
                }
                result => return result,
            }
        }
    }

    /// Resets the connections of now and waits until they are gone.
    pub(crate) fn kill_connections(&self) {
        let killed: Vec<u64> = {
            let state = lock(&self.shared.state);
            state.connections.values().filter_map(Weak::upgrade).for_each(|connection| connection.kill());
            state.connections.keys().copied().collect()
        };
        self.shared
            .wait(END_TIMEOUT, |state| killed.iter().all(|number| !state.connections.contains_key(number)));
    }

    pub(crate) fn close_idle_connections(&self) {
        let state = lock(&self.shared.state);
        state
            .connections
            .values()
            .filter_map(Weak::upgrade)
            .for_each(|connection| connection.close_when_idle());
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.refuse();
        self.kill_connections();
        let panics = std::mem::take(&mut lock(&self.shared.state).panics);
        // An assertion that failed in a handler has to fail the test, and not only a thread.
        if !panics.is_empty() && !thread::panicking() {
            panic!("a rule or handler panicked: {}", panics.join("; "));
        }
    }
}

impl Shared {
    fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        loop {
            if done(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note_panic(&self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        lock(&self.state).panics.push(text.unwrap_or_else(|| "(without a message)".into()));
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if lock(&self.state).refusing {
                return;
            }
            // A failure concerns that connection (gone already), or passes (no file descriptor is left).
            let Ok(connection) = stream.and_then(Connection::new) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let number = {
                let mut state = lock(&self.state);
                let number = state.accepted;
                state.accepted += 1;
                state.connections.insert(number, Arc::downgrade(&connection));
                number
            };
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.serve(number, connection));
        }
    }

    fn serve(&self, number: u64, connection: Arc<Connection>) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_requests(number, &connection)));
        let farewell = served.unwrap_or_else(|panic| {
            self.note_panic(&*panic);
            Farewell::Reset
        });
        connection.end(farewell);
        let closed = Arc::downgrade(&connection);
        drop(connection);
        // The reading thread ends within microseconds.
        wait_until(END_TIMEOUT, || closed.strong_count() == 0);
        lock(&self.state).connections.remove(&number);
        self.changed.notify_all();
    }

    /// Serves one request after another. Returns how the connection must end.
    fn serve_requests(&self, number: u64, connection: &Arc<Connection>) -> Farewell {
        let mut incoming = Incoming::new(Arc::clone(connection));
        loop {
            let (request, last) = match receive(&mut incoming, number, connection) {
                Ok(Some(received)) => received,
                Ok(None) | Err(_) => return Farewell::Fin,
            };
            let nth = {
                let mut state = lock(&self.state);
                state.requests.push(request.clone());
                state.received += 1;
                state.received - 1
            };
            self.changed.notify_all();
            match self.service.answer(connection, request, nth) {
                After::KeepAlive if !last => {}
                After::KeepAlive => return Farewell::Fin,
                After::End(farewell) => return farewell,
            }
        }
    }
}

/// The next request, and whether it is the connection's last.
fn receive(
    incoming: &mut Incoming,
    number: u64,
    connection: &Connection,
) -> io::Result<Option<(Recorded, bool)>> {
    let Some(head) = read_request_head(incoming)? else { return Ok(None) };
    if head.headers.lists("expect", "100-continue") {
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let framing = BodyFraming::of_request(&head.headers)?;
    let mut body = Vec::new();
    BodyReader::new(incoming, framing).read_to_end(&mut body)?;
    let last = head.http_1_0 || head.headers.lists("connection", "close");
    let request = Recorded {
        method: head.method,
        target: head.target,
        headers: head.headers,
        body: body.into(),
        at: Instant::now(),
        connection: number,
    };
    Ok(Some((request, last)))
}
