//! A stream's content as values.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::reader::driver::Driver;
use crate::reader::machine::Machine;
use crate::reader::position::Unit;
use crate::reader::started::{Feed, Source};
use crate::reader::views::json_from_chunks::Texts;
use crate::reader::views::macros::{consume, status, view};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

/// A stream's JSON messages as values of `V`, in order, each once.
///
/// From [`ReaderBuilder::json`](crate::ReaderBuilder::json). Values are parsed as they arrive, in place; nothing is
/// collected first. A message that is no `V` is an error item, and the next call goes on behind it;
/// all other errors end the reader. It ends as a [`ChunkIterator`](crate::ChunkIterator) does.
///
/// On a stream of another content type it reads JSON texts, with or without white space between them: what
/// [`append_json`](crate::DurableStream::append_json) writes to such a stream.
pub struct JsonStream<V, T = AnyTransport, R = AnyRuntime> {
    source: Source<T, R>,
    /// How chunks are cut, where the driver's own messages cannot be taken.
    texts: Option<Texts>,
    value: PhantomData<fn() -> V>,
}

impl<V, T, R> JsonStream<V, T, R> {
    pub(in crate::reader) fn new(source: Source<T, R>) -> Self {
        let status = source.status();
        let texts = match (&source.feed, status.unit) {
            (Feed::Direct(_), Unit::Messages) => None,
            (_, unit) => Some(Texts::new(unit, status.checkpoint, source.max_message_bytes)),
        };
        Self { source, texts, value: PhantomData }
    }

    /// The position after the last value that was handed out. An error item leaves it where it was.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        match &self.texts {
            None => self.source.status().checkpoint,
            Some(texts) => texts.checkpoint(),
        }
    }

    /// Values in groups: as many as have arrived, up to `max_items` (at least one), with the position after
    /// them. Waits for the first only. For consumers that commit many at once.
    #[must_use]
    pub fn batches(self, max_items: usize) -> JsonBatches<V, T, R> {
        JsonBatches { reader: self, max_items: max_items.max(1), failure: None }
    }

    fn source(&self) -> &Source<T, R> {
        &self.source
    }

    /// What was left at the end, if it was the start of a value.
    pub(in crate::reader) fn unfinished(&self) -> Option<Error> {
        let texts = self.texts.as_ref()?;
        texts.unfinished().map(|broken| locate(broken, &self.source.url))
    }
}

impl<V, T: HttpTransport + Clone, R: Runtime + Clone> JsonStream<V, T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> JsonStream<V> {
        JsonStream { source: self.source.into_any(), texts: self.texts, value: PhantomData }
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonStream<V, T, R> {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        if self.texts.is_none()
            && let Feed::Direct(driver) = &mut self.source.feed
        {
            return poll_items(driver, cx);
        }
        self.poll_texts(cx)
    }

    fn poll_texts(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        let Some(texts) = &mut self.texts else { return Poll::Ready(None) };
        loop {
            if let Some(item) = texts.next::<V>() {
                return Poll::Ready(Some(item.map_err(|broken| locate(broken, &self.source.url))));
            }
            if texts.is_over() {
                return Poll::Ready(None);
            }
            match ready!(self.source.poll_chunk(cx)) {
                Some(Ok(chunk)) => texts.push(chunk),
                Some(Err(error)) => {
                    texts.abandon();
                    return Poll::Ready(Some(Err(error)));
                }
                None => texts.finish(self.source.status().closed),
            }
        }
    }
}

#[inline]
fn poll_items<V: DeserializeOwned, T: HttpTransport, R: Runtime>(
    driver: &mut Driver<T, R>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<V, Error>>> {
    let item = match ready!(driver.poll(cx, Machine::take_item::<V>)) {
        Some(Ok(item)) => item,
        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
        None => return Poll::Ready(None),
    };
    if driver.machine.is_input_consumed() {
        driver.peek(cx);
    }
    Poll::Ready(Some(item.map_err(|error| {
        locate((StreamError::from(error), driver.machine.status().checkpoint), driver.machine.url())
    })))
}

/// What is wrong with a value, and the position of the last one that was read.
#[cold]
fn locate((kind, after): (StreamError, Checkpoint), url: &str) -> Error {
    Error::from(kind).with_request("read", url).edit(|context| {
        if !after.is_exact() {
            context.detail = Some(format!("in what follows the checkpoint {after}"));
        }
        context.offset = Some(after.offset().clone());
    })
}

/// Values that arrived together, and the position after them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonBatch<V> {
    /// The values, at least one.
    pub items: Vec<V>,
    /// The position after the last of them.
    pub checkpoint: Checkpoint,
}

/// Values in groups, as they arrive.
///
/// From [`JsonStream::batches`].
pub struct JsonBatches<V, T = AnyTransport, R = AnyRuntime> {
    reader: JsonStream<V, T, R>,
    max_items: usize,
    /// What came after the last batch.
    failure: Option<Error>,
}

impl<V, T, R> JsonBatches<V, T, R> {
    /// The position after the last batch that was handed out.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.reader.checkpoint()
    }

    fn source(&self) -> &Source<T, R> {
        &self.reader.source
    }
}

impl<V, T: HttpTransport + Clone, R: Runtime + Clone> JsonBatches<V, T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> JsonBatches<V> {
        JsonBatches { reader: self.reader.to_any(), max_items: self.max_items, failure: self.failure }
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonBatches<V, T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<JsonBatch<V>, Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let mut items = Vec::new();
        while items.len() < self.max_items {
            match self.reader.poll(cx) {
                Poll::Ready(Some(Ok(value))) => items.push(value),
                Poll::Ready(Some(Err(error))) if items.is_empty() => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Err(error))) => {
                    self.failure = Some(error);
                    break;
                }
                Poll::Pending if items.is_empty() => return Poll::Pending,
                Poll::Ready(None) if items.is_empty() => return Poll::Ready(None),
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        Poll::Ready(Some(Ok(JsonBatch { items, checkpoint: self.reader.checkpoint() })))
    }
}

view!(impl[V: DeserializeOwned, T: HttpTransport, R: Runtime] JsonStream<V, T, R> => V);
consume!(impl[V: DeserializeOwned, T: HttpTransport, R: Runtime] JsonBatches<V, T, R> => JsonBatch<V>);
status!(impl[V, T, R] JsonStream<V, T, R>);
status!(impl[V, T, R] JsonBatches<V, T, R>);

impl<V, T, R> fmt::Debug for JsonStream<V, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonStream").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}

impl<V, T, R> fmt::Debug for JsonBatches<V, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonBatches").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}
