use super::chunks::ChunkIterator;
use super::machine::Unit;
use super::view::{View, WithCheckpoints, view};
use super::within::Within;
use crate::Checkpoint;
use crate::error::{Error, StreamError};
use crate::protocol::json::{Framing, FramingError, ItemError, JsonSplitter};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use futures_lite::Stream;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream's JSON messages as values of type `V`, one by one, as they arrive.
///
/// From [`ReaderBuilder::json`](crate::ReaderBuilder::json). On a stream of another type than
/// `application/json` the values are JSON texts with white space between them, JSON lines for instance.
///
/// A message that is no `V` is an item with [`StreamError::Json`]; the next call goes on behind it.
pub struct JsonStream<V, T = AnyTransport, R = AnyRuntime> {
    chunks: ChunkIterator<T, R>,
    /// On a stream that is not JSON: where one text ends and the next begins.
    texts: Option<Box<Texts>>,
    value: PhantomData<fn() -> V>,
}

struct Texts {
    splitter: JsonSplitter,
    within: Within,
    /// How many bytes were pushed before the chunk at hand.
    before: u64,
    position: Checkpoint,
    ended: bool,
    failed: bool,
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonStream<V, T, R> {
    pub(super) fn new(chunks: ChunkIterator<T, R>, max_message_bytes: usize) -> Self {
        let texts = (chunks.unit() == Unit::Bytes).then(|| {
            Box::new(Texts {
                splitter: JsonSplitter::new(Framing::Texts, max_message_bytes),
                within: Within::new(chunks.checkpoint()),
                before: 0,
                position: chunks.checkpoint(),
                ended: false,
                failed: false,
            })
        });
        Self { chunks, texts, value: PhantomData }
    }

    /// The messages in batches: as many as have arrived, up to `max_items` (at least one), with the position after them.
    ///
    /// Waits for the first message only. For consumers that commit many at once.
    #[must_use]
    pub fn batches(self, max_items: usize) -> JsonBatches<V, T, R> {
        JsonBatches { items: self, max_items: max_items.max(1), failed: None }
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        let Some(texts) = &mut self.texts else { return Poll::Ready(None) };
        loop {
            if texts.failed {
                return Poll::Ready(None);
            }
            if let Some(item) = texts.splitter.next_item::<V>() {
                let item = match item {
                    Ok(item) => Ok(item),
                    Err(ItemError::Value(error)) => Err(self.chunks.error(error.into())),
                    Err(ItemError::Framing(error)) => {
                        texts.failed = true;
                        return Poll::Ready(Some(Err(self.chunks.error(broken(error)))));
                    }
                };
                texts.advance();
                return Poll::Ready(Some(item));
            }
            if texts.ended {
                return Poll::Ready(None);
            }
            match std::task::ready!(self.chunks.poll(cx)) {
                Some(Ok(chunk)) => {
                    texts.before += texts.within.len();
                    texts.within.enter(&chunk);
                    texts.splitter.push(chunk.data);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    texts.ended = true;
                    texts.splitter.finish();
                }
            }
        }
    }
}

impl Texts {
    /// Moves the position to behind what was handed out.
    fn advance(&mut self) {
        // White space after the last text belongs to it, so that the position is a boundary where it can be.
        let consumed = if self.splitter.at_end() {
            self.within.len()
        } else {
            self.splitter.position().saturating_sub(self.before)
        };
        if let Some(position) = self.within.at(consumed) {
            self.position = position;
        }
    }
}

fn broken(error: FramingError) -> StreamError {
    match error {
        FramingError::TooLarge { limit } => {
            StreamError::TooLarge { what: "a JSON message".into(), option: "max_event_bytes", limit }
        }
        error => StreamError::Json(crate::JsonError::new(error.to_string())),
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> View for JsonStream<V, T, R> {
    type Item = V;

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        if self.texts.is_some() {
            return self.poll_text(cx);
        }
        match std::task::ready!(self.chunks.poll_item(cx)) {
            Some(Ok(Ok(item))) => Poll::Ready(Some(Ok(item))),
            Some(Ok(Err(error))) => Poll::Ready(Some(Err(self.chunks.error(error.into())))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        }
    }

    fn position(&self) -> Checkpoint {
        match &self.texts {
            Some(texts) => texts.position.clone(),
            None => self.chunks.checkpoint(),
        }
    }
}

view!([V: DeserializeOwned, T: HttpTransport, R: Runtime] JsonStream<V, T, R>, V, []);

impl<V, T, R> fmt::Debug for JsonStream<V, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonStream").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

/// Messages that arrived together, and the position after the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonBatch<V> {
    /// The messages, at least one.
    pub items: Vec<V>,
    /// The position after them: save it once all of them are processed.
    pub checkpoint: Checkpoint,
}

/// A stream's JSON messages in batches.
///
/// From [`JsonStream::batches`].
pub struct JsonBatches<V, T = AnyTransport, R = AnyRuntime> {
    items: JsonStream<V, T, R>,
    max_items: usize,
    /// What went wrong after the last batch.
    failed: Option<Error>,
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonBatches<V, T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<JsonBatch<V>, Error>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut items = Vec::new();
        let mut checkpoint = None;
        while items.len() < self.max_items {
            match self.items.poll(cx) {
                Poll::Ready(Some(Ok(item))) => {
                    items.push(item);
                    checkpoint = Some(self.items.position());
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(error);
                    break;
                }
                Poll::Ready(None) => break,
                Poll::Pending if items.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        match (checkpoint, self.failed.take()) {
            (Some(checkpoint), failed) => {
                self.failed = failed;
                Poll::Ready(Some(Ok(JsonBatch { items, checkpoint })))
            }
            (None, Some(error)) => Poll::Ready(Some(Err(error))),
            (None, None) => Poll::Ready(None),
        }
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As for [`JsonStream::next`]; what was taken before the failure comes in a batch of its own first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<JsonBatch<V>, Error>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next batch, or `None` at the end: [`next`](Self::next) for use with `?`.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn try_next(&mut self) -> Result<Option<JsonBatch<V>>, Error> {
        self.next().await.transpose()
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> Stream for JsonBatches<V, T, R> {
    type Item = Result<JsonBatch<V>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        JsonBatches::poll(&mut *self, cx)
    }
}

impl<V, T, R> fmt::Debug for JsonBatches<V, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonBatches").field("items", &self.items).finish_non_exhaustive()
    }
}
