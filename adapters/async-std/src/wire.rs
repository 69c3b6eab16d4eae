//! What async-h1 reads from and writes to: a connection that shows it only what it can take.

use crate::chunked::Decoder;
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
    /// The server takes no more of the request. It may have said why before it stopped listening.
    deaf: Option<Error>,
}

enum Phase {
    /// What came of the head so far.
    Head(Vec<u8>),
    /// What is to be handed on before anything else is read, how far that is, and what comes after it.
    Body { ready: Vec<u8>, position: usize, rest: Rest },
}

enum Rest {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Wire {
    pub(crate) fn new(io: Io, origin: Origin, idle: Arc<Idle>, exchange: Arc<Exchange>) -> Self {
        Self {
            io: Some(io),
            origin,
            idle,
            exchange,
            phase: Phase::Head(Vec::new()),
            reusable: false,
            deaf: None,
        }
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
        let mut body = bytes.split_off(length);
        let (rest, surplus) = match head.framing {
            Framing::Length(length) => {
                let surplus = body.len() as u64 > length;
                (Rest::Length(length.saturating_sub(body.len() as u64)), surplus)
            }
            Framing::Chunked => {
                let mut decoder = Decoder::new();
                let count = decoder.decode(&mut body).map_err(malformed)?;
                body.truncate(count);
                let surplus = decoder.has_surplus();
                (Rest::Chunked(decoder), surplus)
            }
            Framing::UntilClose => (Rest::UntilClose, false),
        };
        self.reusable = head.keep_alive && !surplus && self.deaf.is_none();
        let length = match head.framing {
            Framing::Length(length) => length,
            // Longer than any: `poll_read` says where it ends.
            Framing::Chunked | Framing::UntilClose => usize::MAX as u64,
        };
        let mut ready = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
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
            match ready!(Pin::new(io).poll_read(cx, &mut piece)) {
                Ok(0) => return Poll::Ready(Err(this.deaf.take().unwrap_or_else(cut_short))),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) => return Poll::Ready(Err(this.deaf.take().unwrap_or(error))),
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
        if *position < ready.len() {
            let count = (ready.len() - *position).min(buffer.len());
            buffer[..count].copy_from_slice(&ready[*position..*position + count]);
            *position += count;
            if *position == ready.len() {
                (*ready, *position) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(count));
        }
        loop {
            let limit = match rest {
                Rest::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len()),
                Rest::Chunked(decoder) if decoder.is_done() => 0,
                _ => buffer.len(),
            };
            if limit == 0 {
                return Poll::Ready(Ok(0));
            }
            let count = ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer[..limit]))?;
            match rest {
                Rest::UntilClose => return Poll::Ready(Ok(count)),
                _ if count == 0 => return Poll::Ready(Err(cut_short())),
                Rest::Length(left) => {
                    *left -= count as u64;
                    return Poll::Ready(Ok(count));
                }
                Rest::Chunked(decoder) => {
                    let count = decoder.decode(&mut buffer[..count]).map_err(malformed)?;
                    self.reusable &= !decoder.has_surplus();
                    if count > 0 {
                        return Poll::Ready(Ok(count));
                    }
                }
            }
        }
    }
}

impl Write for Wire {
    /// Where the server takes no more, the rest of the request goes nowhere, and what it answered is read.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        match ready!(Pin::new(self.io.as_mut().ok_or_else(cut_short)?).poll_write(cx, bytes)) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.deaf = Some(error);
                Poll::Ready(Ok(bytes.len()))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(()));
        }
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
