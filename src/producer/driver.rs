//! The task of a producer: connects the machine to the queue, the wire and the clock.

use super::ProducerError;
use super::batch::{Batch, Framing, Sealed};
use super::builder::Config;
use super::machine::{Answer, Machine};
use super::probe::{Findings, probe};
use super::request::Wire;
use super::shared::{Life, Shared, State};
use crate::error::Error;
use crate::stream::values::content_type_value;
use durable_streams_contract::{HttpTransport, Runtime, Sleep};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

type Pending<O> = Pin<Box<dyn Future<Output = O> + Send>>;

pub(super) struct Driver<T: HttpTransport, R: Runtime> {
    shared: Arc<Shared>,
    config: Arc<Config>,
    wire: Wire<T, R>,
    machine: Machine,
    /// Batches that were framed late, and go before those of the queue.
    ready: VecDeque<Batch>,
    attempts: Vec<(u64, Pending<Answer>)>,
    probe: Probe,
    timer: Option<(Instant, Sleep)>,
    /// When a producer that nobody holds any more gives up.
    drain_until: Option<Instant>,
    ended: bool,
    /// Says whose the machine's events are.
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

/// Asking the server about the stream: before the first batch, and when it has forgotten the producer.
enum Probe {
    Needed,
    Running(Pending<Result<Findings, Error>>),
    Done,
}

/// After so many rounds the task lets others run.
const ROUNDS: u32 = 32;

impl<T: HttpTransport, R: Runtime> Driver<T, R> {
    pub(super) fn new(shared: Arc<Shared>, wire: Wire<T, R>, config: Arc<Config>) -> Self {
        let machine = Machine::new(config.machine.clone());
        let probe = if wire.content_type.is_some() && !config.machine.auto_claim {
            Probe::Done
        } else {
            Probe::Needed
        };
        #[cfg(feature = "tracing")]
        let span =
            tracing::info_span!("producer", id = ?wire.id, url = wire.stream.url().unwrap_or_default());
        Self {
            shared,
            config,
            wire,
            machine,
            ready: VecDeque::new(),
            attempts: Vec::new(),
            probe,
            timer: None,
            drain_until: None,
            ended: false,
            #[cfg(feature = "tracing")]
            span,
        }
    }

    fn now(&self) -> Instant {
        self.wire.stream.client().runtime().now()
    }

    /// Everything that can be done now; whether something was.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = self.poll_probe(cx);
        progress |= self.poll_attempts(cx);
        self.settle();
        if self.ended {
            return true;
        }
        if !matches!(self.probe, Probe::Running(_)) && self.machine.asks_tail(self.now()) {
            self.probe = Probe::Running(Box::pin(probe(self.wire.clone(), self.config.clone(), false)));
        }
        progress |= self.take_batches(cx);
        // If it was only just started, it has to be polled.
        progress |= self.poll_probe(cx);
        progress |= self.send();
        self.settle();
        progress || self.poll_timer(cx)
    }

    fn poll_probe(&mut self, cx: &mut Context<'_>) -> bool {
        let Probe::Running(probe) = &mut self.probe else { return false };
        let Poll::Ready(found) = probe.as_mut().poll(cx) else { return false };
        self.probe = Probe::Done;
        match found {
            Ok(Findings { facts, extra_headers }) => {
                self.wire.extra_headers = extra_headers;
                if self.machine.asks_tail(self.now()) {
                    let tail = facts.map(|facts| facts.tail);
                    self.machine.tail(tail.as_ref(), self.now());
                } else if let Some(facts) = facts {
                    self.machine.set_tail_before(Some(facts.tail));
                    self.learn(&facts.content_type);
                }
            }
            Err(error) => self.machine.halt(error.into()),
        }
        true
    }

    /// The stream's content type is known: from here on records are framed as they come.
    fn learn(&mut self, content_type: &str) {
        if self.wire.content_type.is_some() {
            return;
        }
        self.wire.stream.learn_content_type(content_type);
        let shared = self.shared.clone();
        self.set_content_type(content_type, &mut shared.lock());
    }

    fn set_content_type(&mut self, content_type: &str, state: &mut State) {
        match content_type_value(content_type) {
            Ok(value) => {
                self.wire.content_type = Some(value);
                self.shared.set_framing(state, Framing::of(content_type));
            }
            Err(error) => self.machine.halt(error.into()),
        }
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> bool {
        let mut index = 0;
        let mut progress = false;
        while index < self.attempts.len() {
            let (key, attempt) = &mut self.attempts[index];
            let Poll::Ready(answer) = attempt.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let key = *key;
            drop(self.attempts.swap_remove(index));
            let answer = self.consult(answer);
            let runtime = self.wire.stream.client().runtime();
            self.machine.answer(key, answer, runtime.now(), runtime.random());
            progress = true;
        }
        progress
    }

    /// Asks the application about an error that would be the end.
    fn consult(&mut self, answer: Answer) -> Answer {
        match answer {
            Answer::Failed { error, fate, again: false } => {
                let again = self.config.consult(&error, &mut self.wire.extra_headers);
                Answer::Failed { error, fate, again }
            }
            answer => answer,
        }
    }

    /// Says what became of batches; and, once a producer that halted has nothing on its way any more, of all the rest.
    fn settle(&mut self) {
        let settled = self.machine.take_settled();
        let halted = self.machine.halted().cloned();
        let over = halted.as_ref().filter(|_| self.machine.is_idle() && !self.ended);
        if settled.is_empty() && over.is_none() {
            return;
        }
        let shared = self.shared.clone();
        let mut wakers = Vec::new();
        // All under one lock: whoever is told of a failure can see all that is left, and from where.
        let mut state = shared.lock();
        let stored: Vec<Batch> = settled
            .into_iter()
            .filter_map(|settled| state.settle(settled, halted.as_ref(), &mut wakers))
            .collect();
        if let Some(cause) = over {
            state.halt(cause);
            for sealed in self.ready.drain(..).map(Sealed::Ready).chain(state.queue.take_all()) {
                state.fail(sealed, cause, &mut wakers);
            }
            self.end(&mut state, &mut wakers);
        }
        drop(state);
        // To give back their memory needs no lock.
        drop(stored);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes what is due out of the queue, as far as the machine wants it.
    fn take_batches(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.now();
        let shared = self.shared.clone();
        let mut progress = false;
        loop {
            let mut state = shared.lock();
            if state.driver.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                state.driver = Some(cx.waker().clone());
            }
            self.report(&mut state);
            if state.detached && self.drain_until.is_none() {
                // A timeout too long to count never ends.
                self.drain_until = now.checked_add(self.config.drain_timeout);
            }
            // Also where it halted: nobody waits any more for what is on its way.
            let unsettled =
                !self.attempts.is_empty() || self.machine.halted().is_none() && !state.queue.is_settled();
            if unsettled && self.drain_until.is_some_and(|until| until <= now) {
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
                // They need not wait for room that they will not get.
                let wakers = state.room.take_if(|_| true);
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                return progress;
            }
            if !matches!(state.life, Life::Open) {
                state.queue.flush();
                if state.queue.is_settled() && self.attempts.is_empty() {
                    let mut wakers = Vec::new();
                    self.end(&mut state, &mut wakers);
                    drop(state);
                    wakers.into_iter().for_each(Waker::wake);
                    return progress;
                }
            }
            if !self.may_send(&mut state) || !self.machine.wants_batch() {
                return progress;
            }
            let next = match self.ready.pop_front() {
                Some(batch) => Some(Sealed::Ready(batch)),
                None => state.queue.pop(now),
            };
            drop(state);
            match next {
                None => return progress,
                Some(Sealed::Ready(batch)) => self.machine.offer(batch),
                Some(Sealed::Unframed(unframed)) => self.frame(unframed),
            }
            progress = true;
        }
    }

    /// Whether enough is known of the stream; if not, the server is asked.
    fn may_send(&mut self, state: &mut State) -> bool {
        match self.probe {
            Probe::Done => return true,
            Probe::Running(_) => return false,
            Probe::Needed => {}
        }
        if state.queue.is_bare_end() {
            return true;
        }
        if state.queue.is_settled() {
            return false;
        }
        // Somebody may have found out since, by creating the stream for instance.
        if let (None, Some(known)) = (&self.wire.content_type, self.wire.stream.known_content_type()) {
            self.set_content_type(&known, state);
            if !self.config.machine.auto_claim {
                self.probe = Probe::Done;
                return true;
            }
        }
        let need_type = self.wire.content_type.is_none();
        self.probe = Probe::Running(Box::pin(probe(self.wire.clone(), self.config.clone(), need_type)));
        false
    }

    fn frame(&mut self, unframed: super::batch::Unframed) {
        let framing = match &self.wire.content_type {
            Some(value) => value.to_str().map_or(Framing::Bytes, Framing::of),
            None => Framing::Bytes,
        };
        self.ready.extend(self.shared.frame(unframed, framing));
    }

    fn report(&self, state: &mut State) {
        let counters = self.machine.counters();
        state.epoch = self.machine.epoch();
        state.counted.in_flight = self.machine.in_flight();
        state.counted.requests = counters.requests;
        state.counted.resent = counters.resent;
        state.counted.duplicates = counters.duplicates;
        state.counted.gaps = counters.gaps;
        state.counted.claims = counters.claims;
    }

    /// Nothing more will come: whoever waits for anything is to be woken.
    fn end(&mut self, state: &mut State, wakers: &mut Vec<Waker>) {
        self.ended = true;
        self.report(state);
        state.unsent_from = self.machine.unsent_from().cloned();
        state.finished = true;
        state.driver = None;
        wakers.extend(state.room.take_if(|_| true));
        wakers.extend(state.flushes.take_if(|_| true));
    }

    fn send(&mut self) -> bool {
        let now = self.now();
        let mut progress = false;
        while let Some(attempt) = self.machine.next_attempt(now) {
            let ask_tail = self.machine.compares_tails();
            let key = attempt.key;
            self.attempts.push((key, Box::pin(self.wire.clone().attempt(attempt, ask_tail))));
            progress = true;
        }
        progress
    }

    /// Sleeps until the next moment at which there is something to do; whether it has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let mut deadlines = [self.machine.deadline(), self.drain_until, None];
        if matches!(self.probe, Probe::Done) && self.machine.wants_batch() {
            deadlines[2] = self.shared.lock().queue.due_at();
        }
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            self.timer = None;
            return false;
        };
        // One that fires too early only looks again.
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
        for _ in 0..ROUNDS {
            let progress = self.round(cx);
            if self.ended {
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Where the runtime drops the task before its end, nobody waits in vain.
impl<T: HttpTransport, R: Runtime> Drop for Driver<T, R> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        #[cfg(feature = "tracing")]
        let _entered = self.span.clone().entered();
        self.attempts.clear();
        self.machine.abort(ProducerError::RuntimeGone);
        self.settle();
    }
}
