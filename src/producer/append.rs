//! The path of a record into the open batch. This runs for each record: one lock, one copy, no allocation.

use super::error::ProducerError;
use super::host::Handles;
use super::queue::batch::{BatchFraming, RecordKind};
use super::queue::buffer::Room;
use super::receipt::Delivery;
use super::shared::{Life, State};
use super::wait_guard::{WaitGuard, Waiting};
use crate::error::{Error, StreamError};
use crate::protocol::json::batch as json;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::MutexGuard;
use std::task::{Poll, Waker};

/// Why a record was not accepted. Small, because every append returns it.
pub(super) enum Refusal {
    /// There is no room now.
    Full,
    /// There is never room for it.
    TooLarge,
    /// The stream turned out to be JSON: the record has to be validated first.
    NotValidated,
    /// The producer accepts no more records.
    NotOpen,
    /// The record is not valid.
    Invalid(Box<ProducerError>),
}

/// Whether an append may take room before others that wait for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fairness {
    /// Takes room if there is any.
    Barge,
    /// Takes room only if no other append waits.
    Fifo,
}

impl Handles {
    #[inline]
    pub(super) fn push(
        &self,
        kind: RecordKind,
        record: &[u8],
        fairness: Fairness,
    ) -> Result<Delivery, Refusal> {
        let (kind, record) = self.check(kind, record)?;
        let state = self.shared.lock();
        // An append that does not wait may take room that others wait for: it would have to fail otherwise.
        let is_turn = fairness == Fairness::Barge || state.room.is_turn(None);
        match self.try_push(state, kind, record, is_turn) {
            Err((state, Refusal::NotValidated)) => {
                drop(state);
                self.push_validated(record)
            }
            Err((state, refusal)) => Err(refused_by(state, refusal)),
            Ok(delivery) => Ok(delivery),
        }
    }

    #[cold]
    fn push_validated(&self, record: &[u8]) -> Result<Delivery, Refusal> {
        let record = validated(record)?;
        self.try_push(self.shared.lock(), RecordKind::Json, record, true)
            .map_err(|(state, refusal)| refused_by(state, refusal))
    }

    /// Queues the record, and wakes the driver if needed. A refusal returns the lock.
    #[inline]
    fn try_push<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        kind: RecordKind,
        record: &[u8],
        is_turn: bool,
    ) -> Result<Delivery, (MutexGuard<'a, State>, Refusal)> {
        if !matches!(state.life, Life::Open) {
            return Err((state, Refusal::NotOpen));
        }
        // The content type became known after `check`. Validation takes time, so it happens without the lock.
        if kind == RecordKind::Bytes && state.queue.framing() == Some(BatchFraming::Array) {
            return Err((state, Refusal::NotValidated));
        }
        match state.queue.room(kind, record.len()) {
            Room::Yes if is_turn => {}
            Room::Yes | Room::Full => return Err((state, Refusal::Full)),
            Room::Never => return Err((state, Refusal::TooLarge)),
        }
        let (index, wake) = state.queue.push(kind, record, || self.host.now());
        let delivery = Delivery::new(state.queue.receipt().clone(), index);
        // `|`, not `||`: a full batch must be sealed also if the driver is woken anyway.
        if state.queue.seal_if_full() | wake {
            self.wake_driver(state);
        }
        Ok(delivery)
    }

    /// Wakes the driver, and starts it with the first record. Releases the lock first.
    #[cold]
    fn wake_driver(&self, mut state: MutexGuard<'_, State>) {
        // Taken, not cloned: until the driver has run, further records need not wake it.
        let waker = state.driver.take();
        let start = state.start_task();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if start {
            self.host.start(self.shared.clone());
        }
    }

    pub(super) async fn push_wait(&self, kind: RecordKind, record: &[u8]) -> Result<Delivery, Refusal> {
        let (mut kind, mut record) = self.check(kind, record)?;
        let mut guard = WaitGuard::new(&self.shared, Waiting::Room);
        poll_fn(|cx| {
            loop {
                let state = self.shared.lock();
                // Without a ticket yet, it is behind every waiting append.
                let is_turn = state.room.is_turn(guard.ticket);
                match self.try_push(state, kind, record, is_turn) {
                    Err((mut state, Refusal::Full)) => {
                        let cost = state.queue.cost(kind, record.len());
                        state.room.wait(&mut guard.ticket, cost, cx.waker());
                        flush_on_full(state);
                        return Poll::Pending;
                    }
                    Err((state, Refusal::NotValidated)) => {
                        drop(state);
                        record = validated(record)?;
                        kind = RecordKind::Json;
                    }
                    pushed => return Poll::Ready(pushed.map_err(|(_, refusal)| refusal)),
                }
            }
        })
        .await
    }

    /// Checks what can be checked without the lock.
    #[inline]
    pub(super) fn check<'r>(
        &self,
        kind: RecordKind,
        record: &'r [u8],
    ) -> Result<(RecordKind, &'r [u8]), Refusal> {
        if record.is_empty() {
            return Err(self.empty());
        }
        // Outside the lock. The hint may be stale; `try_push` checks again.
        if kind == RecordKind::Bytes && self.shared.is_json() {
            return validated(record).map(|record| (RecordKind::Json, record));
        }
        Ok((kind, record))
    }

    #[cold]
    fn empty(&self) -> Refusal {
        if !matches!(self.shared.lock().life, Life::Open) {
            return Refusal::NotOpen;
        }
        let error = StreamError::config("data", "(empty)", "the protocol has no empty append");
        Refusal::Invalid(Box::new(error.into()))
    }

    #[cold]
    pub(super) fn refused(&self, refusal: Refusal, record: impl FnOnce() -> Bytes) -> ProducerError {
        match refusal {
            Refusal::Full => ProducerError::QueueFull { record: record() },
            Refusal::TooLarge => ProducerError::RecordTooLarge {
                record: record(),
                option: "max_buffered_bytes",
                limit: self.shared.lock().queue.max_record(),
            },
            Refusal::Invalid(error) => *error,
            // `NotValidated` never gets here: the record was validated and queued again.
            Refusal::NotOpen | Refusal::NotValidated => {
                self.shared.lock().refusal().unwrap_or(ProducerError::Closed)
            }
        }
    }
}

/// The queue is full: if nothing is in flight, its open batch is sent without waiting for the linger time.
#[cold]
fn flush_on_full(mut state: MutexGuard<'_, State>) {
    if state.queue.flush_if_idle() {
        // The driver was started with the first record of the batch.
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }
}

#[cold]
fn refused_by(state: MutexGuard<'_, State>, refusal: Refusal) -> Refusal {
    if matches!(refusal, Refusal::Full) {
        flush_on_full(state);
    }
    refusal
}

/// Validates a record of bytes for a JSON stream.
pub(super) fn validated(record: &[u8]) -> Result<&[u8], Refusal> {
    json::validate(record).map_err(|error| {
        let error = Error::from(StreamError::from(error))
            .with_operation("append")
            .with_detail("a record of a JSON stream must be one JSON text".into());
        Refusal::Invalid(Box::new(error.into()))
    })
}

#[cfg(feature = "json")]
pub(super) use scratch::with_json;

#[cfg(feature = "json")]
mod scratch {
    use crate::error::StreamError;
    use serde::Serialize;
    use std::cell::Cell;

    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }

    /// What of a thread's buffer is kept.
    const KEPT: usize = 64 * 1024;

    /// Serialises outside of the queue's lock: a value's own code may do anything, append to the same producer for
    /// instance.
    pub(in super::super) fn with_json<V: Serialize + ?Sized, O>(
        value: &V,
        use_text: impl FnOnce(&[u8]) -> O,
    ) -> Result<O, StreamError> {
        let mut buffer = BUFFER.take();
        buffer.clear();
        serde_json::to_writer(&mut buffer, value)?;
        let output = use_text(&buffer);
        if buffer.capacity() <= KEPT {
            BUFFER.set(buffer);
        }
        Ok(output)
    }
}
