//! What the handles and the driver share, behind one short lock.

use super::batch::{Batch, Framing, Sealed, Unframed};
use super::delivery::Receipt;
use super::machine::Settled;
use super::queue::Queue;
use super::waiters::Waiters;
use super::{ProducerError, ProducerStats, UnsentRecord, lock};
use crate::offset::Offset;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

pub(super) struct Shared {
    state: Mutex<State>,
    /// The stream is known to be JSON, so raw records are to be checked before they are handed in. A hint.
    array: AtomicBool,
}

/// What may still be asked of the producer.
#[derive(Debug)]
pub(super) enum Life {
    Open,
    /// No more records; what there is is delivered, and with it the stream ends.
    Ending,
    /// No more records; what there is is delivered.
    Closed,
    Failed(ProducerError),
}

pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) life: Life,
    /// Nobody waits for the drain: it is bounded.
    pub(super) detached: bool,
    pub(super) started: bool,
    /// The driver has ended.
    pub(super) finished: bool,
    /// Wakes the driver, while it waits for news.
    pub(super) driver: Option<Waker>,
    /// Appends that wait for room: each for so many bytes.
    pub(super) room: Waiters<usize>,
    /// Flushes: each until all batches before this one are settled.
    pub(super) flushes: Waiters<u64>,
    /// A failure of single records that no flush has told of.
    pub(super) unreported: Option<ProducerError>,
    pub(super) unsent: Vec<Unsent>,
    /// Where the driver has ended: an offset before which none of the unsent is stored.
    pub(super) unsent_from: Option<Offset>,
    pub(super) counted: ProducerStats,
    pub(super) epoch: u64,
    /// The receipt of the stream's end, once that was asked for.
    pub(super) end: Option<Arc<Receipt>>,
}

/// What was not stored when the producer halted.
pub(super) enum Unsent {
    Batch { batch: Batch, may_be_stored: bool },
    Sealed(Sealed),
}

impl Unsent {
    pub(super) fn into_records(self) -> Vec<UnsentRecord> {
        match self {
            Self::Batch { batch, may_be_stored } => batch.unsent(may_be_stored).collect(),
            Self::Sealed(Sealed::Ready(batch)) => batch.unsent(false).collect(),
            Self::Sealed(Sealed::Unframed(unframed)) => unframed.unsent().collect(),
        }
    }
}

impl Shared {
    pub(super) fn new(queue: Queue, life: Life, epoch: u64) -> Self {
        let array = AtomicBool::new(queue.framing() == Some(Framing::Array));
        let finished = matches!(life, Life::Failed(_));
        let state = State {
            queue,
            life,
            detached: false,
            started: finished,
            finished,
            driver: None,
            room: Waiters::default(),
            flushes: Waiters::default(),
            unreported: None,
            unsent: Vec::new(),
            unsent_from: None,
            counted: ProducerStats::default(),
            epoch,
            end: None,
        };
        Self { state: Mutex::new(state), array }
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether the stream is known to be JSON.
    #[inline]
    pub(super) fn is_array(&self) -> bool {
        self.array.load(Ordering::Relaxed)
    }

    pub(super) fn set_framing(&self, state: &mut State, framing: Framing) {
        state.queue.set_framing(framing);
        self.array.store(framing == Framing::Array, Ordering::Relaxed);
    }

    /// Frames a batch from before the stream's type was known. Records that cannot stand in the stream fail here.
    pub(super) fn frame(&self, unframed: Unframed, framing: Framing) -> Vec<Batch> {
        let (id, cost) = (unframed.id, unframed.cost());
        let mut state = self.lock();
        // Under the lock: a flush tells of what a receipt has told.
        let closing = unframed.closing;
        let framed = unframed.frame(framing);
        if closing && framed.batches.is_empty() {
            state.reopen();
        }
        let saved = cost - framed.batches.iter().map(Batch::cost).sum::<usize>();
        let mut wakers = framed.wakers;
        state.counted.failed_records += framed.refused as u64;
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
    /// Why no record is taken.
    pub(super) fn refusal(&self) -> Option<ProducerError> {
        match &self.life {
            Life::Open => None,
            Life::Ending | Life::Closed => Some(ProducerError::Closed),
            Life::Failed(cause) => Some(cause.clone()),
        }
    }

    /// The driver has settled this batch. Returns it where its records are of no more use.
    pub(super) fn settle(
        &mut self,
        settled: Settled,
        halted: Option<&ProducerError>,
        wakers: &mut Vec<Waker>,
    ) -> Option<Batch> {
        let Settled { batch, outcome, may_be_stored } = settled;
        let (id, records, cost) = (batch.id, batch.records(), batch.cost());
        // Under the lock: whoever sees one of these changes sees the others.
        wakers.extend(batch.settle(outcome.clone()));
        wakers.extend(self.freed(id, records, cost));
        let Err(error) = outcome else {
            self.counted.acked_records += records as u64;
            self.counted.acked_bytes += batch.body.len() as u64;
            self.counted.acked_batches += 1;
            return Some(batch);
        };
        self.counted.failed_records += records as u64;
        let Some(cause) = halted else {
            if batch.closing {
                self.reopen();
            }
            self.unreported.get_or_insert(error);
            return Some(batch);
        };
        self.halt(cause);
        self.unsent.push(Unsent::Batch { batch, may_be_stored });
        None
    }

    /// Fails what was not even taken, for nothing more will be.
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
        self.counted.failed_records += records as u64;
        self.unsent.push(Unsent::Sealed(sealed));
        wakers.extend(self.freed(id, records, cost));
    }

    /// Who may go on, now that records of this batch are settled.
    fn freed(&mut self, id: u64, records: usize, cost: usize) -> Vec<Waker> {
        self.queue.settle(id, records, cost);
        let mut wakers = self.room_wakers();
        if !self.room.is_turn(None) {
            // For these there is no room still.
            self.queue.hurry();
        }
        let queue = &self.queue;
        wakers.extend(self.flushes.take_if(|target| queue.is_settled_before(*target)));
        wakers
    }

    /// Those waiting appends for which there is room by now.
    pub(super) fn room_wakers(&mut self) -> Vec<Waker> {
        let (mut bytes, mut records) = self.queue.free();
        self.room.take_while(|size| {
            let fits = *size <= bytes && records > 0;
            if fits {
                bytes -= *size;
                records -= 1;
            }
            fits
        })
    }

    pub(super) fn stats(&self) -> ProducerStats {
        ProducerStats {
            queued_records: self.queue.records(),
            queued_bytes: self.queue.bytes(),
            ..self.counted
        }
    }

    /// The stream's last record failed by itself, and the stream did not end: neither happened.
    fn reopen(&mut self) {
        self.end = None;
        if matches!(self.life, Life::Ending) {
            self.life = Life::Open;
        }
    }

    /// Takes no more records, now or later.
    pub(super) fn close(&mut self) {
        if matches!(self.life, Life::Open | Life::Ending) {
            self.life = Life::Closed;
        }
    }

    /// Nothing more is taken, and everything says why. The first cause holds.
    pub(super) fn halt(&mut self, cause: &ProducerError) {
        if !matches!(self.life, Life::Failed(_)) {
            self.life = Life::Failed(cause.clone());
        }
    }

    /// What a flush says when it is done.
    pub(super) fn flushed(&mut self) -> Result<(), ProducerError> {
        match (&self.life, self.unreported.take()) {
            (Life::Failed(cause), _) => Err(cause.clone()),
            (_, Some(failure)) => Err(failure),
            (_, None) => Ok(()),
        }
    }
}
