//! Takes batches from the queue, and finds out what is needed to send them.

use super::probe::probe;
use super::task::{Driver, Metadata};
use crate::producer::error::ProducerError;
use crate::producer::queue::batch::{BatchFraming, Sealed, Unframed};
use crate::producer::shared::{Life, State};
use durable_streams_contract::{HttpTransport, Runtime};
use std::task::{Context, Waker};

impl<T: HttpTransport, R: Runtime> Driver<T, R> {
    /// Takes the batches that are due out of the queue, as long as the machine wants them.
    pub(super) fn take_batches(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.now();
        let shared = self.shared.clone();
        let mut progress = false;
        loop {
            let mut state = shared.lock();
            // Set under the same lock under which the queue is read: a record that is appended after it wakes the task.
            if state.driver.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                state.driver = Some(cx.waker().clone());
            }
            self.report(&mut state);
            if state.is_detached && self.drain_until.is_none() {
                // A timeout beyond what an `Instant` can hold never ends.
                self.drain_until = now.checked_add(self.config.drain_timeout);
            }
            // After a halt as well: attempts in flight must not delay the end beyond the drain timeout.
            // With nothing left to deliver the task ends below, whatever the time.
            let is_unsettled =
                !self.attempts.is_empty() || self.machine.halted().is_none() && !state.queue.is_settled();
            if is_unsettled && self.drain_until.is_some_and(|until| until <= now) {
                // For the error. Read before `abort` settles them.
                let (records, bytes) = (state.queue.records(), state.queue.bytes());
                drop(state);
                self.attempts.clear();
                self.machine.abort(ProducerError::Timeout {
                    records,
                    bytes,
                    after: self.config.drain_timeout,
                });
                return true;
            }
            if let Some(cause) = self.machine.halted() {
                state.halt(cause);
                // There will be no more room for them.
                let wakers = state.room.take_if(|_| true);
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                return progress;
            }
            if !matches!(state.life, Life::Open) {
                // No record will follow, so the open batch need not wait for more.
                state.queue.flush();
                if state.queue.is_settled() && self.attempts.is_empty() {
                    let mut wakers = Vec::new();
                    self.finish(&mut state, &mut wakers);
                    drop(state);
                    wakers.into_iter().for_each(Waker::wake);
                    return progress;
                }
            }
            // In this order: `ensure_metadata` starts the metadata probe as soon as there is a record, while the window may be
            // full.
            if !self.ensure_metadata(&mut state) || !self.machine.wants_batch() {
                return progress;
            }
            let next = match self.ready.pop_front() {
                Some(batch) => Some(Sealed::Ready(batch)),
                // Without a batch that is due, `poll_timer` waits for the linger time.
                None => state.queue.pop(now),
            };
            drop(state);
            match next {
                None => return progress,
                Some(Sealed::Ready(batch)) => self.machine.push_batch(batch),
                Some(Sealed::Unframed(unframed)) => self.frame(unframed),
            }
            progress = true;
        }
    }

    /// Whether enough is known about the stream for the next batch. If not, starts the metadata probe.
    fn ensure_metadata(&mut self, state: &mut State) -> bool {
        match self.metadata {
            Metadata::Known => return true,
            Metadata::Requested(_) => return false,
            Metadata::Needed => {}
        }
        // A close without a record needs neither the content type nor the tail.
        if state.queue.is_close_only_next() {
            return true;
        }
        // A batch in flight can only be such a close: nothing is left to send for which a probe would be needed.
        if !state.queue.has_unsent() {
            return false;
        }
        // Another handle may have learned it since, by creating the stream for instance.
        if let (None, Some(known)) = (&self.wire.content_type, self.wire.stream.known_content_type()) {
            self.set_content_type(&known, state);
            if !self.config.machine.auto_claim {
                self.metadata = Metadata::Known;
                return true;
            }
        }
        // With a known content type the probe is for the tail only, and a server may refuse to report it.
        let needs_content_type = self.wire.content_type.is_none();
        let probe = probe(self.wire.clone(), self.config.clone(), needs_content_type);
        self.metadata = Metadata::Requested(Box::pin(probe));
        false
    }

    fn frame(&mut self, unframed: Unframed) {
        let framing = match &self.wire.content_type {
            Some(value) => value.to_str().map_or(BatchFraming::Bytes, BatchFraming::of),
            // The probe was refused, and the content type is not needed.
            None => BatchFraming::Bytes,
        };
        self.ready.extend(self.shared.frame(unframed, framing));
    }
}
