//! The producer's handle: its public operations.

use super::append::{Fairness, Refusal};
use super::error::ProducerError;
use super::host::Handles;
use super::queue::batch::RecordKind;
use super::receipt::{Ack, Delivery};
use super::shared::Unacked;
use super::stats::ProducerStats;
use super::unacked::UnackedRecord;
#[cfg(doc)]
use crate::error::StreamError;
use crate::offset::Offset;
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Appends records to a stream, each stored exactly once and in order.
///
/// Records are batched, and several batches are in flight at once. A batch that fails is resent under the same
/// sequence number, by which the server recognises a repetition. An append only puts the record into a bounded queue.
/// The [`Delivery`] that it returns completes when the record is stored.
///
/// The first error that retries cannot overcome *halts* the producer: see [`ProducerError`].
///
/// A clone is another handle to the same producer. When the last handle is dropped, queued records are delivered in
/// the background, for at most the [drain timeout](crate::ProducerBuilder::drain_timeout). A program that
/// ends should [`close`](Self::close) the producer instead.
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

    /// The same producer with the default type parameters. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(&self) -> IdempotentProducer {
        IdempotentProducer::new(self.handles.clone())
    }

    /// Puts a record into the queue. Never waits.
    ///
    /// On a JSON stream the record is JSON text, and one message, even if it is an array.
    ///
    /// # Errors
    ///
    /// [`ProducerError::QueueFull`] and [`ProducerError::RecordTooLarge`], which return the record;
    /// [`StreamError::Json`] for a record that is not JSON on a JSON stream (if the content type is not known yet, from
    /// the [`Delivery`]); [`StreamError::Config`] for an empty record, which the protocol does not allow; the error that
    /// the producer halted with; [`ProducerError::Closed`].
    pub fn append(&self, data: impl Into<Bytes>) -> Result<Delivery, ProducerError> {
        let data = data.into();
        self.handles
            .push(RecordKind::Bytes, &data, Fairness::Barge)
            .map_err(|refusal| self.handles.refused(refusal, || data))
    }

    /// Like [`append`](Self::append), for borrowed bytes. They are copied into the batch.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn append_slice(&self, data: &[u8]) -> Result<Delivery, ProducerError> {
        self.handles
            .push(RecordKind::Bytes, data, Fairness::Barge)
            .map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(data)))
    }

    /// Puts one value, as JSON, into the queue. Never waits.
    ///
    /// On a JSON stream it is one message. On a stream of another type it is its JSON text and a line feed.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), and [`StreamError::Json`] for a value that cannot be serialised.
    #[cfg(feature = "json")]
    pub fn append_json<V: serde::Serialize + ?Sized>(&self, value: &V) -> Result<Delivery, ProducerError> {
        super::append::with_json(value, |text| {
            self.handles
                .push(RecordKind::Json, text, Fairness::Barge)
                .map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(text)))
        })?
    }

    /// Puts a record into the queue, and waits for room if the queue is full. It does not wait until the record
    /// is stored: await the [`Delivery`] for that.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), except [`ProducerError::QueueFull`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it completes has appended nothing.
    pub async fn append_wait(&self, data: impl Into<Bytes>) -> Result<Delivery, ProducerError> {
        let data = data.into();
        // There is nearly always room: the future that waits is allocated only if there is none.
        let pushed = match self.handles.push(RecordKind::Bytes, &data, Fairness::Fifo) {
            Err(Refusal::Full) => Box::pin(self.handles.push_wait(RecordKind::Bytes, &data)).await,
            pushed => pushed,
        };
        pushed.map_err(|refusal| self.handles.refused(refusal, || data))
    }

    /// Puts one value, as JSON, into the queue, and waits for room if the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`append_json`](Self::append_json), except [`ProducerError::QueueFull`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it completes has appended nothing.
    #[cfg(feature = "json")]
    pub async fn append_json_wait<V: serde::Serialize + ?Sized>(
        &self,
        value: &V,
    ) -> Result<Delivery, ProducerError> {
        let pushed = super::append::with_json(value, |text| {
            let pushed = self.handles.push(RecordKind::Json, text, Fairness::Fifo);
            pushed.map_err(|refusal| self.handles.refused(refusal, || Bytes::copy_from_slice(text)))
        })?;
        let record = match pushed {
            Err(ProducerError::QueueFull { record }) => record,
            pushed => return pushed,
        };
        Box::pin(self.handles.push_wait(RecordKind::Json, &record))
            .await
            .map_err(|refusal| self.handles.refused(refusal, || record))
    }

    /// Sends what was appended before, without lingering, and waits until all of it is settled.
    ///
    /// # Errors
    ///
    /// The error that the producer halted with; otherwise the first failure of a single record that no flush has
    /// returned yet.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting.
    pub async fn flush(&self) -> Result<(), ProducerError> {
        self.handles.settled(false).await
    }

    /// Like [`flush`](Self::flush), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush), and [`ProducerError::Timeout`] with the number of records that are not acknowledged. The
    /// producer continues.
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

    /// Accepts no more records, on any handle, and waits until all are settled. The stream stays open.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush). Closing again returns the same error if the producer halted, and success
    /// otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the producer stays closed, and continues to deliver.
    pub async fn close(&self) -> Result<(), ProducerError> {
        self.handles.settled(true).await
    }

    /// Closes the stream behind the records that were appended before (protocol §5.3): readers reach its end, and later
    /// appends of any producer are refused. Accepts no more records, and waits until the stream is closed.
    ///
    /// # Errors
    ///
    /// The error that the producer halted with, or [`ProducerError::Closed`] after [`close`](Self::close).
    /// [`StreamError::StreamClosed`] if another client has closed the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the stream will be closed. Calling it again waits again.
    pub async fn close_stream(&self) -> Result<Ack, ProducerError> {
        self.handles.close_stream(None).await
    }

    /// Closes the stream with a last record, in one step. Otherwise like [`close_stream`](Self::close_stream).
    ///
    /// # Errors
    ///
    /// As for [`close_stream`](Self::close_stream) and [`append`](Self::append), except [`ProducerError::QueueFull`].
    /// If the last record fails on its own, because it is not JSON or too large for the server, the stream is not closed,
    /// and the producer continues.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: the stream will be closed. Calling it again waits again.
    pub async fn close_stream_with(&self, data: impl Into<Bytes>) -> Result<Ack, ProducerError> {
        let data = data.into();
        self.handles.close_stream(Some(data)).await
    }

    /// Accepts no more records, on any handle, and does not wait: queued records are delivered in the
    /// background, as when the last handle is dropped. The stream stays open.
    pub fn detach(&self) {
        self.handles.detach();
    }

    /// Takes the records that were not acknowledged when the producer halted, in order. A later call does not return
    /// them again. Empty while the producer has not halted. All of them are available once a [`Delivery`],
    /// [`flush`](Self::flush) or [`close`](Self::close) has returned the error.
    ///
    /// # Continuing after a halt
    ///
    /// Append the records that are not [`may_be_stored`](UnackedRecord::may_be_stored) with a new producer of a higher
    /// epoch. For the others, after [`OutcomeUnknown`](ProducerError::OutcomeUnknown) for instance, read the stream: if its
    /// records are distinguishable, it shows which of them are stored. First append a record with the new producer. Once
    /// one of the higher epoch is stored, the server refuses every request of the halted producer that is still in the
    /// network, so what the stream has of it then is final.
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
    /// let from = halted.unacked_from().unwrap_or(Offset::Beginning);
    /// let stored: Vec<Order> = stream.reader().offset(from).read_json().await?;
    /// for record in halted.take_unacked() {
    ///     let order: Order = serde_json::from_slice(&record.data)?;
    ///     if !record.may_be_stored || !stored.contains(&order) {
    ///         next.append_json_wait(&order).await?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn take_unacked(&self) -> Vec<UnackedRecord> {
        let unacked = std::mem::take(&mut self.handles.shared.lock().unacked);
        unacked.into_iter().flat_map(Unacked::into_records).collect()
    }

    /// The same as [`take_unacked`](Self::take_unacked).
    #[deprecated(note = "renamed to `take_unacked`")]
    #[must_use]
    pub fn take_unsent(&self) -> Vec<UnackedRecord> {
        self.take_unacked()
    }

    /// An offset before which none of the [unacknowledged](Self::take_unacked) records is stored: read the stream from here
    /// to find out which of them are. `None` while the producer has not ended, or if no offset is known; then read from the
    /// stream's beginning.
    ///
    /// It is the furthest tail that the server had reported when the first of those records was sent.
    #[must_use]
    pub fn unacked_from(&self) -> Option<Offset> {
        self.handles.shared.lock().unacked_from.clone()
    }

    /// What the producer has done so far, and what it has queued.
    #[must_use]
    pub fn stats(&self) -> ProducerStats {
        self.handles.shared.lock().stats()
    }

    /// The epoch under which batches are sent: the configured one, or the last one that was claimed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.handles.shared.lock().epoch
    }
}
