//! Receipts: one for each batch, shared by the [`Delivery`] of each of its records.

use super::ProducerError;
use super::lock;
use crate::Offset;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Where a record came to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// The tail after the record's batch, or after later ones that the server had by the time of its answer. `None` where
    /// the server did not say it, as some do for a duplicate.
    pub offset: Option<Offset>,
    /// Whether the server had the batch already, from an earlier attempt whose answer was lost.
    pub duplicate: bool,
    /// The epoch under which the batch was stored.
    pub epoch: u64,
    /// The batch's sequence number in that epoch.
    pub seq: u64,
}

/// The receipt of one record: a future that is ready once it is known whether the record is stored.
///
/// It may be ignored or dropped, which cancels nothing. It needs no runtime, may be awaited anywhere and
/// by reference, and once it is ready it stays so.
pub struct Delivery {
    receipt: Arc<Receipt>,
    index: u32,
    /// Where its waker stands in the receipt.
    slot: u32,
}

const NO_SLOT: u32 = u32::MAX;

impl Delivery {
    pub(super) fn new(receipt: Arc<Receipt>, index: u32) -> Self {
        Self { receipt, index, slot: NO_SLOT }
    }

    /// What is known by now: `None` while the record is on its way.
    ///
    /// # Errors
    ///
    /// As the future: why the record is not stored, or not known to be.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<Ack, ProducerError>> {
        lock(&self.receipt.state).outcome(self.index)
    }
}

impl Future for Delivery {
    type Output = Result<Ack, ProducerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = lock(&this.receipt.state);
        if let Some(outcome) = state.outcome(this.index) {
            return Poll::Ready(outcome);
        }
        match state.wakers.get_mut(this.slot as usize) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                // One slot for each record at most, which are counted in 32 bits.
                this.slot = state.wakers.len() as u32;
                state.wakers.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.try_result()).finish()
    }
}

/// What became of a batch's records. A batch that was split, or had a record refused, settles in pieces.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settled: Vec<Piece>,
    /// Those who wait, in slots that stay until the receipt goes.
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Piece {
    from: u32,
    to: u32,
    outcome: Result<Ack, ProducerError>,
}

impl State {
    fn outcome(&self, index: u32) -> Option<Result<Ack, ProducerError>> {
        let piece = self.settled.iter().find(|piece| (piece.from..piece.to).contains(&index));
        piece.map(|piece| piece.outcome.clone())
    }
}

impl Receipt {
    /// Says what became of the records from `from` to before `to`. The first word holds. Returns who is to be woken,
    /// for a caller that holds a lock.
    #[must_use]
    pub(super) fn settle(&self, from: u32, to: u32, outcome: Result<Ack, ProducerError>) -> Vec<Waker> {
        let mut state = lock(&self.state);
        state.settled.push(Piece { from, to, outcome });
        // The slots stay: records of other pieces may wait still.
        state.wakers.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn wake(wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
    }

    fn ack(seq: u64) -> Result<Ack, ProducerError> {
        Ok(Ack { offset: None, duplicate: false, epoch: 0, seq })
    }

    #[test]
    fn pieces_settle_on_their_own_and_stay_settled() {
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
    fn polling_again_takes_no_second_slot_and_the_last_waker_is_woken() {
        let receipt = Arc::new(Receipt::default());
        let mut delivery = Delivery::new(receipt.clone(), 0);
        for _ in 0..100 {
            let poll = Pin::new(&mut delivery).poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
        }
        assert_eq!(lock(&receipt.state).wakers.len(), 1);
        let task = std::thread::spawn(move || block_on(delivery));
        while lock(&receipt.state).wakers[0].will_wake(Waker::noop()) {
            std::thread::yield_now();
        }
        wake(receipt.settle(0, 1, ack(0)));
        assert!(task.join().unwrap().is_ok());
    }
}
