use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::offset::Offset;
use crate::reader::output::Chunk;
use crate::reader::started::StartedReader;
use crate::reader::views::macros::{status, view};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::task::{Context, Poll};

/// A stream's content, chunk by chunk, in order, each byte once.
///
/// From [`ReaderBuilder::chunks`](crate::ReaderBuilder::chunks). After an error, or the end, there are no more
/// chunks. A reader ends where a closed stream ends; without a [live mode](crate::LiveMode) it ends when it is up to date.
/// [`checkpoint`](Self::checkpoint) is always the position after the last chunk: a new reader from there continues.
///
/// A reader has one request in flight at a time, and a bounded buffer. Dropping it cancels the request.
pub struct ChunkIterator<T = AnyTransport, R = AnyRuntime> {
    reader: StartedReader<T, R>,
}

impl<T, R> ChunkIterator<T, R> {
    pub(in crate::reader) fn new(reader: StartedReader<T, R>) -> Self {
        Self { reader }
    }

    /// The server's last offset at or before the position reached.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        self.reader.status().offset
    }

    /// The position after the last chunk.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.reader.status().checkpoint
    }

    /// The server's last cursor.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.reader.status().cursor
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.reader
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> ChunkIterator<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> ChunkIterator {
        ChunkIterator { reader: self.reader.into_any() }
    }
}

impl<T: HttpTransport, R: Runtime> ChunkIterator<T, R> {
    pub(in crate::reader) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        self.reader.poll_chunk(cx)
    }
}

view!(impl[T: HttpTransport, R: Runtime] ChunkIterator<T, R> => Chunk);
status!(impl[T, R] ChunkIterator<T, R>);

impl<T, R> fmt::Debug for ChunkIterator<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkIterator").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}
