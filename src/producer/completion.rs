//! Waiting for a flush, a close, or the close of the stream.

use super::append::{Refusal, validated};
use super::error::ProducerError;
use super::host::Handles;
use super::queue::batch::{BatchFraming, RecordKind};
use super::queue::buffer::Room;
use super::receipt::{Ack, Delivery};
use super::shared::{Life, Task};
use super::wait_guard::{WaitGuard, Waiting};
use bytes::Bytes;
use std::future::poll_fn;
use std::task::{Poll, Waker};

impl Handles {
    /// Waits until all records appended so far are settled, or, with `close`, until the producer has ended.
    pub(super) async fn settled(&self, close: bool) -> Result<(), ProducerError> {
        let shared = &self.shared;
        let mut guard = WaitGuard::new(shared, Waiting::Flushes);
        let (target, waker, room) = {
            let mut state = shared.lock();
            // Everything appended so far is before this target. Later records do not delay the flush.
            let target = state.queue.flush();
            let mut room = Vec::new();
            if close {
                state.close();
                // Waiting appends are refused now.
                room = state.room.take_if(|_| true);
            }
            // No record was appended, and none will be: the task never starts.
            if close && state.task == Task::NotStarted {
                state.task = Task::Finished;
            }
            (target, state.driver.take(), room)
        };
        waker.into_iter().chain(room).for_each(Waker::wake);
        poll_fn(|cx| {
            let mut state = shared.lock();
            let failed = matches!(state.life, Life::Failed(_));
            // A flush waits for its target, a close and a failed producer for the end of the task: only then are all
            // unacknowledged records available.
            let done =
                state.task == Task::Finished || !close && !failed && state.queue.is_settled_before(target);
            if done {
                return Poll::Ready(state.flush_result());
            }
            // A close waits for the end of the task.
            let target = if close || failed { u64::MAX } else { target };
            state.flushes.wait(&mut guard.ticket, target, cx.waker());
            Poll::Pending
        })
        .await
    }

    pub(super) async fn close_stream(&self, last: Option<Bytes>) -> Result<Ack, ProducerError> {
        let shared = &self.shared;
        // Validated before the lock, like any record.
        let last = match &last {
            None => None,
            Some(data) => Some(
                self.check(RecordKind::Bytes, data)
                    .map_err(|refusal| self.refused(refusal, || data.clone()))?,
            ),
        };
        let (receipt, wakers, start) = {
            let mut state = shared.lock();
            match (&state.life, &state.close) {
                // Closing again waits for the same result.
                (_, Some(receipt)) => (receipt.clone(), Vec::new(), false),
                (Life::Open, None) => {
                    // The content type may have become known since the check.
                    let last = match last {
                        Some((RecordKind::Bytes, record))
                            if state.queue.framing() == Some(BatchFraming::Array) =>
                        {
                            let checked =
                                validated(record).map_err(|refusal| self.refused(refusal, Bytes::new))?;
                            Some((RecordKind::Json, checked))
                        }
                        last => last,
                    };
                    if let Some((kind, record)) = last
                        // A queue that is full for now does not matter: no record follows, so its limit is exceeded by
                        // one record at most.
                        && state.queue.room(kind, record.len()) == Room::Never
                    {
                        let record = Bytes::copy_from_slice(record);
                        drop(state);
                        return Err(self.refused(Refusal::TooLarge, || record));
                    }
                    let receipt = state.queue.push_close(last, || self.host.now());
                    state.close = Some(receipt.clone());
                    // `Ending`, not `Closed`: if the last record fails on its own, the producer is open again.
                    state.life = Life::Ending;
                    let mut wakers = state.room.take_if(|_| true);
                    wakers.extend(state.driver.take());
                    let start = state.start_task();
                    (receipt, wakers, start)
                }
                _ => return Err(state.refusal().unwrap_or(ProducerError::Closed)),
            }
        };
        wakers.into_iter().for_each(Waker::wake);
        if start {
            self.host.start(shared.clone());
        }
        // The close has the first and only slot of its receipt.
        Delivery::new(receipt, 0).await
    }
}
