//! A stream's content as JSON values, one by one or in batches.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::reader::driver::Driver;
use crate::reader::machine::Machine;
use crate::reader::position::Unit;
use crate::reader::started::{ChunkSource, StartedReader};
use crate::reader::views::json_from_chunks::ChunkValues;
use crate::reader::views::macros::{consume, status, view};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

/// A stream's JSON messages as values of `V`, in order, each once.
///
/// From [`ReaderBuilder::json`](crate::ReaderBuilder::json). Values are deserialized from the buffers that
/// arrive, one by one. A message that cannot be deserialized as `V` is an error item, and the next call continues after it.
/// Any other error ends the reader. It ends as a [`ChunkIterator`](crate::ChunkIterator) does.
///
/// On a stream of another content type it reads JSON texts, with or without white space between them, as
/// [`append_json`](crate::DurableStream::append_json) writes them to such a stream.
pub struct JsonStream<V, T = AnyTransport, R = AnyRuntime> {
    reader: StartedReader<T, R>,
    /// Splits chunks into values, if the messages cannot be taken from the machine directly: on a stream of another type, and
    /// with prefetched chunks.
    from_chunks: Option<ChunkValues>,
    value: PhantomData<fn() -> V>,
}

impl<V, T, R> JsonStream<V, T, R> {
    pub(in crate::reader) fn new(reader: StartedReader<T, R>) -> Self {
        let status = reader.status();
        let from_chunks = match (&reader.chunks, status.unit) {
            (ChunkSource::Direct(_), Unit::Messages) => None,
            (_, unit) => Some(ChunkValues::new(unit, status.checkpoint, reader.max_message_bytes)),
        };
        Self { reader, from_chunks, value: PhantomData }
    }

    /// The position after the last value. An error item does not move it.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        match &self.from_chunks {
            None => self.reader.status().checkpoint,
            Some(values) => values.checkpoint(),
        }
    }

    /// The values in batches: as many as have arrived, up to `max_items` (at least one), with the position after them.
    ///
    /// A batch waits for its first value only. For consumers that commit several values at once.
    #[must_use]
    pub fn batches(self, max_items: usize) -> JsonBatches<V, T, R> {
        JsonBatches { values: self, max_items: max_items.max(1), failure: None }
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.reader
    }

    /// The error for an incomplete value at the end, if there is one.
    pub(in crate::reader) fn unfinished(&self) -> Option<Error> {
        let values = self.from_chunks.as_ref()?;
        values.unfinished().map(|invalid| locate(invalid, &self.reader.url))
    }
}

impl<V, T: HttpTransport + Clone, R: Runtime + Clone> JsonStream<V, T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> JsonStream<V> {
        JsonStream { reader: self.reader.into_any(), from_chunks: self.from_chunks, value: PhantomData }
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonStream<V, T, R> {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        if self.from_chunks.is_none()
            && let ChunkSource::Direct(driver) = &mut self.reader.chunks
        {
            return poll_items(driver, cx);
        }
        self.poll_chunks(cx)
    }

    fn poll_chunks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<V, Error>>> {
        let Some(values) = &mut self.from_chunks else { return Poll::Ready(None) };
        loop {
            if let Some(item) = values.next::<V>() {
                return Poll::Ready(Some(item.map_err(|invalid| locate(invalid, &self.reader.url))));
            }
            if values.has_ended() {
                return Poll::Ready(None);
            }
            match ready!(self.reader.poll_chunk(cx)) {
                Some(Ok(chunk)) => values.push(chunk),
                Some(Err(error)) => {
                    values.abandon();
                    return Poll::Ready(Some(Err(error)));
                }
                None => values.finish(self.reader.status().closed),
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

/// The error of a value, with the position of the last value before it.
#[cold]
fn locate((kind, after): (StreamError, Checkpoint), url: &str) -> Error {
    Error::from(kind).with_request("read", url).edit(|context| {
        if !after.is_exact() {
            context.detail = Some(format!("in the message after checkpoint {after}"));
        }
        context.offset = Some(after.offset().clone());
    })
}

/// Values that arrived together, with the position after them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonBatch<V> {
    /// The values, at least one.
    pub items: Vec<V>,
    /// The position after the last of them.
    pub checkpoint: Checkpoint,
}

/// The values of a [`JsonStream`] in batches, as they arrive.
///
/// From [`JsonStream::batches`].
pub struct JsonBatches<V, T = AnyTransport, R = AnyRuntime> {
    values: JsonStream<V, T, R>,
    max_items: usize,
    /// The error behind the last batch. The batch goes first.
    failure: Option<Error>,
}

impl<V, T, R> JsonBatches<V, T, R> {
    /// The position after the last batch.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.values.checkpoint()
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.values.reader
    }
}

impl<V, T: HttpTransport + Clone, R: Runtime + Clone> JsonBatches<V, T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> JsonBatches<V> {
        JsonBatches { values: self.values.to_any(), max_items: self.max_items, failure: self.failure }
    }
}

impl<V: DeserializeOwned, T: HttpTransport, R: Runtime> JsonBatches<V, T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<JsonBatch<V>, Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let mut items = Vec::new();
        while items.len() < self.max_items {
            match self.values.poll(cx) {
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
        Poll::Ready(Some(Ok(JsonBatch { items, checkpoint: self.values.checkpoint() })))
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
