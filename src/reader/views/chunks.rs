use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::offset::Offset;
use crate::reader::output::Chunk;
use crate::reader::started::Source;
use crate::reader::views::macros::{status, view};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::task::{Context, Poll};

/// A stream's content, chunk by chunk, in order, each byte once.
///
/// From [`ReaderBuilder::chunks`](crate::ReaderBuilder::chunks). After an error, or the end, nothing more comes.
/// The end is where a closed stream ends, or, without a [live mode](crate::LiveMode), where the reader is up to
/// date. What has been handed out is where [`checkpoint`](Self::checkpoint) points to, whatever happens then: a
/// new reader from there goes on.
///
/// There is one outstanding request at a time, and a bounded buffer. Dropping it cancels the request.
pub struct ChunkIterator<T = AnyTransport, R = AnyRuntime> {
    source: Source<T, R>,
}

impl<T, R> ChunkIterator<T, R> {
    pub(in crate::reader) fn new(source: Source<T, R>) -> Self {
        Self { source }
    }

    /// The server's last offset at or before the position reached.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        self.source.status().offset
    }

    /// The position after the last chunk that was handed out.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.source.status().checkpoint
    }

    /// The server's last cursor.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.source.status().cursor
    }

    fn source(&self) -> &Source<T, R> {
        &self.source
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> ChunkIterator<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> ChunkIterator {
        ChunkIterator { source: self.source.into_any() }
    }
}

impl<T: HttpTransport, R: Runtime> ChunkIterator<T, R> {
    pub(in crate::reader) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        self.source.poll_chunk(cx)
    }
}

view!(impl[T: HttpTransport, R: Runtime] ChunkIterator<T, R> => Chunk);
status!(impl[T, R] ChunkIterator<T, R>);

impl<T, R> fmt::Debug for ChunkIterator<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkIterator").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}
