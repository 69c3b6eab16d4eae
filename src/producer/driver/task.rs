//! The task itself. The [module's page](super) has the order of a round.

use super::probe::probe;
use super::wire::{StreamMetadata, Wire};
use crate::error::Error;
use crate::producer::config::{Config, Decision};
use crate::producer::error::ProducerError;
use crate::producer::machine::{AttemptResult, Machine};
use crate::producer::queue::batch::{Batch, BatchFraming, Sealed};
use crate::producer::shared::{Shared, State, Task};
use crate::stream::values::content_type_value;
use durable_streams_contract::{HttpTransport, Runtime, Sleep};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

type Pending<O> = Pin<Box<dyn Future<Output = O> + Send>>;
type PendingProbe = Pending<Result<Option<StreamMetadata>, Error>>;

pub(in crate::producer) struct Driver<T: HttpTransport, R: Runtime> {
    pub(super) shared: Arc<Shared>,
    pub(super) config: Arc<Config>,
    pub(super) wire: Wire<T, R>,
    pub(super) machine: Machine,
    /// Batches that were framed after the content type became known. They are sent before those in the queue.
    pub(super) ready: VecDeque<Batch>,
    /// The attempts in flight, each with the machine's key.
    pub(super) attempts: Vec<(u64, Pending<AttemptResult>)>,
    pub(super) metadata: Metadata,
    /// The tail check after a state loss.
    pub(super) tail_check: Option<PendingProbe>,
    pub(super) timer: Option<(Instant, Sleep)>,
    /// When a producer without handles stops.
    pub(super) drain_until: Option<Instant>,
    pub(super) is_finished: bool,
    #[cfg(feature = "tracing")]
    pub(super) span: tracing::Span,
}

/// The metadata probe before the first batch with records.
pub(super) enum Metadata {
    Needed,
    Requested(PendingProbe),
    Known,
}

/// After this many rounds the task yields to others.
const MAX_ROUNDS: u32 = 32;

impl<T: HttpTransport, R: Runtime> Driver<T, R> {
    pub(in crate::producer) fn new(shared: Arc<Shared>, wire: Wire<T, R>, config: Arc<Config>) -> Self {
        let machine = Machine::new(config.machine.clone());
        let metadata = if wire.content_type.is_some() && !config.machine.auto_claim {
            Metadata::Known
        } else {
            Metadata::Needed
        };
        #[cfg(feature = "tracing")]
        let span =
            tracing::info_span!("producer", id = ?wire.id, url = wire.stream.shown_url().unwrap_or_default());
        Self {
            shared,
            config,
            wire,
            machine,
            ready: VecDeque::new(),
            attempts: Vec::new(),
            metadata,
            tail_check: None,
            timer: None,
            drain_until: None,
            is_finished: false,
            #[cfg(feature = "tracing")]
            span,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.wire.stream.client().runtime().now()
    }

    /// Does everything that can be done now. Returns whether anything was.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        // The order is documented on the module's page.
        let mut progress = self.poll_probes(cx);
        progress |= self.poll_attempts(cx);
        self.publish_settled();
        if self.is_finished {
            return true;
        }
        if self.tail_check.is_none() && self.machine.begin_tail_check(self.now()) {
            self.tail_check = Some(Box::pin(probe(self.wire.clone(), self.config.clone(), false)));
        }
        progress |= self.take_batches(cx);
        progress |= self.poll_probes(cx);
        progress |= self.send();
        self.publish_settled();
        progress || self.poll_timer(cx)
    }

    fn poll_probes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        if let Metadata::Requested(probe) = &mut self.metadata
            && let Poll::Ready(result) = probe.as_mut().poll(cx)
        {
            self.metadata = Metadata::Known;
            match result {
                Ok(Some(StreamMetadata { content_type, tail })) => {
                    self.machine.on_metadata(tail);
                    self.learn_content_type(&content_type);
                }
                // The server does not report its metadata, and the content type is configured.
                Ok(None) => {}
                Err(error) => self.machine.halt(error.into()),
            }
            progress = true;
        }
        if let Some(check) = &mut self.tail_check
            && let Poll::Ready(result) = check.as_mut().poll(cx)
        {
            self.tail_check = None;
            match result {
                Ok(metadata) => {
                    let tail = metadata.map(|metadata| metadata.tail);
                    self.machine.on_tail(tail.as_ref(), self.now());
                }
                Err(error) => self.machine.halt(error.into()),
            }
            progress = true;
        }
        progress
    }

    /// Records that are appended from now on are encoded at once.
    fn learn_content_type(&mut self, content_type: &str) {
        // A configured content type is not replaced.
        if self.wire.content_type.is_some() {
            return;
        }
        self.wire.stream.learn_content_type(content_type);
        let shared = self.shared.clone();
        self.set_content_type(content_type, &mut shared.lock());
    }

    pub(super) fn set_content_type(&mut self, content_type: &str, state: &mut State) {
        match content_type_value(content_type) {
            Ok(value) => {
                self.wire.content_type = Some(value);
                self.shared.set_framing(state, BatchFraming::of(content_type));
            }
            Err(error) => self.machine.halt(error.into()),
        }
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> bool {
        let mut index = 0;
        let mut progress = false;
        while index < self.attempts.len() {
            let (key, attempt) = &mut self.attempts[index];
            let Poll::Ready(result) = attempt.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let key = *key;
            // The order of `attempts` does not matter: the machine finds the batch by its key.
            drop(self.attempts.swap_remove(index));
            let result = self.ask_application(result);
            let runtime = self.wire.stream.client().runtime();
            self.machine.on_result(key, result, runtime.now(), runtime.random());
            progress = true;
        }
        progress
    }

    /// Lets the application's error handler turn a final failure into a retry.
    fn ask_application(&self, result: AttemptResult) -> AttemptResult {
        match result {
            AttemptResult::Failed { error, fate, retry: false } if !self.machine.shows_state_loss(&error) => {
                let retry = match self.config.decide(&error) {
                    Decision::Retry { headers } => {
                        self.wire.set_extra_headers(headers);
                        true
                    }
                    Decision::Stop => false,
                };
                AttemptResult::Failed { error, fate, retry }
            }
            result => result,
        }
    }

    /// Publishes settled batches. Once the producer has halted and nothing is in flight, also everything that remains.
    fn publish_settled(&mut self) {
        let settled = self.machine.take_settled();
        let halted = self.machine.halted().cloned();
        // Only once: `finish` sets `is_finished`.
        let final_cause = halted.as_ref().filter(|_| self.machine.is_idle() && !self.is_finished);
        if settled.is_empty() && final_cause.is_none() {
            return;
        }
        let shared = self.shared.clone();
        let mut wakers = Vec::new();
        // All under one lock: a task that learns of the failure can take all unacknowledged records at once.
        let mut state = shared.lock();
        let stored: Vec<Batch> = settled
            .into_iter()
            .filter_map(|settled| state.settle(settled, halted.as_ref(), &mut wakers))
            .collect();
        if let Some(cause) = final_cause {
            state.halt(cause);
            // In the order in which they were appended: first the batches that were framed late, then the queue.
            for sealed in self.ready.drain(..).map(Sealed::Ready).chain(state.queue.take_all()) {
                state.fail(sealed, cause, &mut wakers);
            }
            self.finish(&mut state, &mut wakers);
        }
        drop(state);
        // Releasing their memory needs no lock.
        drop(stored);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Copies the machine's counters for the handles.
    pub(super) fn report(&self, state: &mut State) {
        let counters = self.machine.counters();
        state.epoch = self.machine.epoch();
        state.stats.in_flight = self.machine.in_flight();
        state.stats.requests = counters.requests;
        state.stats.resent = counters.resent;
        state.stats.duplicates = counters.duplicates;
        state.stats.gaps = counters.gaps;
        state.stats.claims = counters.claims;
    }

    /// Ends the task, and wakes every task that waits for the producer.
    pub(super) fn finish(&mut self, state: &mut State, wakers: &mut Vec<Waker>) {
        self.is_finished = true;
        self.report(state);
        state.unacked_from = self.machine.unacked_from().cloned();
        state.task = Task::Finished;
        state.driver = None;
        wakers.extend(state.room.take_if(|_| true));
        wakers.extend(state.flushes.take_if(|_| true));
    }

    fn send(&mut self) -> bool {
        let now = self.now();
        let mut progress = false;
        while let Some(attempt) = self.machine.next_attempt(now) {
            let needs_tail = self.machine.compares_tails();
            let key = attempt.key;
            self.attempts.push((key, Box::pin(self.wire.clone().send(attempt, needs_tail))));
            progress = true;
        }
        progress
    }

    /// Sleeps until the next deadline. Returns whether it has passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        // The linger time matters only if a batch could be sent.
        let mut deadlines = [self.machine.deadline(), self.drain_until, None];
        if matches!(self.metadata, Metadata::Known) && self.machine.wants_batch() {
            deadlines[2] = self.shared.lock().queue.due_at();
        }
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            self.timer = None;
            return false;
        };
        // A running timer is kept if it fires early enough: the round after it looks again.
        let timer = match &mut self.timer {
            Some((at, sleep)) if *at <= deadline => sleep,
            timer => {
                let runtime = self.wire.stream.client().runtime();
                let wait = deadline.saturating_duration_since(runtime.now());
                &mut timer.insert((deadline, runtime.sleep(wait))).1
            }
        };
        let fired = Pin::new(timer).poll(cx).is_ready();
        if fired {
            self.timer = None;
        }
        fired
    }
}

impl<T: HttpTransport, R: Runtime> Future for Driver<T, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "tracing")]
        let _entered = self.span.clone().entered();
        for _ in 0..MAX_ROUNDS {
            let progress = self.round(cx);
            if self.is_finished {
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
        // There is more to do: other tasks of the executor run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// If the runtime drops the task before its end, everything that waits for it gets an error.
impl<T: HttpTransport, R: Runtime> Drop for Driver<T, R> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        #[cfg(feature = "tracing")]
        let _entered = self.span.clone().entered();
        self.attempts.clear();
        self.machine.abort(ProducerError::RuntimeGone);
        self.publish_settled();
    }
}
