//! Receipts: one for each batch, shared by the [`Delivery`] of each record.

use super::error::ProducerError;
use crate::offset::Offset;
use crate::sync::lock;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// The acknowledgement of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// The stream's tail in the server's response: after the record's batch, possibly after later ones too. `None` if the
    /// server did not send it; some do not for a duplicate.
    pub offset: Option<Offset>,
    /// Whether the server had stored the batch already, by an earlier attempt whose response was lost.
    pub duplicate: bool,
    /// The epoch under which the batch was stored.
    pub epoch: u64,
    /// The batch's sequence number in that epoch.
    pub seq: u64,
}

/// The delivery receipt of one record: a future that completes once it is known whether the record is stored.
///
/// It may be ignored or dropped, which cancels nothing. It needs no runtime, may be awaited anywhere and
/// by reference, and may be polled again after it has completed: the result stays the same.
pub struct Delivery {
    receipt: Arc<Receipt>,
    index: u32,
    /// The index of its waker in the receipt.
    slot: u32,
}

const NO_SLOT: u32 = u32::MAX;

impl Delivery {
    pub(super) fn new(receipt: Arc<Receipt>, index: u32) -> Self {
        Self { receipt, index, slot: NO_SLOT }
    }

    /// The result, or `None` while it is not known.
    ///
    /// # Errors
    ///
    /// As the future: why the record is not stored, or why that is not known.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<Ack, ProducerError>> {
        lock(&self.receipt.state).result(self.index)
    }
}

impl Future for Delivery {
    type Output = Result<Ack, ProducerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = lock(&this.receipt.state);
        if let Some(result) = state.result(this.index) {
            return Poll::Ready(result);
        }
        let before = match state.waiting.get_mut(this.slot as usize) {
            // Polled again by the same task: nothing to store.
            Some((_, Some(waker))) if waker.will_wake(cx.waker()) => None,
            Some((_, waker)) => waker.replace(cx.waker().clone()),
            None => {
                // At most one slot for each record, whose number fits into 32 bits.
                this.slot = state.waiting.len() as u32;
                // Tasks usually wait in the order of the records. Then the concerned slots are found by binary search.
                state.mixed |= state.waiting.last().is_some_and(|(last, _)| *last > this.index);
                state.waiting.push((this.index, Some(cx.waker().clone())));
                None
            }
        };
        drop(state);
        // Not under the lock: dropping the last waker of a task drops the task, whose code may use this receipt.
        drop(before);
        Poll::Pending
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.try_result()).finish()
    }
}

/// The results of a batch's records. A batch that was split, or in which a record was refused, settles in pieces.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of the records.
    settled: Vec<Piece>,
    /// The waiting tasks, each with its record. A slot is kept as long as the receipt.
    waiting: Vec<(u32, Option<Waker>)>,
    /// The slots are not in the order of the records.
    mixed: bool,
}

#[derive(Debug)]
struct Piece {
    from: u32,
    to: u32,
    result: Result<Ack, ProducerError>,
}

impl State {
    fn result(&self, index: u32) -> Option<Result<Ack, ProducerError>> {
        piece_of(&self.settled, index).map(|piece| piece.result.clone())
    }
}

fn piece_of(settled: &[Piece], index: u32) -> Option<&Piece> {
    let at = settled.partition_point(|piece| piece.to <= index);
    settled.get(at).filter(|piece| piece.from <= index)
}

impl Receipt {
    /// Sets the result of the records `from..to`. Called once for each record. Returns the wakers, which the caller wakes
    /// once it holds no lock.
    #[must_use]
    pub(super) fn settle(&self, from: u32, to: u32, result: Result<Ack, ProducerError>) -> Vec<Waker> {
        self.settle_all([(from..to, result)])
    }

    /// Sets the results of several runs of records, with one pass over the waiting tasks at most.
    #[must_use]
    pub(super) fn settle_all(
        &self,
        runs: impl IntoIterator<Item = (Range<u32>, Result<Ack, ProducerError>)>,
    ) -> Vec<Waker> {
        let mut state = lock(&self.state);
        let State { settled, waiting, mixed } = &mut *state;
        let mut wakers = Vec::new();
        for (Range { start: from, end: to }, result) in runs {
            // Pieces do not overlap: each record is settled once.
            let at = settled.partition_point(|piece| piece.from <= from);
            settled.insert(at, Piece { from, to, result });
            // Each run finds its slots directly.
            if !*mixed {
                let place = |record: u32| waiting.partition_point(|(index, _)| *index < record);
                let concerned = place(from)..place(to);
                wakers.extend(waiting[concerned].iter_mut().filter_map(|(_, waker)| waker.take()));
            }
        }
        // One pass over all slots, for all runs together.
        if *mixed {
            let done = waiting.iter_mut().filter(|(index, _)| piece_of(settled, *index).is_some());
            wakers.extend(done.filter_map(|(_, waker)| waker.take()));
        }
        wakers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    fn wake(wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
    }

    fn ack(seq: u64) -> Result<Ack, ProducerError> {
        Ok(Ack { offset: None, duplicate: false, epoch: 0, seq })
    }

    #[test]
    fn pieces_settle_separately_and_stay_settled() {
        let receipt = Arc::new(Receipt::default());
        let mut first = Delivery::new(receipt.clone(), 0);
        let mut second = Delivery::new(receipt.clone(), 1);
        block_on(async {
            assert!(poll_once(&mut first).await.is_none());
            assert!(poll_once(&mut second).await.is_none());
            wake(receipt.settle(1, 2, ack(4)));
            assert!(poll_once(&mut first).await.is_none());
            assert_eq!((&mut second).await.unwrap().seq, 4);
            assert_eq!(second.await.unwrap().seq, 4);
            wake(receipt.settle(0, 1, Err(ProducerError::Closed)));
            assert!(matches!(first.await, Err(ProducerError::Closed)));
        });
    }

    #[test]
    fn repeated_poll_keeps_its_slot_and_the_last_waker_is_woken() {
        let receipt = Arc::new(Receipt::default());
        let mut delivery = Delivery::new(receipt.clone(), 0);
        for _ in 0..100 {
            let poll = Pin::new(&mut delivery).poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
        }
        assert_eq!(lock(&receipt.state).waiting.len(), 1);
        let task = std::thread::spawn(move || block_on(delivery));
        let is_untouched = || match &lock(&receipt.state).waiting[0].1 {
            Some(waker) => waker.will_wake(Waker::noop()),
            None => false,
        };
        while is_untouched() {
            std::thread::yield_now();
        }
        wake(receipt.settle(0, 1, ack(0)));
        assert!(task.join().unwrap().is_ok());
    }

    #[test]
    fn only_tasks_of_settled_records_are_woken_and_no_waker_is_kept() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        for polled in [[0, 1, 2, 3], [2, 0, 3, 1]] {
            let receipt = Arc::new(Receipt::default());
            let tasks: Vec<_> = (0..4).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
            let mut deliveries: Vec<_> = (0..4).map(|index| Delivery::new(receipt.clone(), index)).collect();
            for index in polled {
                let (delivery, task) = (&mut deliveries[index], &tasks[index]);
                let waker = Waker::from(task.clone());
                assert!(Pin::new(delivery).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            let woken = || tasks.iter().map(|task| task.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
            wake(receipt.settle_all([(3..4, ack(1)), (1..2, Err(ProducerError::Closed))]));
            assert_eq!(woken(), [0, 1, 0, 1]);
            wake(receipt.settle(2, 3, ack(2)));
            wake(receipt.settle(0, 1, ack(3)));
            assert_eq!(woken(), [1, 1, 1, 1]);
            // The receipt does not keep the tasks alive.
            assert!(tasks.iter().all(|task| Arc::strong_count(task) == 1));
            let results =
                deliveries.iter().map(|delivery| delivery.try_result().unwrap().ok().map(|ack| ack.seq));
            assert_eq!(results.collect::<Vec<_>>(), [Some(3), None, Some(2), Some(1)]);
        }
    }

    /// Dropping the last waker of a task drops the task.
    #[test]
    fn waker_that_is_replaced_may_use_the_receipt_in_its_drop() {
        struct Held(Mutex<Option<Delivery>>);
        impl Wake for Held {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Held {
            fn drop(&mut self) {
                let other = lock(&self.0).take();
                assert!(other.unwrap().try_result().is_none());
            }
        }
        let receipt = Arc::new(Receipt::default());
        let mut delivery = Delivery::new(receipt.clone(), 0);
        let first = Waker::from(Arc::new(Held(Mutex::new(Some(Delivery::new(receipt, 1))))));
        assert!(Pin::new(&mut delivery).poll(&mut Context::from_waker(&first)).is_pending());
        drop(first);
        let second = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut delivery).poll(&mut { second }).is_pending());
    }
}
