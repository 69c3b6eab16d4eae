use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::reader::position::Unit;
use crate::reader::started::StartedReader;
use crate::reader::views::macros::{status, view};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::task::{Context, Poll, ready};

/// A stream's content as bytes, in order, each once, and no empty pieces.
///
/// From [`ReaderBuilder::bytes`](crate::ReaderBuilder::bytes). On a JSON stream each piece is an array of whole
/// messages. It ends as a [`ChunkIterator`](crate::ChunkIterator) does.
pub struct ByteStream<T = AnyTransport, R = AnyRuntime> {
    reader: StartedReader<T, R>,
}

impl<T, R> ByteStream<T, R> {
    pub(in crate::reader) fn new(reader: StartedReader<T, R>) -> Self {
        Self { reader }
    }

    /// The position after the last piece.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.reader.status().checkpoint
    }

    /// Whether the pieces are arrays of messages.
    pub(in crate::reader) fn is_json(&self) -> bool {
        self.reader.status().unit == Unit::Messages
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.reader
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> ByteStream<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> ByteStream {
        ByteStream { reader: self.reader.into_any() }
    }
}

impl<T: HttpTransport, R: Runtime> ByteStream<T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match ready!(self.reader.poll_chunk(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return Poll::Ready(Some(Ok(chunk.data))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

view!(impl[T: HttpTransport, R: Runtime] ByteStream<T, R> => Bytes);
status!(impl[T, R] ByteStream<T, R>);

impl<T, R> fmt::Debug for ByteStream<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}
