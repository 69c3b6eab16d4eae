//! What the result of an attempt changes.

use super::attempt::{AttemptResult, Fate, Settled};
use super::duplicate::{Meaning, Success, classify};
use super::entry::InFlight;
use super::state::{Machine, Phase, TailCheck};
use crate::error::{Error, StreamError};
use crate::offset::Offset;
use crate::outage::FailedAttempt;
use crate::producer::error::ProducerError;
use crate::producer::receipt::Ack;
use std::time::Instant;

impl Machine {
    /// An attempt has ended. A result for a batch that is settled already is ignored.
    pub(in crate::producer) fn on_result(
        &mut self,
        key: u64,
        result: AttemptResult,
        now: Instant,
        random: u64,
    ) {
        // Measured before the attempt is removed: it counts towards the window that it was sent in.
        let was_full = self.in_flight() >= self.allowed_in_flight();
        let Some(index) = self.entries.iter().position(|entry| entry.key == key) else { return };
        let Some(flight) = self.entries[index].in_flight.take() else { return };
        let was_oldest = flight.was_oldest;
        match result {
            AttemptResult::Stored { offset, duplicate, highest } => {
                self.outage.on_success(|| now);
                self.body_size.on_stored(now);
                self.on_stored(index, offset, duplicate, highest, was_full);
            }
            AttemptResult::NumberTaken => self.on_number_taken(index),
            AttemptResult::Stale { server_epoch } => self.on_stale(server_epoch),
            AttemptResult::Gap { expected, received } => {
                self.on_gap(index, was_oldest, expected, received, now);
            }
            // Split once nothing is in flight: the halves need two numbers, and later batches have the next ones.
            AttemptResult::TooLarge(error) => {
                self.body_size.lower(self.entries[index].batch.body.len() / 2, now);
                self.entries[index].too_large = Some(error);
            }
            AttemptResult::CutOff(error) => self.on_cut_off(index, flight, error, random, now),
            AttemptResult::Closed { error, final_offset } => self.on_closed(index, error, final_offset),
            AttemptResult::Failed { error, fate, retry } => {
                self.on_failed(index, flight, error, fate, retry.then_some(random), now);
            }
        }
        self.advance(Some(now));
    }

    fn on_stored(
        &mut self,
        index: usize,
        offset: Option<Offset>,
        duplicate: bool,
        highest: Option<u64>,
        was_full: bool,
    ) {
        let seq = self.entries[index].seq;
        if duplicate && self.epoch.is_in_doubt(seq) {
            let reason = "a batch was split while the attempt of a later one had no response, and the server has stored \
                          one of the two under this number"
                .to_owned();
            self.entries[index].record_fate(Fate::Unknown);
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        if !self.entries[index].larger_bodies.is_empty() && self.settle_larger_body(index, duplicate) {
            return;
        }
        let entry = &self.entries[index];
        let (epoch, seq) = (self.epoch.number, entry.seq);
        // The server has a number that was never sent by this producer: another one uses the id and the epoch.
        let is_above_sent = highest > self.epoch.sent_to;
        let meaning = classify(Success {
            duplicate,
            is_close_only: entry.batch.is_close_only(),
            duplicate_is_expected: entry.expects_duplicate(),
            is_above_sent,
            is_first_and_tail_unmoved: seq == 0 && self.epoch.is_tail_unmoved(offset.as_ref()),
            auto_claim: self.settings.auto_claim,
            accept_duplicates: self.settings.accept_duplicates,
        });
        let duplicate = match meaning {
            Meaning::Stored { duplicate } => duplicate,
            Meaning::EarlierRun => {
                // The tail proves that no attempt of ours was applied.
                self.entries[index].worst_fate = None;
                return self.plan_claim(epoch);
            }
            Meaning::OtherProducer => {
                self.epoch.is_shared = true;
                return self.plan_claim(epoch);
            }
            Meaning::Unexpected => {
                self.epoch.is_shared = true;
                self.entries[index].record_fate(Fate::Unknown);
                return self.halt(ProducerError::UnexpectedDuplicate { epoch, seq });
            }
            Meaning::Ambiguous => {
                self.epoch.is_shared = true;
                self.entries[index].record_fate(Fate::Unknown);
                let reason =
                    "another producer uses this id and epoch, and the server has more than was sent here"
                        .into();
                return self.halt(ProducerError::OutcomeUnknown { reason });
            }
        };
        // From here on the batch is stored, and it is ours.
        self.counters.duplicates += u64::from(duplicate);
        self.epoch.stored_to = self.epoch.stored_to.max(Some(seq));
        // The tail may lie behind later batches of ours that are in flight. `tail_seen` documents how far it may be
        // used.
        self.note_tail(offset.as_ref());
        if let Some(entry) = self.entries.remove(index) {
            let ack = Ack { offset, duplicate, epoch, seq };
            self.settled.push(Settled { batch: entry.batch, result: Ok(ack), may_be_stored: true });
        }
        // No other attempt is applied under this number any more.
        for entry in
            self.entries.iter_mut().filter(|entry| entry.earlier_seq.is_some_and(|earlier| earlier <= seq))
        {
            entry.earlier_seq = None;
        }
        self.window.acknowledged(was_full);
        // An acknowledgement is progress, which restores every retry budget.
        self.entries.iter_mut().for_each(|entry| entry.backoff.reset());
    }

    pub(super) fn on_failed(
        &mut self,
        index: usize,
        flight: InFlight,
        error: Error,
        fate: Fate,
        // For the backoff. `None` if another attempt cannot succeed.
        random: Option<u64>,
        now: Instant,
    ) {
        let InFlight { was_oldest, began } = flight;
        let is_established = self.epoch.is_established();
        let shows_state_loss = self.shows_state_loss(&error);
        let entry = &mut self.entries[index];
        entry.record_fate(fate);
        if fate == Fate::Unknown {
            entry.in_doubt_since = Some(now);
        }
        if shows_state_loss {
            return self.refused_in_sequence(index, was_oldest, error.into(), now);
        }
        // The bodies in flight may be more than the uplink carries within the timeout.
        if was_oldest && matches!(error.kind(), StreamError::Timeout) {
            self.window.shrink();
        }
        self.note_size_failure(index, was_oldest, &error, fate, now);
        let entry = &mut self.entries[index];
        // Without a wait the budget is spent, or another attempt cannot succeed.
        let wait = random.and_then(|random| entry.backoff.next(now, random, error.retry_after()));
        // The batches behind it fail with it, and are not sent again before it.
        if was_oldest {
            self.outage.on_failure(&FailedAttempt { began, now, cause: &error, delay: wait });
        }
        match wait {
            // The server may have crashed over the first batch of a reclaimed epoch, and lost that epoch too. It would
            // then store the batch a second time.
            Some(wait) if fate == Fate::Unknown && self.epoch.is_after_state_loss && !is_established => {
                self.lose_state(error.into(), now + wait);
            }
            Some(wait) if self.is_size_in_doubt(index) => {
                let due_at = (now + wait).max(self.later_may_arrive_until().unwrap_or(now));
                self.phase = Phase::SizeInDoubt { check: TailCheck::DueAt(due_at) };
            }
            Some(wait) => {
                let entry = &mut self.entries[index];
                #[cfg(feature = "tracing")]
                tracing::debug!(epoch = self.epoch.number, seq = entry.seq, ?wait, %error, "the producer resends a batch");
                entry.retry_at = Some(now + wait);
            }
            None => {
                let attempts = self.entries[index].backoff.retries() + 1;
                self.halt(error.with_attempts(attempts).into());
            }
        }
    }

    /// Whether the machine recovers from this failure of an attempt by itself, although another attempt as it is cannot
    /// succeed.
    ///
    /// A server that has lost the epoch refuses its next batch with 400, because an epoch must begin with seq 0.
    pub(in crate::producer) fn shows_state_loss(&self, error: &Error) -> bool {
        error.status_code() == Some(400) && self.settings.auto_claim && self.epoch.is_established()
    }

    fn on_gap(&mut self, index: usize, was_oldest: bool, expected: u64, received: u64, now: Instant) {
        self.counters.gaps += 1;
        #[cfg(feature = "tracing")]
        tracing::debug!(
            epoch = self.epoch.number,
            seq = received,
            expected,
            "a batch arrived before its predecessor"
        );
        self.refused_in_sequence(index, was_oldest, ProducerError::SequenceGap { expected, received }, now);
        // A failed or oversized predecessor explains the gap. Otherwise the batches overtook one another on the way.
        let is_explained = was_oldest
            || self
                .entries
                .range(..index)
                .any(|before| before.retry_at.is_some() || before.too_large.is_some());
        if !is_explained {
            self.window.shrink();
        }
    }

    /// The server does not accept the batch at this position of the sequence.
    fn refused_in_sequence(&mut self, index: usize, was_oldest: bool, error: ProducerError, now: Instant) {
        if !was_oldest {
            // It arrived too early. It is resent once it is the oldest, and then at once.
            // Not a failure: its fate is not recorded, and a duplicate response to the resend stays unexpected.
            self.entries[index].retry_at = Some(now);
        // The tail decides whether a new epoch is safe.
        } else if self.settings.auto_claim {
            // All batches before it were acknowledged when it was sent, so the server has lost them from its state.
            self.lose_state(error, now);
        } else {
            self.halt(error);
        }
    }

    /// Another append is stored under the number of a batch, of which no attempt was applied.
    fn on_number_taken(&mut self, index: usize) {
        let (epoch, seq) = (self.epoch.number, self.entries[index].seq);
        self.entries[index].worst_fate = None;
        self.epoch.is_shared = true;
        if self.settings.auto_claim {
            self.plan_claim(epoch);
        } else {
            self.halt(ProducerError::UnexpectedDuplicate { epoch, seq });
        }
    }

    fn on_closed(&mut self, index: usize, error: Error, final_offset: Option<Offset>) {
        let entry = &self.entries[index];
        if entry.batch.is_close_only() && entry.is_in_doubt() {
            // Possibly closed by the attempt without a response. Either way the stream is closed, as requested.
            let ack = Ack { offset: final_offset, duplicate: true, epoch: self.epoch.number, seq: entry.seq };
            if let Some(entry) = self.entries.remove(index) {
                self.settled.push(Settled { batch: entry.batch, result: Ok(ack), may_be_stored: true });
            }
        } else {
            self.halt(error.into());
        }
    }

    /// Fails all batches at once, including those in flight, which may be stored.
    pub(in crate::producer) fn abort(&mut self, cause: ProducerError) {
        for entry in &mut self.entries {
            if entry.in_flight.take().is_some() {
                entry.record_fate(Fate::Unknown);
            }
        }
        self.halt(cause);
        self.advance(None);
    }
}
