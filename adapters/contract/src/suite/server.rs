//! A scripted HTTP server on plain threads: it sends the bytes that a check gives it, and records the requests.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case, values byte for byte, in the order of arrival.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    pub(crate) fn is(&self, path: &str) -> bool {
        self.target.split('?').next() == Some(path)
    }
}

/// What the server does with a connection after its response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Keep,
    Close,
}

/// How much of a request's body is read before the script runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    All,
    /// The last byte stays on the wire, so that closing the connection resets it.
    AllButOne,
    Nothing,
}

type Script = dyn Fn(&Received, &mut Connection) -> Result<Then> + Send + Sync;

struct State {
    script: Box<Script>,
    reads: Reads,
    seen: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    gone: AtomicUsize,
    stopped: AtomicBool,
}

/// The server; it stops taking connections when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    pub(crate) fn start<F>(script: F) -> Result<Self>
    where
        F: Fn(&Received, &mut Connection) -> Result<Then> + Send + Sync + 'static,
    {
        Self::reading(Reads::All, script)
    }

    pub(crate) fn reading<F>(reads: Reads, script: F) -> Result<Self>
    where
        F: Fn(&Received, &mut Connection) -> Result<Then> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            script: Box::new(script),
            reads,
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.stopped.load(Ordering::Acquire) {
                    return;
                }
                shared.connections.fetch_add(1, Ordering::AcqRel);
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    // An error here is the client's going away, which `gone` counts.
                    let _ = serve(&state, stream);
                    state.gone.fetch_add(1, Ordering::AcqRel);
                });
            }
        });
        Ok(Self { address, state })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What was received so far.
    pub(crate) fn seen(&self) -> Vec<Received> {
        lock(&self.state.seen).clone()
    }

    pub(crate) fn seen_at(&self, path: &str) -> Vec<Received> {
        self.seen().into_iter().filter(|received| received.is(path)).collect()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    /// How many connections have ended.
    pub(crate) fn gone(&self) -> usize {
        self.state.gone.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread. If that fails, no thread accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Locks `mutex`, also after a check panicked while it held the lock.
pub(super) fn lock<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server's side of one connection.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// The client's address, which tells connections apart.
    pub(crate) fn peer(&self) -> Result<SocketAddr> {
        self.stream.peer_addr()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// A whole response: 200 with a length.
    pub(crate) fn ok(&mut self, body: impl AsRef<[u8]>) -> Result<Then> {
        self.answer(200, "", body)
    }

    /// A whole response; each line of `headers` ends in CRLF.
    pub(crate) fn answer(&mut self, status: u16, headers: &str, body: impl AsRef<[u8]>) -> Result<Then> {
        let body = body.as_ref();
        let mut response =
            format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\n\r\n", body.len())
                .into_bytes();
        response.extend_from_slice(body);
        self.send(response)?;
        Ok(Then::Keep)
    }

    /// Reads what still comes, until the client closes or `limit` has passed.
    pub(crate) fn drain(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        self.stream.set_read_timeout(Some(limit))?;
        let mut piece = [0; 16 * 1024];
        while start.elapsed() < limit && matches!(self.stream.read(&mut piece), Ok(count) if count > 0) {}
        Ok(())
    }

    /// Whether the client closes the connection within `limit`.
    pub(crate) fn closes_within(&mut self, limit: Duration) -> Result<bool> {
        let start = Instant::now();
        self.stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut byte = [0];
        let closed = loop {
            match self.stream.read(&mut byte) {
                Ok(0) => break true,
                Ok(_) => break false,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if start.elapsed() > limit {
                        break false;
                    }
                }
                Err(_) => break true,
            }
        };
        self.stream.set_read_timeout(None)?;
        Ok(closed)
    }
}

fn serve(state: &State, stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    // A buffer would take the byte along that is to stay on the wire.
    let capacity = if state.reads == Reads::All { 8192 } else { 1 };
    let mut reader = BufReader::with_capacity(capacity, stream.try_clone()?);
    let mut connection = Connection { stream };
    while let Some(received) = receive(&mut reader, state.reads)? {
        lock(&state.seen).push(received.clone());
        if (state.script)(&received, &mut connection)? == Then::Close {
            if state.reads != Reads::AllButOne {
                connection.stream.shutdown(Shutdown::Both)?;
            }
            return Ok(());
        }
    }
    Ok(())
}

fn receive(reader: &mut BufReader<TcpStream>, reads: Reads) -> Result<Option<Received>> {
    let Some(line) = line(reader)? else { return Ok(None) };
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed("request line"));
    };
    let mut headers = Vec::new();
    loop {
        let line = self::line(reader)?.ok_or_else(|| malformed("head"))?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| malformed("header"))?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    let mut received =
        Received { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() };
    let text =
        |name: &str| received.values(name).pop().map(|value| String::from_utf8_lossy(&value).into_owned());
    if reads == Reads::Nothing {
        return Ok(Some(received));
    }
    if text("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        received.body = chunked(reader)?;
    } else if let Some(length) = text("content-length").and_then(|value| value.parse::<usize>().ok()) {
        let mut body = vec![0; length.saturating_sub(usize::from(reads == Reads::AllButOne))];
        reader.read_exact(&mut body)?;
        received.body = body;
    }
    Ok(Some(received))
}

fn chunked(reader: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(reader)?.ok_or_else(|| malformed("chunk"))?;
        let size = String::from_utf8_lossy(&size).into_owned();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| malformed("chunk size"))?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// A line without its end; `None` at the end of the connection.
fn line(reader: &mut BufReader<TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while matches!(line.last(), Some(b'\r' | b'\n')) {
        line.pop();
    }
    Ok(Some(line))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed {what}"))
}
