//! What hyper reads from and writes to: a byte stream that counts.

use crate::byte_stream::ByteStream;
use crate::sync::lock;
use durable_streams_contract::UploadProgress;
use futures_lite::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
#[cfg(feature = "http2")]
use std::task::Waker;
use std::task::{Context, Poll, ready};

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// What was written on a connection for the request that it carries now. Shared by the stream, which hyper owns, and the
/// exchange.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    upload: Option<Upload>,
    /// The server takes no more of the request. It may have answered before.
    refused: Option<ErrorKind>,
    #[cfg(feature = "http2")]
    peer: Peer,
}

/// How far the peer's first bytes are.
#[cfg(feature = "http2")]
#[derive(Debug)]
enum Peer {
    /// Nothing has come. Who waits for it.
    Silent(Option<Waker>),
    /// They were handed on. The next read shows that they were processed.
    Read(Option<Waker>),
    Processed,
}

#[cfg(feature = "http2")]
impl Default for Peer {
    fn default() -> Self {
        Self::Silent(None)
    }
}

/// Finds the end of the request's head, and counts what follows it.
#[derive(Debug)]
struct Upload {
    progress: UploadProgress,
    /// How much of the head's end was seen.
    matched: usize,
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

impl Upload {
    fn count(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.matched < END_OF_HEAD.len() {
            let Some((&byte, after)) = rest.split_first() else { return };
            rest = after;
            self.matched = match byte {
                _ if byte == END_OF_HEAD[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
        }
        self.progress.add(rest.len() as u64);
    }
}

impl Written {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Begins a request.
    pub(crate) fn start(&self, progress: Option<UploadProgress>) {
        let upload = progress.map(|progress| {
            progress.start();
            Upload { progress, matched: 0 }
        });
        let mut state = self.lock();
        (state.bytes, state.upload) = (0, upload);
    }

    /// Whether no byte of the request has left.
    pub(crate) fn is_nothing(&self) -> bool {
        self.lock().bytes == 0
    }

    /// Ready once the peer's first bytes were processed: the settings of HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn poll_first_bytes(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.lock().peer {
            Peer::Processed => Poll::Ready(()),
            Peer::Silent(waker) | Peer::Read(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    #[cfg(feature = "http2")]
    fn before_read(&self) {
        let mut state = self.lock();
        if let Peer::Read(waker) = &mut state.peer {
            let waker = waker.take();
            state.peer = Peer::Processed;
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    #[cfg(feature = "http2")]
    fn after_read(&self) {
        let mut state = self.lock();
        if let Peer::Silent(waker) = &mut state.peer {
            state.peer = Peer::Read(waker.take());
        }
    }

    /// The error of a write, after which the connection is of no more use.
    pub(crate) fn refused(&self) -> Option<ErrorKind> {
        self.lock().refused
    }
}

/// A byte stream as hyper takes it.
///
/// A failed write does not end the exchange: the server may have answered before it stopped reading. The rest of the
/// request is dropped, and hyper reads what has arrived.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: ByteStream,
    written: Arc<Written>,
}

impl Wire {
    pub(crate) fn new(stream: ByteStream) -> (Self, Arc<Written>) {
        let written = Arc::new(Written::default());
        (Self { stream, written: Arc::clone(&written) }, written)
    }

    /// The byte stream, when hyper has released it.
    pub(crate) fn into_stream(self) -> ByteStream {
        self.stream
    }

    fn after_write(&self, result: Result<usize>, buffers: &[IoSlice<'_>]) -> Result<usize> {
        let mut state = self.written.lock();
        match result {
            Ok(count) => {
                state.bytes += count as u64;
                let mut left = count;
                if let Some(upload) = &mut state.upload {
                    for buffer in buffers {
                        let part = left.min(buffer.len());
                        upload.count(&buffer[..part]);
                        left -= part;
                    }
                }
                Ok(count)
            }
            Err(error) if is_refusal(error.kind()) && state.bytes > 0 => {
                state.refused = Some(error.kind());
                Ok(buffers.iter().map(|buffer| buffer.len()).sum())
            }
            Err(error) => Err(error),
        }
    }
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        // On the stack: writing into hyper's own buffer needs unsafe code, and a quiet connection holds no buffer.
        #[cfg(feature = "http2")]
        self.written.before_read();
        let mut piece = [0; PIECE];
        let length = cursor.remaining().min(PIECE);
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece[..length]))?;
        #[cfg(feature = "http2")]
        self.written.after_read();
        cursor.put_slice(&piece[..count]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.written.refused().is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.after_write(result, &[IoSlice::new(bytes)]))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.written.refused().is_some() {
            return Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers));
        Poll::Ready(self.after_write(result, buffers))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            Err(error) => Poll::Ready(self.after_write(Err(error), &[]).map(|_| ())),
            Ok(()) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_close(cx)) {
            // The peer has closed the connection already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pieces: &[&[u8]]) -> Option<u64> {
        let progress = UploadProgress::new();
        progress.start();
        let mut upload = Upload { progress: progress.clone(), matched: 0 };
        pieces.iter().for_each(|piece| upload.count(piece));
        progress.sent()
    }

    #[test]
    fn upload_counts_what_follows_the_head() {
        assert_eq!(count(&[b"POST / HTTP/1.1\r\na: b\r\n\r\nbody"]), Some(4));
    }

    #[test]
    fn upload_finds_the_end_of_a_head_in_pieces() {
        assert_eq!(count(&[b"POST /\r\n\r", b"\nbo", b"dy\r\n\r\n!"]), Some(9));
        assert_eq!(count(&[b"a\r\r\n\r\nbody"]), Some(4));
        assert_eq!(count(&[b"a\r\nb"]), Some(0));
    }
}
