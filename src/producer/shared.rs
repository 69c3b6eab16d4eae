//! What the handles and the driver share, behind one short lock.
//!
//! # The producer's lifecycle
//!
//! Three facts, each with one writer:
//!
//! | fact | values | set by |
//! |---|---|---|
//! | [`Life`] | `Open` → `Ending` or `Closed` → `Failed` | handles; `Failed` by the driver once the machine halts |
//! | [`Task`] | `NotStarted` → `Running` → `Finished` | handles start it with the first record; the driver ends it |
//! | `is_detached` | false → true | the last handle, or `detach` |
//!
//! `Life` says whether records are accepted, `Task` whether anything can still change. A detached producer delivers what
//! it has within the drain timeout. `Ending` returns to `Open` if the last record of a close fails on its own.

use super::error::ProducerError;
use super::machine::Settled;
use super::queue::batch::{Batch, BatchFraming, Sealed, Unframed};
use super::queue::buffer::Queue;
use super::queue::waiters::Waiters;
use super::receipt::Receipt;
use super::stats::ProducerStats;
use super::unacked::UnackedRecord;
use crate::offset::Offset;
use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

pub(super) struct Shared {
    state: Mutex<State>,
    /// The stream is known to be JSON: handles validate records before they take the lock. Only a hint; `queue.framing`
    /// decides.
    is_json: AtomicBool,
}

/// Which operations the producer accepts.
#[derive(Debug)]
pub(super) enum Life {
    Open,
    /// No more records. What is queued is delivered, and the last batch closes the stream.
    Ending,
    /// No more records. What is queued is delivered.
    Closed,
    /// Halted with this error.
    Failed(ProducerError),
}

/// The state of the driver's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// It starts with the first record.
    NotStarted,
    Running,
    /// It has ended, or will never start.
    Finished,
}

pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) life: Life,
    pub(super) task: Task,
    /// No handle is left: the drain timeout runs.
    pub(super) is_detached: bool,
    /// Wakes the driver. `None` while it is running, or already woken.
    pub(super) driver: Option<Waker>,
    /// Appends that wait for room, each with the bytes that it needs.
    pub(super) room: Waiters<usize>,
    /// Flushes, each with the id of the batch before which all must be settled.
    pub(super) flushes: Waiters<u64>,
    /// The failure of a single record that no flush has returned yet.
    pub(super) unreported: Option<ProducerError>,
    pub(super) unacked: Vec<Unacked>,
    /// Set when the task finishes: an offset before which no record of `unacked` is stored.
    pub(super) unacked_from: Option<Offset>,
    /// Without the queue's part, which [`State::stats`] adds.
    pub(super) stats: ProducerStats,
    pub(super) epoch: u64,
    /// The receipt of the close of the stream, once that was requested.
    pub(super) close: Option<Arc<Receipt>>,
}

/// A batch that was not acknowledged when the producer halted.
pub(super) enum Unacked {
    /// The machine had it.
    Batch { batch: Batch, may_be_stored: bool },
    /// It was still queued.
    Sealed(Sealed),
}

impl Unacked {
    pub(super) fn into_records(self) -> Vec<UnackedRecord> {
        match self {
            Self::Batch { batch, may_be_stored } => batch.unacked(may_be_stored).collect(),
            Self::Sealed(Sealed::Ready(batch)) => batch.unacked(false).collect(),
            Self::Sealed(Sealed::Unframed(unframed)) => unframed.unacked().collect(),
        }
    }
}

impl Shared {
    pub(super) fn new(queue: Queue, life: Life, epoch: u64) -> Self {
        let is_json = AtomicBool::new(queue.framing() == Some(BatchFraming::Array));
        let task = if matches!(life, Life::Failed(_)) { Task::Finished } else { Task::NotStarted };
        let state = State {
            queue,
            life,
            task,
            is_detached: false,
            driver: None,
            room: Waiters::default(),
            flushes: Waiters::default(),
            unreported: None,
            unacked: Vec::new(),
            unacked_from: None,
            stats: ProducerStats::default(),
            epoch,
            close: None,
        };
        Self { state: Mutex::new(state), is_json }
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether the stream is known to be JSON.
    #[inline]
    pub(super) fn is_json(&self) -> bool {
        self.is_json.load(Ordering::Relaxed)
    }

    pub(super) fn set_framing(&self, state: &mut State, framing: BatchFraming) {
        state.queue.set_framing(framing);
        self.is_json.store(framing == BatchFraming::Array, Ordering::Relaxed);
    }

    /// Frames a batch that was queued before the content type was known. Records that are not valid in the stream fail.
    pub(super) fn frame(&self, unframed: Unframed, framing: BatchFraming) -> Vec<Batch> {
        let (id, cost) = (unframed.id, unframed.cost());
        let mut state = self.lock();
        // Under the lock: a flush must return a failure that a receipt has returned.
        let closing = unframed.closing;
        let framed = unframed.frame(framing);
        // Its last record was refused, so there is nothing that could close the stream.
        if closing && framed.batches.is_empty() {
            state.reopen();
        }
        // Before framing, the queue counted one byte for each record, which bytes do not need.
        let saved = cost - framed.batches.iter().map(Batch::cost).sum::<usize>();
        let mut wakers = framed.wakers;
        state.stats.failed_records += framed.refused as u64;
        if state.unreported.is_none() {
            state.unreported = framed.error;
        }
        wakers.extend(match framed.refused {
            0 => {
                state.queue.shrink(saved);
                state.room_wakers()
            }
            refused => state.freed(id, refused, saved),
        });
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        framed.batches
    }
}

impl State {
    /// Why no record is accepted, if none is.
    pub(super) fn refusal(&self) -> Option<ProducerError> {
        match &self.life {
            Life::Open => None,
            Life::Ending | Life::Closed => Some(ProducerError::Closed),
            Life::Failed(cause) => Some(cause.clone()),
        }
    }

    /// Publishes the result of a batch. Returns the batch if its records are not needed any more.
    pub(super) fn settle(
        &mut self,
        settled: Settled,
        halted: Option<&ProducerError>,
        wakers: &mut Vec<Waker>,
    ) -> Option<Batch> {
        let Settled { batch, result, may_be_stored } = settled;
        let (id, records, cost) = (batch.id, batch.records(), batch.cost());
        // Under the lock: a task that sees one of these changes sees all of them.
        wakers.extend(batch.settle(result.clone()));
        wakers.extend(self.freed(id, records, cost));
        // The batch is returned, so that its memory is released without the lock.
        let Err(error) = result else {
            self.stats.acked_records += records as u64;
            self.stats.acked_bytes += batch.body.len() as u64;
            self.stats.acked_batches += 1;
            return Some(batch);
        };
        self.stats.failed_records += records as u64;
        // A single record has failed, and the producer continues.
        let Some(cause) = halted else {
            if batch.closing {
                self.reopen();
            }
            self.unreported.get_or_insert(error);
            return Some(batch);
        };
        self.halt(cause);
        // The records stay in the batch's buffer until the application takes them.
        self.unacked.push(Unacked::Batch { batch, may_be_stored });
        None
    }

    /// Fails a batch that was still queued when the producer halted.
    pub(super) fn fail(&mut self, sealed: Sealed, cause: &ProducerError, wakers: &mut Vec<Waker>) {
        let (id, records, cost) = match &sealed {
            Sealed::Ready(batch) => {
                wakers.extend(batch.settle(Err(cause.clone())));
                (batch.id, batch.records(), batch.cost())
            }
            Sealed::Unframed(unframed) => {
                wakers.extend(unframed.settle(Err(cause.clone())));
                (unframed.id, unframed.records(), unframed.cost())
            }
        };
        self.stats.failed_records += records as u64;
        self.unacked.push(Unacked::Sealed(sealed));
        wakers.extend(self.freed(id, records, cost));
    }

    /// Removes settled records from the accounts. Returns the wakers of tasks that waited for that.
    fn freed(&mut self, id: u64, records: usize, cost: usize) -> Vec<Waker> {
        self.queue.settle(id, records, cost);
        let mut wakers = self.room_wakers();
        // The queue is full. If nothing is in flight, only the open batch can make room.
        if !self.room.is_turn(None) {
            // Some appends still have no room.
            self.queue.flush_if_idle();
        }
        let queue = &self.queue;
        wakers.extend(self.flushes.take_if(|target| queue.is_settled_before(*target)));
        wakers
    }

    /// Removes the waiting appends for which there is room now. Returns their wakers.
    pub(super) fn room_wakers(&mut self) -> Vec<Waker> {
        let (mut bytes, mut records) = self.queue.free();
        self.room.take_while(|size| {
            let fits = *size <= bytes && records > 0;
            if fits {
                // Room is promised to each woken task, so that no more are woken than fit. An append that does not wait
                // may still take it; then the woken one waits again with its old ticket.
                bytes -= *size;
                records -= 1;
            }
            fits
        })
    }

    pub(super) fn stats(&self) -> ProducerStats {
        ProducerStats { queued_records: self.queue.records(), queued_bytes: self.queue.bytes(), ..self.stats }
    }

    /// Undoes a close of the stream whose last record failed on its own: the stream was not closed.
    fn reopen(&mut self) {
        self.close = None;
        if matches!(self.life, Life::Ending) {
            self.life = Life::Open;
        }
    }

    /// Accepts no more records.
    pub(super) fn close(&mut self) {
        if matches!(self.life, Life::Open | Life::Ending) {
            self.life = Life::Closed;
        }
    }

    /// Accepts nothing more. The first cause is kept.
    pub(super) fn halt(&mut self, cause: &ProducerError) {
        if !matches!(self.life, Life::Failed(_)) {
            self.life = Life::Failed(cause.clone());
        }
    }

    /// Marks the task as running. Returns whether the caller has to start it.
    pub(super) fn start_task(&mut self) -> bool {
        let starts = self.task == Task::NotStarted;
        if starts {
            self.task = Task::Running;
        }
        starts
    }

    /// The result of a flush whose batches are settled.
    pub(super) fn flush_result(&mut self) -> Result<(), ProducerError> {
        match (&self.life, self.unreported.take()) {
            // The cause of a halt comes before the failure of a single record.
            (Life::Failed(cause), _) => Err(cause.clone()),
            (_, Some(failure)) => Err(failure),
            (_, None) => Ok(()),
        }
    }
}
