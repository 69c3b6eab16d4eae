//! What happens once nothing is in flight: a new epoch, a split, the end.

use super::attempt::Settled;
use super::claims::MAX_CLAIMS;
use super::epoch::Epoch;
use super::state::{Machine, Phase, TailCheck};
use crate::error::StreamError;
use crate::offset::Offset;
use crate::producer::error::ProducerError;
use crate::producer::receipt::Ack;
use crate::protocol::headers::MAX_NUMBER;
use std::time::Instant;

impl Machine {
    /// Makes every transition that is only allowed while nothing is in flight.
    pub(super) fn advance(&mut self, now: Option<Instant>) {
        // A transition may enable the next one: a claim that fails halts, and a halt fails the batches. Each step either
        // leaves the loop or moves to a later phase, so the loop ends.
        while self.in_flight() == 0 {
            match &self.phase {
                Phase::Halting(cause) => {
                    let cause = cause.clone();
                    self.fail_remaining(cause);
                }
                Phase::Claiming { epoch } => {
                    let epoch = *epoch;
                    self.claim(epoch, now);
                }
                Phase::Running if self.entries.front().is_some_and(|oldest| oldest.too_large.is_some()) => {
                    self.split_oldest(now);
                }
                Phase::Running
                | Phase::StateLost { .. }
                | Phase::SizeInDoubt { .. }
                | Phase::Halted { .. } => return,
            }
        }
    }

    /// 403: the server has another epoch for this id.
    pub(super) fn on_stale(&mut self, server_epoch: u64) {
        let our_epoch = self.epoch.number;
        if server_epoch <= our_epoch {
            let message =
                format!("the server calls epoch {our_epoch} stale, and reports epoch {server_epoch} itself");
            self.halt(StreamError::protocol(message).into());
        } else if self.settings.auto_claim {
            self.plan_claim(server_epoch);
        } else {
            self.halt(ProducerError::StaleEpoch { server_epoch, our_epoch });
        }
    }

    /// Plans to continue in an epoch above `server_epoch`, once nothing is in flight.
    pub(super) fn plan_claim(&mut self, server_epoch: u64) {
        // If this is above the largest number, `start_epoch` refuses it.
        let above = server_epoch.saturating_add(1);
        self.phase = match &self.phase {
            Phase::Running => Phase::Claiming { epoch: above },
            // Several batches in flight may report different epochs. The highest one counts.
            Phase::Claiming { epoch } => Phase::Claiming { epoch: above.max(*epoch) },
            // The server has a state of this producer after all.
            Phase::StateLost { .. } | Phase::SizeInDoubt { .. } => Phase::Claiming { epoch: above },
            Phase::Halting(_) | Phase::Halted { .. } => return,
        };
    }

    /// The server seems to have lost this producer's state. The tail is checked at `check_at` or later.
    pub(super) fn lose_state(&mut self, error: ProducerError, check_at: Instant) {
        // In any other phase a decision is pending already. The first cause decides.
        if matches!(self.phase, Phase::Running) {
            #[cfg(feature = "tracing")]
            tracing::info!(
                epoch = self.epoch.number,
                %error,
                "the server lost the producer's state; checking the stream's tail"
            );
            self.phase = Phase::StateLost { error, check: TailCheck::DueAt(check_at) };
        }
    }

    /// Begins the tail check if it is due: true once for each. The driver then makes it.
    pub(in crate::producer) fn begin_tail_check(&mut self, now: Instant) -> bool {
        let is_quiet = self.in_flight() == 0;
        match &mut self.phase {
            Phase::StateLost { check: check @ TailCheck::DueAt(_), .. }
            | Phase::SizeInDoubt { check: check @ TailCheck::DueAt(_) }
                if is_quiet && check.is_due(now) =>
            {
                *check = TailCheck::Running;
                true
            }
            _ => false,
        }
    }

    /// The tail check has ended, with the stream's tail if the server reported it.
    ///
    /// The first row that matches decides:
    ///
    /// | tail | oldest batch in doubt | result |
    /// |---|---|---|
    /// | before a tail seen earlier | – | data was lost: halt |
    /// | not known | none | halt |
    /// | known | none | new epoch: whatever was stored since is not ours |
    /// | where it was before that batch was sent | some | new epoch: nothing was stored since |
    /// | any other | some | halt: the outcome is not known |
    pub(in crate::producer) fn on_tail(&mut self, tail: Option<&Offset>, now: Instant) {
        if matches!(self.phase, Phase::SizeInDoubt { .. }) {
            return self.on_tail_of_size_in_doubt(tail, now);
        }
        // A result that arrives after a halt or a claim has no use any more.
        let Phase::StateLost { error, .. } = &self.phase else { return };
        let error = error.clone();
        // Tokens compare byte by byte, and a stream only grows: an earlier tail means that stored data is gone.
        let is_data_lost = matches!((tail, &self.tail_seen), (Some(tail), Some(seen)) if tail < seen);
        if is_data_lost {
            self.epoch.forget_stored();
        }
        self.settle_stored();
        let in_doubt = self.entries.iter().find(|entry| entry.is_data_in_doubt());
        match (tail, in_doubt) {
            _ if is_data_lost => self.halt(error),
            (None, None) => self.halt(error),
            (Some(_), None) => self.restart_after_state_loss(tail, error, now),
            (Some(_), Some(oldest)) if oldest.stored_after.as_ref() == tail => {
                self.restart_after_state_loss(tail, error, now);
            }
            (_, Some(_)) => {
                let reason = format!(
                    "an attempt had no response from a server that loses its producers' state ({error})"
                );
                self.halt(ProducerError::OutcomeUnknown { reason });
            }
        }
        self.advance(Some(now));
    }

    fn restart_after_state_loss(&mut self, tail: Option<&Offset>, error: ProducerError, now: Instant) {
        self.note_tail(tail);
        // No other producer took the epoch over, so `StaleEpoch` would be wrong.
        let too_often = match error {
            ProducerError::SequenceGap { .. } => error,
            error => {
                let message = format!(
                    "the server lost this producer's state more than {MAX_CLAIMS} times, less than a minute apart \
                     ({error})"
                );
                StreamError::protocol(message).into()
            }
        };
        self.start_epoch(self.epoch.number + 1, too_often, Some(now));
        // After `start_epoch`, which replaces the epoch.
        self.epoch.is_after_state_loss = true;
    }

    /// Claims `epoch`, if no batch is in doubt.
    fn claim(&mut self, epoch: u64, now: Option<Instant>) {
        self.settle_stored();
        let server_epoch = epoch.saturating_sub(1);
        if self.entries.iter().any(|entry| entry.is_data_in_doubt()) {
            let reason = format!(
                "another producer took over with epoch {server_epoch} while an attempt had no response"
            );
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let our_epoch = self.epoch.number;
        self.start_epoch(epoch, ProducerError::StaleEpoch { server_epoch, our_epoch }, now);
    }

    /// Continues in `epoch`, with the remaining batches renumbered from 0. Halts with `too_often` after too many claims.
    pub(super) fn start_epoch(&mut self, epoch: u64, too_often: ProducerError, now: Option<Instant>) {
        // 2^53-1: some servers store epochs in a double.
        if epoch > MAX_NUMBER {
            let (server_epoch, our_epoch) = (epoch.saturating_sub(1), self.epoch.number);
            return self.halt(ProducerError::StaleEpoch { server_epoch, our_epoch });
        }
        // Two producers with the same id would otherwise take it from one another without end.
        if !self.claims.record(now) {
            return self.halt(too_often);
        }
        #[cfg(feature = "tracing")]
        tracing::info!(
            from = self.epoch.number,
            epoch,
            batches = self.entries.len(),
            "the producer claims an epoch"
        );
        self.counters.claims += 1;
        self.phase = Phase::Running;
        self.epoch = Epoch::new(epoch);
        // Attempts of the epoch before are not applied any more.
        self.entries.iter_mut().for_each(|entry| entry.earlier_seq = None);
        // An epoch begins with seq 0. The batches keep their order and their bytes.
        self.renumber(0);
    }

    pub(super) fn renumber(&mut self, from: u64) {
        self.epoch.next_seq = from;
        for entry in &mut self.entries {
            entry.renumber(self.epoch.next_seq);
            self.epoch.next_seq += 1;
        }
    }

    /// Settles batches that a later acknowledgement proves to be stored.
    ///
    /// The server accepts numbers in order, so a stored number implies the ones before it, unless another producer used
    /// this epoch as well.
    pub(super) fn settle_stored(&mut self) {
        // Another producer's batch may have used an earlier number of ours.
        if self.epoch.is_shared {
            return;
        }
        let mut index = 0;
        while index < self.entries.len() {
            if self.epoch.is_stored(self.entries[index].seq)
                && let Some(entry) = self.entries.remove(index)
            {
                let ack = Ack { offset: None, duplicate: true, epoch: self.epoch.number, seq: entry.seq };
                self.settled.push(Settled { batch: entry.batch, result: Ok(ack), may_be_stored: true });
            } else {
                index += 1;
            }
        }
    }

    /// The end: fails all batches that are left.
    fn fail_remaining(&mut self, cause: ProducerError) {
        self.settle_stored();
        // Everything before the oldest batch in doubt is settled. If nothing is in doubt, nothing was stored after the
        // last tail.
        let in_doubt = self.entries.iter().filter(|entry| entry.is_in_doubt() || entry.earlier_seq.is_some());
        // The attempt of a batch that has another number now may be older than one before it.
        let earliest = in_doubt
            .map(|entry| &entry.stored_after)
            .reduce(|first, other| if other < first { other } else { first });
        let unacked_from = earliest.unwrap_or(&self.tail_seen).clone();
        let was_closed = matches!(&cause, ProducerError::Stream(error) if matches!(error.kind(), StreamError::StreamClosed { .. }));
        for entry in self.entries.drain(..) {
            let may_be_stored = entry.may_be_stored();
            // The batch in doubt may be the one that another client saw before it closed the stream.
            let result = if was_closed && may_be_stored {
                let reason = "an attempt had no response, and the stream is closed now".to_owned();
                Err(ProducerError::OutcomeUnknown { reason })
            } else {
                Err(cause.clone())
            };
            self.settled.push(Settled { batch: entry.batch, result, may_be_stored });
        }
        self.phase = Phase::Halted { cause, unacked_from };
    }
}
