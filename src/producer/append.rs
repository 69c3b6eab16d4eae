//! From a record to its place in the open batch. This runs for each record: one lock, one copy, no allocation.

use super::batch::{Framing, Kind};
use super::delivery::Delivery;
use super::place::{Place, Waiting};
use super::queue::Room;
use super::shared::{Life, State};
use super::{Handles, ProducerError};
use crate::error::{Error, StreamError};
use crate::protocol::json::batch as json;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::MutexGuard;
use std::task::{Poll, Waker};

/// Why a record was not taken. Small, because it is part of what every append returns.
pub(super) enum Refusal {
    /// There is no room now.
    Full,
    /// There will never be.
    TooLarge,
    /// The stream turned out to be JSON: check it, and hand it in again.
    NotChecked,
    /// The producer takes no more records.
    Gone,
    /// Something is wrong with the record.
    Invalid(Box<ProducerError>),
}

/// Whether an append may go before others that wait for room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Any,
    Keep,
}

impl Handles {
    #[inline]
    pub(super) fn push(&self, kind: Kind, record: &[u8], turn: Turn) -> Result<Delivery, Refusal> {
        let (kind, record) = self.check(kind, record)?;
        let state = self.shared.lock();
        let turn = turn == Turn::Any || state.room.is_turn(None);
        match self.try_push(state, kind, record, turn) {
            Err((state, Refusal::NotChecked)) => {
                drop(state);
                self.push_checked(record)
            }
            Err((state, refusal)) => Err(refused_by(state, refusal)),
            Ok(delivery) => Ok(delivery),
        }
    }

    #[cold]
    fn push_checked(&self, record: &[u8]) -> Result<Delivery, Refusal> {
        let record = validated(record)?;
        self.try_push(self.shared.lock(), Kind::Json, record, true)
            .map_err(|(state, refusal)| refused_by(state, refusal))
    }

    /// Takes the record, and tells the driver if that is news to it. A refusal gives the lock back.
    #[inline]
    fn try_push<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        kind: Kind,
        record: &[u8],
        turn: bool,
    ) -> Result<Delivery, (MutexGuard<'a, State>, Refusal)> {
        if !matches!(state.life, Life::Open) {
            return Err((state, Refusal::Gone));
        }
        if kind == Kind::Bytes && state.queue.framing() == Some(Framing::Array) {
            return Err((state, Refusal::NotChecked));
        }
        match state.queue.room(kind, record.len()) {
            Room::Yes if turn => {}
            Room::Yes | Room::Full => return Err((state, Refusal::Full)),
            Room::Never => return Err((state, Refusal::TooLarge)),
        }
        let (index, news) = state.queue.push(kind, record, || self.host.now());
        let delivery = Delivery::new(state.queue.receipt().clone(), index);
        if state.queue.seal_if_full() | news {
            self.announce(state);
        }
        Ok(delivery)
    }

    /// Tells the driver that there is something new, and starts it if need be. Not under the lock.
    #[cold]
    fn announce(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.driver.take();
        let start = !std::mem::replace(&mut state.started, true);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if start {
            self.host.start(self.shared.clone());
        }
    }

    pub(super) async fn push_wait(&self, kind: Kind, record: &[u8]) -> Result<Delivery, Refusal> {
        let (mut kind, mut record) = self.check(kind, record)?;
        let mut place = Place::new(&self.shared, Waiting::Room);
        poll_fn(|cx| {
            loop {
                let state = self.shared.lock();
                let turn = state.room.is_turn(place.ticket);
                match self.try_push(state, kind, record, turn) {
                    Err((mut state, Refusal::Full)) => {
                        let cost = state.queue.cost(kind, record.len());
                        state.room.wait(&mut place.ticket, cost, cx.waker());
                        send_what_lingers(state);
                        return Poll::Pending;
                    }
                    Err((state, Refusal::NotChecked)) => {
                        drop(state);
                        record = validated(record)?;
                        kind = Kind::Json;
                    }
                    pushed => return Poll::Ready(pushed.map_err(|(_, refusal)| refusal)),
                }
            }
        })
        .await
    }

    /// What can be found wrong with a record, or right, without the queue.
    #[inline]
    pub(super) fn check<'r>(&self, kind: Kind, record: &'r [u8]) -> Result<(Kind, &'r [u8]), Refusal> {
        if record.is_empty() {
            return Err(self.empty());
        }
        if kind == Kind::Bytes && self.shared.is_array() {
            return validated(record).map(|record| (Kind::Json, record));
        }
        Ok((kind, record))
    }

    #[cold]
    fn empty(&self) -> Refusal {
        if !matches!(self.shared.lock().life, Life::Open) {
            return Refusal::Gone;
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
            // What was not checked has been checked since, so that only the other can be meant.
            Refusal::Gone | Refusal::NotChecked => {
                self.shared.lock().refusal().unwrap_or(ProducerError::Closed)
            }
        }
    }
}

/// Where the queue is full, what lingers in it waits for nothing: it is sent.
#[cold]
fn send_what_lingers(mut state: MutexGuard<'_, State>) {
    if state.queue.hurry() {
        // The driver was started with the first of it.
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }
}

#[cold]
fn refused_by(state: MutexGuard<'_, State>, refusal: Refusal) -> Refusal {
    if matches!(refusal, Refusal::Full) {
        send_what_lingers(state);
    }
    refusal
}

/// A raw record of a JSON stream, if it is JSON.
pub(super) fn validated(record: &[u8]) -> Result<&[u8], Refusal> {
    json::validate(record).map_err(|error| {
        let error = Error::from(StreamError::from(error)).edit(|context| {
            context.operation = Some("append");
            context.detail = Some("a record of a JSON stream is one JSON text".into());
        });
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
