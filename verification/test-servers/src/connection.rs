//! One accepted connection. A thread of its own reads all that arrives, so that the client's leaving is
//! noticed at any time, also while an answer is being awaited or a pause made.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::sync::lock;

/// How often a write that does not get on looks whether the connection has been killed.
const WRITE_CHECK: Duration = Duration::from_millis(50);
/// How long a client may take to close its side after we have closed ours.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    unread: Vec<u8>,
    /// The client has closed or reset its side.
    gone: bool,
    /// The test wants it dead.
    killed: bool,
    /// No further request is to be read.
    closing: bool,
    /// The reading thread has ended, and with it its hold on the socket.
    reader_ended: bool,
    /// Shut down as soon as the client is gone.
    upstream: Option<Arc<TcpStream>>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Fin,
    Reset,
}

impl Connection {
    /// Takes the connection over, and starts to read from it.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Arc<Self>> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_CHECK))?;
        let connection =
            Arc::new(Self { stream, inbox: Mutex::new(Inbox::default()), changed: Condvar::new() });
        let reader = Arc::clone(&connection);
        thread::Builder::new().name("connection reader".into()).spawn(move || reader.read_all())?;
        Ok(connection)
    }

    fn read_all(self: Arc<Self>) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match (&self.stream).read(&mut buffer) {
                Ok(read @ 1..) => {
                    lock(&self.inbox).unread.extend_from_slice(&buffer[..read]);
                    self.changed.notify_all();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        let mut inbox = lock(&self.inbox);
        inbox.gone = true;
        if let Some(upstream) = inbox.upstream.take() {
            shut(&upstream, Shutdown::Both);
        }
        inbox.reader_ended = true;
        drop(inbox);
        self.changed.notify_all();
    }

    /// Whether the client has closed its side, or the connection was killed.
    pub(crate) fn is_over(&self) -> bool {
        let inbox = lock(&self.inbox);
        inbox.gone || inbox.killed
    }

    /// Waits for at most `timeout` for the connection to end. Returns whether it has.
    pub(crate) fn wait_over(&self, timeout: Duration) -> bool {
        self.wait(timeout, |inbox| inbox.gone || inbox.killed)
    }

    /// Waits until the connection is over.
    pub(crate) fn wait_over_forever(&self) {
        while !self.wait_over(Duration::from_secs(3600)) {}
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&Inbox) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut inbox = lock(&self.inbox);
        loop {
            if done(&inbox) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inbox = self.changed.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ties a connection to a server to this one: it is shut down when the client goes.
    pub(crate) fn tie(&self, upstream: &Arc<TcpStream>) {
        let mut inbox = lock(&self.inbox);
        if inbox.gone || inbox.killed {
            shut(upstream, Shutdown::Both);
        } else {
            inbox.upstream = Some(Arc::clone(upstream));
        }
    }

    pub(crate) fn untie(&self) {
        lock(&self.inbox).upstream = None;
    }

    /// Sends everything, however slowly the client reads.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if lock(&self.inbox).killed {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match (&self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the connection end soon, with a reset, whatever its threads are about.
    pub(crate) fn kill(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.killed = true;
        if let Some(upstream) = inbox.upstream.take() {
            shut(&upstream, Shutdown::Both);
        }
        drop(inbox);
        self.changed.notify_all();
    }

    /// Makes the connection end in good order as soon as it is idle.
    pub(crate) fn close_when_idle(&self) {
        lock(&self.inbox).closing = true;
        self.changed.notify_all();
    }

    /// Ends the connection. Once the last handle is dropped after this, the client has seen a FIN, or a
    /// reset, and nothing of both.
    pub(crate) fn end(&self, farewell: Farewell) {
        let killed = lock(&self.inbox).killed;
        if farewell == Farewell::Reset || killed {
            // A socket that is closed with a linger time of zero sends a reset. No shutdown of the sending
            // side before that: it would send a FIN.
            if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
                crate::tools::say(&format!("cannot make a connection end with a reset: {error}"));
            }
        } else {
            shut(&self.stream, Shutdown::Write);
            self.wait_over(FAREWELL);
        }
        // Sends nothing; wakes the reader, which holds the socket open.
        shut(&self.stream, Shutdown::Read);
        self.wait(FAREWELL, |inbox| inbox.reader_ended);
    }
}

/// Reads what a connection's thread has read.
pub(crate) struct Incoming {
    connection: Arc<Connection>,
    buffer: Vec<u8>,
    consumed: usize,
}

impl Incoming {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, buffer: Vec::new(), consumed: 0 }
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.consumed == self.buffer.len() {
            self.buffer.clear();
            self.consumed = 0;
            let connection = &self.connection;
            let mut inbox = lock(&connection.inbox);
            while inbox.unread.is_empty() && !inbox.gone && !inbox.killed && !inbox.closing {
                inbox = connection.changed.wait(inbox).unwrap_or_else(PoisonError::into_inner);
            }
            if inbox.killed {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            std::mem::swap(&mut inbox.unread, &mut self.buffer);
        }
        Ok(&self.buffer[self.consumed..])
    }

    fn consume(&mut self, amount: usize) {
        self.consumed += amount;
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Whether a read or write only ran into its time limit.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Shuts a socket down. One that the other side has closed already needs none, so a failure is expected.
pub(crate) fn shut(stream: &TcpStream, how: Shutdown) {
    stream.shutdown(how).unwrap_or_default();
}
