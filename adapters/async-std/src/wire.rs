//! What async-h1 reads from and writes to: a connection that shows it only what it can take.

use crate::connect::{Io, Origin};
use crate::connections::Idle;
use crate::head::{Framing, Head, Parsed, parse};
use async_std::io::{Read, Write};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// What the two ends of an exchange, on both sides of surf, tell each other.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Whether the request is a HEAD.
    pub(crate) bodiless: bool,
    head: Mutex<Option<Head>>,
    finished: AtomicBool,
}

impl Exchange {
    pub(crate) fn new(bodiless: bool) -> Self {
        Self { bodiless, head: Mutex::default(), finished: AtomicBool::new(false) }
    }

    pub(crate) fn take_head(&self) -> Option<Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body was read to its end: the connection may serve another request.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }
}

pub(crate) struct Wire {
    /// Taken when it is dropped.
    io: Option<Io>,
    origin: Origin,
    idle: Arc<Idle>,
    exchange: Arc<Exchange>,
    phase: Phase,
    /// Whether another response may follow on this connection.
    reusable: bool,
}

enum Phase {
    /// What came of the head so far.
    Head(Vec<u8>),
    /// What is to be handed on before anything else is read, how far that is, and what comes after it.
    Body { ready: Vec<u8>, position: usize, rest: Rest },
}

#[derive(Clone, Copy)]
enum Rest {
    Length(u64),
    /// async-h1 sleeps for ever when the last line's CR comes without its LF: a CR at the end is held back.
    Chunked {
        held: bool,
    },
    UntilClose,
}

impl Wire {
    pub(crate) fn new(io: Io, origin: Origin, idle: Arc<Idle>, exchange: Arc<Exchange>) -> Self {
        Self { io: Some(io), origin, idle, exchange, phase: Phase::Head(Vec::new()), reusable: false }
    }

    /// Takes the head out of what came, once it is whole, and puts one in its place that holds the framing alone.
    fn read_head(&mut self) -> Result<()> {
        let Phase::Head(bytes) = &mut self.phase else { return Ok(()) };
        let (head, length) = loop {
            match parse(bytes, self.exchange.bodiless).map_err(malformed)? {
                Parsed::Partial => return Ok(()),
                Parsed::Early(length) => drop(bytes.drain(..length)),
                Parsed::Final(head, length) => break (head, length),
            }
        };
        let body = bytes.split_off(length);
        let (line, rest) = match head.framing {
            Framing::Length(length) => {
                (format!("content-length: {length}"), Rest::Length(length.saturating_sub(body.len() as u64)))
            }
            Framing::Chunked => ("transfer-encoding: chunked".to_owned(), Rest::Chunked { held: false }),
            // Longer than any: the end of the connection comes first.
            Framing::UntilClose => (format!("content-length: {}", i64::MAX), Rest::UntilClose),
        };
        let surplus = matches!(head.framing, Framing::Length(length) if (body.len() as u64) > length);
        self.reusable = head.keep_alive && !surplus;
        let mut ready = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n").into_bytes();
        ready.extend_from_slice(&body);
        *self.exchange.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        self.phase = Phase::Body { ready, position: 0, rest };
        Ok(())
    }
}

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn cut_short() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the connection ended before the response did")
}

impl Read for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        while let Phase::Head(bytes) = &mut this.phase {
            let io = this.io.as_mut().ok_or_else(cut_short)?;
            let mut piece = [0; 8 * 1024];
            match ready!(Pin::new(io).poll_read(cx, &mut piece))? {
                0 => return Poll::Ready(Err(cut_short())),
                count => bytes.extend_from_slice(&piece[..count]),
            }
            this.read_head()?;
        }
        this.poll_body(cx, buffer)
    }
}

impl Wire {
    fn poll_body(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let io = self.io.as_mut().ok_or_else(cut_short)?;
        let Phase::Body { ready, position, rest } = &mut self.phase else {
            return Poll::Ready(Err(cut_short()));
        };
        loop {
            let mut count = 0;
            if let Rest::Chunked { held: true } = rest {
                if buffer.len() < 2 {
                    *rest = Rest::Chunked { held: false };
                    buffer.fill(b'\r');
                    return Poll::Ready(Ok(buffer.len()));
                }
                buffer[0] = b'\r';
                count = 1;
            }
            let waiting = &ready[*position..];
            let read = if waiting.is_empty() {
                let limit = match rest {
                    Rest::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len()),
                    _ => buffer.len(),
                };
                if limit == 0 {
                    return Poll::Ready(Ok(0));
                }
                match (ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer[count..limit]))?, &mut *rest) {
                    (0, Rest::UntilClose) => return Poll::Ready(Ok(0)),
                    (0, _) => return Poll::Ready(Err(cut_short())),
                    (read, Rest::Length(left)) => {
                        *left -= read as u64;
                        read
                    }
                    (read, _) => read,
                }
            } else {
                let read = waiting.len().min(buffer.len() - count);
                buffer[count..count + read].copy_from_slice(&waiting[..read]);
                *position += read;
                if *position == ready.len() {
                    (*ready, *position) = (Vec::new(), 0);
                }
                read
            };
            count += read;
            if let Rest::Chunked { held } = rest {
                *held = count > 0 && buffer.len() > 1 && buffer[count - 1] == b'\r';
                count -= usize::from(*held);
            }
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(self.io.as_mut().ok_or_else(cut_short)?).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.io.as_mut().ok_or_else(cut_short)?).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.io.as_mut().ok_or_else(cut_short)?).poll_close(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let finished = self.exchange.finished.load(Ordering::Acquire);
        if let Some(io) = self.io.take().filter(|_| self.reusable && finished) {
            self.idle.put(self.origin.clone(), io);
        }
    }
}
