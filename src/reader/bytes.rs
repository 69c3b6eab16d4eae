use super::chunks::ChunkIterator;
use super::view::{View, WithCheckpoints, view};
use crate::Checkpoint;
use crate::error::Error;
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use futures_lite::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream's bytes, piece by piece, none of them empty.
///
/// From [`ReaderBuilder::bytes`](crate::ReaderBuilder::bytes). On a JSON stream each piece is an array of whole
/// messages.
pub struct ByteStream<T = AnyTransport, R = AnyRuntime> {
    chunks: ChunkIterator<T, R>,
    position: Checkpoint,
}

impl<T: HttpTransport, R: Runtime> ByteStream<T, R> {
    pub(super) fn new(chunks: ChunkIterator<T, R>) -> Self {
        Self { position: chunks.checkpoint(), chunks }
    }
}

impl<T: HttpTransport, R: Runtime> View for ByteStream<T, R> {
    type Item = Bytes;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let chunk = match std::task::ready!(self.chunks.poll(cx)) {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let is_empty = chunk.is_empty();
            self.position = chunk.checkpoint;
            if !is_empty {
                return Poll::Ready(Some(Ok(chunk.data)));
            }
        }
    }

    fn position(&self) -> Checkpoint {
        self.position.clone()
    }
}

view!([T: HttpTransport, R: Runtime] ByteStream<T, R>, Bytes, []);

impl<T, R> fmt::Debug for ByteStream<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("checkpoint", &self.position).finish_non_exhaustive()
    }
}
