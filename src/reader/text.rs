use super::chunks::ChunkIterator;
use super::view::{View, WithCheckpoints, view};
use super::within::Within;
use crate::Checkpoint;
use crate::error::{Error, StreamError};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use futures_lite::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream's text, piece by piece, none of them empty; characters are whole.
///
/// From [`ReaderBuilder::text`](crate::ReaderBuilder::text). What is no valid UTF-8 is an error
/// ([`StreamError::Utf8`]) and ends it. On a JSON stream each piece is an array of whole messages.
pub struct TextStream<T = AnyTransport, R = AnyRuntime> {
    chunks: ChunkIterator<T, R>,
    /// The beginning of a character whose rest has yet to come: three bytes at most.
    begun: Vec<u8>,
    within: Within,
    position: Checkpoint,
    failed: bool,
}

impl<T: HttpTransport, R: Runtime> TextStream<T, R> {
    pub(super) fn new(chunks: ChunkIterator<T, R>) -> Self {
        let position = chunks.checkpoint();
        Self { chunks, begun: Vec::new(), within: Within::new(position.clone()), position, failed: false }
    }

    /// The text in `data` and what was begun before it, up to the last whole character.
    fn decode(&mut self, data: Bytes) -> Result<String, StreamError> {
        let len = data.len() as u64;
        let mut bytes = std::mem::take(&mut self.begun);
        if bytes.is_empty() {
            bytes = data.into();
        } else {
            bytes.extend_from_slice(&data);
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let (valid, broken) =
                    (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_some());
                if broken {
                    return Err(StreamError::Utf8 { reason: error.utf8_error().to_string() });
                }
                let mut bytes = error.into_bytes();
                self.begun = bytes.split_off(valid);
                String::from_utf8(bytes).map_err(|error| StreamError::Utf8 { reason: error.to_string() })?
            }
        };
        if let Some(position) = self.within.at(len.saturating_sub(self.begun.len() as u64)) {
            self.position = position;
        }
        Ok(text)
    }

    fn fail(&mut self, kind: StreamError) -> Poll<Option<Result<String, Error>>> {
        self.failed = true;
        Poll::Ready(Some(Err(self.chunks.error(kind))))
    }
}

impl<T: HttpTransport, R: Runtime> View for TextStream<T, R> {
    type Item = String;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        loop {
            if self.failed {
                return Poll::Ready(None);
            }
            match std::task::ready!(self.chunks.poll(cx)) {
                Some(Ok(chunk)) => {
                    self.within.enter(&chunk);
                    let is_empty = chunk.is_empty();
                    match self.decode(if is_empty { Bytes::new() } else { chunk.data }) {
                        Ok(text) if text.is_empty() => {}
                        Ok(text) => return Poll::Ready(Some(Ok(text))),
                        Err(kind) => return self.fail(kind),
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.begun.is_empty() => return Poll::Ready(None),
                None => {
                    let reason = "it ends in the middle of a character".to_owned();
                    return self.fail(StreamError::Utf8 { reason });
                }
            }
        }
    }

    fn position(&self) -> Checkpoint {
        self.position.clone()
    }
}

view!([T: HttpTransport, R: Runtime] TextStream<T, R>, String, []);

impl<T, R> fmt::Debug for TextStream<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStream").field("checkpoint", &self.position).finish_non_exhaustive()
    }
}
