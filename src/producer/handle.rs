use super::append::{Refusal, Turn, validated};
use super::batch::{Framing, Kind};
use super::delivery::{Ack, Delivery};
use super::place::{Place, Waiting};
use super::queue::Room;
use super::shared::{Life, Unsent};
use super::{Handles, ProducerError, ProducerStats, UnsentRecord, detach};
#[cfg(doc)]
use crate::error::StreamError;
use crate::offset::Offset;
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport};
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Appends records to a stream, each stored exactly once and in order.
///
/// Records are batched, several batches travel at once, and whatever fails on the way is sent again under the same
/// number, by which the server tells a repetition. An append only puts the record into a bounded queue; the
/// [`Delivery`] that it returns tells, to whoever wants to know, when the record is stored.
///
/// The first error that cannot be helped *halts* the producer: see [`ProducerError`].
///
/// Cloning gives another handle to the same producer. When the last one is dropped, what is queued is delivered in
/// the background, for at most the [drain timeout](crate::ProducerBuilder::drain_timeout); a program that
/// ends should [`close`](Self::close) it instead.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run(stream: durable_streams::tokio::DurableStream) -> Result<(), durable_streams::ProducerError> {
/// let producer = stream.producer("shipper-1").auto_claim(true).build();
/// for line in ["one\n", "two\n"] {
///     producer.append_wait(line).await?;
/// }
/// let last = producer.append("three\n")?;
/// println!("stored before {:?}", last.await?.offset);
/// producer.close().await?;
/// # Ok(()) }
/// ```
pub struct IdempotentProducer<T = AnyTransport, R = AnyRuntime> {
    handles: Arc<Handles>,
    stack: PhantomData<fn() -> (T, R)>,
}

impl<T, R> Clone for IdempotentProducer<T, R> {
    fn clone(&self) -> Self {
        Self::new(self.handles.clone())
    }
}

impl<T, R> fmt::Debug for IdempotentProducer<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.handles.shared.lock();
        f.debug_struct("IdempotentProducer")
            .field("epoch", &state.epoch)
            .field("life", &state.life)
            .field("stats", &state.stats())
            .finish_non_exhaustive()
    }
}

impl<T, R> IdempotentProducer<T, R> {
    pub(super) fn new(handles: Arc<Handles>) -> Self {
        Self { handles, stack: PhantomData }
    }

    /// The same producer with its stack's type erased.
    #[must_use]
    pub fn to_any(&self) -> IdempotentProducer {
        IdempotentProducer::new(self.handles.clone())
    }

    /// Puts a record into the queue, and never waits.
    ///
    /// On a JSON stream the record is JSON text, and one message, even where it is an array.
    ///
    /// # Errors
    ///
    /// [`ProducerError::QueueFull`] and [`ProducerError::RecordTooLarge`], which hand the record back;
    /// [`StreamError::Json`] for a record that is no JSON on a JSON stream (where that is not known yet, the
    /// [`Delivery`] tells); [`StreamError::Config`] for an empty record, which the protocol has not; and what the
    /// producer halted with, or [`ProducerError::Closed`].
    pub fn append(&self, data: impl Into<Bytes>) -> Result<Delivery, ProducerError> {
        let data = data.into();
        self.handles
            .push(Kind::Bytes, &data, Turn::Any)
            .map_err(|refusal| self.handles.refused(refusal, || data))
    }

    /// Like [`append`](Self::append), for bytes that are only borrowed. They are copied into the batch.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn append_slice(&self, data: &[u8]) -> Result<Delivery, ProducerError> {
        self.handles
            .push(Kind::Bytes, data, Turn::Any)
            .map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(data)))
    }

    /// Puts one value, as JSON, into the queue, and never waits.
    ///
    /// On a JSON stream it is one message. On a stream of another type it is its JSON text and a line feed.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), and [`StreamError::Json`] for a value that does not serialise.
    #[cfg(feature = "json")]
    pub fn append_json<V: serde::Serialize + ?Sized>(&self, value: &V) -> Result<Delivery, ProducerError> {
        super::append::with_json(value, |text| {
            self.handles
                .push(Kind::Json, text, Turn::Any)
                .map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(text)))
        })?
    }

    /// Puts a record into the queue, and waits for room there where it is full. It does not wait until the record
    /// is stored: await the [`Delivery`] for that.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), but for [`ProducerError::QueueFull`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has appended nothing.
    pub async fn append_wait(&self, data: impl Into<Bytes>) -> Result<Delivery, ProducerError> {
        let data = data.into();
        // Nearly always there is room, and no need for what it takes to wait.
        let pushed = match self.handles.push(Kind::Bytes, &data, Turn::Keep) {
            Err(Refusal::Full) => Box::pin(self.handles.push_wait(Kind::Bytes, &data)).await,
            pushed => pushed,
        };
        pushed.map_err(|refusal| self.handles.refused(refusal, || data))
    }

    /// Puts one value, as JSON, into the queue, and waits for room there where it is full.
    ///
    /// # Errors
    ///
    /// As for [`append_json`](Self::append_json), but for [`ProducerError::QueueFull`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has appended nothing.
    #[cfg(feature = "json")]
    pub async fn append_json_wait<V: serde::Serialize + ?Sized>(
        &self,
        value: &V,
    ) -> Result<Delivery, ProducerError> {
        let pushed = super::append::with_json(value, |text| {
            let pushed = self.handles.push(Kind::Json, text, Turn::Keep);
            pushed.map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(text)))
        })?;
        let record = match pushed {
            Err(ProducerError::QueueFull { record }) => record,
            pushed => return pushed,
        };
        Box::pin(self.handles.push_wait(Kind::Json, &record))
            .await
            .map_err(|refusal| self.handles.refused(refusal, || record))
    }

    /// Sends what was appended before, without lingering, and waits until all of it is settled.
    ///
    /// # Errors
    ///
    /// What the producer halted with; else the first failure of a single record that no flush has told of.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting.
    pub async fn flush(&self) -> Result<(), ProducerError> {
        self.settled(false).await
    }

    /// Like [`flush`](Self::flush), for so long at most.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush), and [`ProducerError::Timeout`], which says how much is not acknowledged. The
    /// producer goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting.
    pub async fn flush_timeout(&self, timeout: Duration) -> Result<(), ProducerError> {
        let expired = async {
            self.handles.host.sleep(timeout).await;
            let stats = self.stats();
            Err(ProducerError::Timeout {
                records: stats.queued_records,
                bytes: stats.queued_bytes,
                after: timeout,
            })
        };
        futures_lite::future::or(self.flush(), expired).await
    }

    /// Takes no more records, on any handle, and waits until all are settled. The stream stays open for others.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush). Closing again gives the same result where the producer halted, and success
    /// otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the producer stays closed, and goes on delivering.
    pub async fn close(&self) -> Result<(), ProducerError> {
        self.settled(true).await
    }

    /// Ends the stream after the records that were appended before: readers come to an end, and nobody appends any
    /// more. Takes no more records, and waits until it is done. Safe to be repeated by the producer's own numbers.
    ///
    /// # Errors
    ///
    /// What the producer halted with, or [`ProducerError::Closed`] after [`close`](Self::close).
    /// [`StreamError::StreamClosed`] where somebody else has closed the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the stream will be ended. Calling it again waits again.
    pub async fn close_stream(&self) -> Result<Ack, ProducerError> {
        self.end(None).await
    }

    /// Ends the stream with a last record, both or neither. Otherwise like [`close_stream`](Self::close_stream).
    ///
    /// # Errors
    ///
    /// As for [`close_stream`](Self::close_stream) and [`append`](Self::append), where the queue is never too full for it.
    /// Where the last record fails by itself, being no JSON or too large for the server, the stream does not end, and
    /// the producer goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the stream will be ended. Calling it again waits again.
    pub async fn close_stream_with(&self, data: impl Into<Bytes>) -> Result<Ack, ProducerError> {
        let data = data.into();
        self.end(Some(data)).await
    }

    /// Takes no more records, on any handle, and does not wait: what there is goes on being delivered in the
    /// background, as when the last handle is dropped. The stream stays open for others.
    pub fn detach(&self) {
        detach(&self.handles.shared);
    }

    /// The records that were not stored when the producer halted, in order, each once: later calls do not return
    /// it again. Empty as long as the producer has not halted. All of them are there as soon as a [`Delivery`],
    /// [`flush`](Self::flush) or [`close`](Self::close) has told of the error.
    ///
    /// # Going on after a halt
    ///
    /// A new producer with a higher epoch appends what is not [`may_be_stored`](UnsentRecord::may_be_stored). Of the rest,
    /// after [`OutcomeUnknown`](ProducerError::OutcomeUnknown) for instance, only the stream can tell, if its records can be
    /// told apart. Mark it first: once something of the higher epoch is stored, nothing of the halted producer can be any
    /// more, not even what is still on its way. What there is of it, is there by then.
    ///
    #[cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
    #[cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
    /// # use durable_streams::tokio::{DurableStream, IdempotentProducer};
    /// # async fn run(stream: DurableStream, halted: IdempotentProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use durable_streams::Offset;
    ///
    /// #[derive(PartialEq, serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     id: String,
    /// }
    ///
    /// let next = stream.producer("order-service-1").epoch(halted.epoch() + 1).build();
    /// next.append_json(&Order { id: "(a new run)".into() })?.await?;
    /// let from = halted.unsent_from().unwrap_or(Offset::Beginning);
    /// let stored: Vec<Order> = stream.reader().offset(from).read_json().await?;
    /// for record in halted.take_unsent() {
    ///     let order: Order = serde_json::from_slice(&record.data)?;
    ///     if !record.may_be_stored || !stored.contains(&order) {
    ///         next.append_json_wait(&order).await?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn take_unsent(&self) -> Vec<UnsentRecord> {
        let unsent = std::mem::take(&mut self.handles.shared.lock().unsent);
        unsent.into_iter().flat_map(Unsent::into_records).collect()
    }

    /// An offset before which none of the [unsent](Self::take_unsent) records is stored: to find out what became of those
    /// that may be, read the stream from here. `None` as long as the producer has not come to its end, and where nothing is
    /// known, which leaves the stream's beginning.
    ///
    /// It is the furthest tail that the server had told of when the first of those records was sent.
    #[must_use]
    pub fn unsent_from(&self) -> Option<Offset> {
        self.handles.shared.lock().unsent_from.clone()
    }

    /// What was done so far, and what is queued.
    #[must_use]
    pub fn stats(&self) -> ProducerStats {
        self.handles.shared.lock().stats()
    }

    /// The epoch under which batches are sent: the one that was asked for, or the last one claimed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.handles.shared.lock().epoch
    }

    async fn settled(&self, close: bool) -> Result<(), ProducerError> {
        let shared = &self.handles.shared;
        let mut place = Place::new(shared, Waiting::Flushes);
        let (target, waker, room) = {
            let mut state = shared.lock();
            let target = state.queue.flush();
            let mut room = Vec::new();
            if close {
                state.close();
                room = state.room.take_if(|_| true);
            }
            // Without a driver there is nothing to wait for, and from now on nothing to start one for.
            state.finished |= close && !state.started;
            (target, state.driver.take(), room)
        };
        waker.into_iter().chain(room).for_each(Waker::wake);
        poll_fn(|cx| {
            let mut state = shared.lock();
            let failed = matches!(state.life, Life::Failed(_));
            let done = state.finished || !close && !failed && state.queue.is_settled_before(target);
            if done {
                return Poll::Ready(state.flushed());
            }
            // Past the last batch for a close, which waits for the driver's end.
            let target = if close || failed { u64::MAX } else { target };
            state.flushes.wait(&mut place.ticket, target, cx.waker());
            Poll::Pending
        })
        .await
    }

    async fn end(&self, last: Option<Bytes>) -> Result<Ack, ProducerError> {
        let shared = &self.handles.shared;
        let last = match &last {
            None => None,
            Some(data) => Some(
                self.handles
                    .check(Kind::Bytes, data)
                    .map_err(|refusal| self.handles.refused(refusal, || data.clone()))?,
            ),
        };
        let (receipt, wakers, start) = {
            let mut state = shared.lock();
            match (&state.life, &state.end) {
                (_, Some(receipt)) => (receipt.clone(), Vec::new(), false),
                (Life::Open, None) => {
                    // The content type may have been learned since the check.
                    let last = match last {
                        Some((Kind::Bytes, record)) if state.queue.framing() == Some(Framing::Array) => {
                            let checked = validated(record)
                                .map_err(|refusal| self.handles.refused(refusal, Bytes::new))?;
                            Some((Kind::Json, checked))
                        }
                        last => last,
                    };
                    if let Some((kind, record)) = last
                        && state.queue.room(kind, record.len()) == Room::Never
                    {
                        let record = Bytes::copy_from_slice(record);
                        drop(state);
                        return Err(self.handles.refused(Refusal::TooLarge, || record));
                    }
                    let receipt = state.queue.end(last, || self.handles.host.now());
                    state.end = Some(receipt.clone());
                    state.life = Life::Ending;
                    let mut wakers = state.room.take_if(|_| true);
                    wakers.extend(state.driver.take());
                    let start = !std::mem::replace(&mut state.started, true);
                    (receipt, wakers, start)
                }
                _ => return Err(state.refusal().unwrap_or(ProducerError::Closed)),
            }
        };
        wakers.into_iter().for_each(Waker::wake);
        if start {
            self.handles.host.start(shared.clone());
        }
        Delivery::new(receipt, 0).await
    }
}
