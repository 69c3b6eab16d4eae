//! What is done once no attempt is under way: claiming an epoch, splitting a batch, coming to an end.

use super::{Ack, Machine, Phase, ProducerError, Settled};
use crate::error::StreamError;
use crate::offset::Offset;
use crate::protocol::headers::MAX_NUMBER;
use std::time::{Duration, Instant};

/// Two producers that claim the same id in turn must not go on for ever.
#[derive(Debug, Default)]
pub(super) struct Claims {
    recent: u32,
    last: Option<Instant>,
}

const MAX_CLAIMS: u32 = 5;
/// After so long in peace the claims before it do not count.
const PEACE: Duration = Duration::from_secs(60);

impl Claims {
    fn permit(&mut self, now: Option<Instant>) -> bool {
        if let (Some(now), Some(last)) = (now, self.last)
            && now.saturating_duration_since(last) > PEACE
        {
            self.recent = 0;
        }
        self.last = now.or(self.last);
        self.recent += 1;
        self.recent <= MAX_CLAIMS
    }
}

impl Machine {
    /// Whether nothing was stored since before the first attempt, as far as the tail tells.
    pub(super) fn is_tail_unmoved(&self, tail: Option<&Offset>) -> bool {
        self.compares_tails() && tail.is_some() && tail == self.tail_before.as_ref()
    }

    pub(super) fn stale(&mut self, server_epoch: u64) {
        if server_epoch <= self.epoch {
            let message =
                format!("the server calls epoch {} stale, and says that it is at {server_epoch}", self.epoch);
            self.halt(StreamError::protocol(message).into());
        } else if self.settings.auto_claim {
            self.fence(server_epoch);
        } else {
            self.halt(ProducerError::StaleEpoch { server_epoch, our_epoch: self.epoch });
        }
    }

    /// Goes on under an epoch above this one, once all attempts are answered.
    pub(super) fn fence(&mut self, server_epoch: u64) {
        // Where there is none above, it is refused when it is claimed.
        let above = server_epoch.saturating_add(1);
        self.phase = match &self.phase {
            Phase::Running => Phase::Claiming { epoch: above },
            Phase::Claiming { epoch } => Phase::Claiming { epoch: above.max(*epoch) },
            // Then it remembers more than was thought.
            Phase::Forgotten { .. } => Phase::Claiming { epoch: above },
            Phase::Halting(_) => return,
        };
    }

    /// The server seems to have forgotten this producer. Not before `ask_at` it is asked for the tail.
    pub(super) fn forgotten(&mut self, error: ProducerError, ask_at: Option<Instant>) {
        if matches!(self.phase, Phase::Running) {
            #[cfg(feature = "tracing")]
            tracing::info!(epoch = self.epoch, %error, "the server forgot the producer; asking for the stream's tail");
            self.phase = Phase::Forgotten { error, ask_at };
        }
    }

    /// Whether the driver has to find out where the stream's tail is.
    pub(in super::super) fn asks_tail(&mut self, now: Instant) -> bool {
        let answered = self.in_flight() == 0;
        match &mut self.phase {
            Phase::Forgotten { ask_at, .. } if answered && ask_at.is_none_or(|at| at <= now) => {
                *ask_at = None;
                true
            }
            _ => false,
        }
    }

    /// The stream's tail, where the server told it.
    pub(in super::super) fn tail(&mut self, tail: Option<&Offset>, now: Instant) {
        let Phase::Forgotten { error, .. } = &self.phase else { return };
        let error = error.clone();
        self.settle_stored();
        let lost = matches!((tail, &self.tail_seen), (Some(tail), Some(seen)) if tail < seen);
        let in_doubt = self.entries.iter().find(|entry| entry.maybe_applied && !entry.batch.is_bare_end());
        match (tail, in_doubt) {
            // What was told of is gone.
            _ if lost => self.halt(error),
            (None, None) => self.halt(error),
            // Whatever was stored since, it is none of ours.
            (Some(_), None) => self.reclaim(tail, error, now),
            // Nothing was stored since before the first that is in doubt was sent.
            (Some(_), Some(first)) if first.not_before.as_ref() == tail => self.reclaim(tail, error, now),
            (_, Some(_)) => {
                let reason =
                    format!("an attempt went unanswered by a server that forgets its producers ({error})");
                self.halt(ProducerError::OutcomeUnknown { reason });
            }
        }
        self.advance(Some(now));
    }

    /// Starts anew with a server that has forgotten this producer.
    fn reclaim(&mut self, tail: Option<&Offset>, error: ProducerError, now: Instant) {
        self.see_tail(tail);
        // Nobody took the epoch over: that is not what it may end with.
        let still_forgetting = match error {
            ProducerError::SequenceGap { .. } => error,
            error => {
                let message = format!(
                    "the server forgot this producer {MAX_CLAIMS} times within a minute, and again ({error})"
                );
                StreamError::protocol(message).into()
            }
        };
        self.raise(self.epoch + 1, still_forgetting, Some(now));
        self.claimed_from_oblivion = true;
    }

    /// Does what can be done only while nothing is under way.
    pub(super) fn advance(&mut self, now: Option<Instant>) {
        while self.in_flight() == 0 {
            match &self.phase {
                Phase::Halting(cause) => {
                    let cause = cause.clone();
                    return self.finish(&cause);
                }
                Phase::Claiming { epoch } => {
                    let epoch = *epoch;
                    self.claim(epoch, now);
                }
                Phase::Running if self.entries.front().is_some_and(|first| first.too_large.is_some()) => {
                    self.make_smaller(now);
                }
                Phase::Running | Phase::Forgotten { .. } => return,
            }
        }
    }

    /// Whether the server is known to have a number of this epoch, though its own answer was lost.
    fn is_stored(&self, seq: u64) -> bool {
        self.stored_to.is_some_and(|to| seq <= to)
    }

    /// Settles what is stored by the word of a later acknowledgement.
    fn settle_stored(&mut self) {
        if self.contested {
            return;
        }
        let mut index = 0;
        while index < self.entries.len() {
            if self.is_stored(self.entries[index].seq)
                && let Some(entry) = self.entries.remove(index)
            {
                let ack = Ack { offset: None, duplicate: true, epoch: self.epoch, seq: entry.seq };
                self.settled.push(Settled { batch: entry.batch, outcome: Ok(ack), may_be_stored: true });
            } else {
                index += 1;
            }
        }
    }

    fn finish(&mut self, cause: &ProducerError) {
        self.settle_stored();
        if let Some(first) = self.entries.iter().find(|entry| entry.maybe_applied) {
            self.tail_seen = first.not_before.clone();
        }
        let was_closed = matches!(cause, ProducerError::Stream(error) if matches!(error.kind(), StreamError::StreamClosed { .. }));
        for entry in self.entries.drain(..) {
            let outcome = if was_closed && entry.maybe_applied {
                let reason = "an attempt went unanswered, and now the stream is closed".to_owned();
                Err(ProducerError::OutcomeUnknown { reason })
            } else {
                Err(cause.clone())
            };
            self.settled.push(Settled { batch: entry.batch, outcome, may_be_stored: entry.maybe_applied });
        }
    }

    fn claim(&mut self, epoch: u64, now: Option<Instant>) {
        self.settle_stored();
        // To end the stream a second time does no harm.
        if self.entries.iter().any(|entry| entry.maybe_applied && !entry.batch.is_bare_end()) {
            let reason = format!(
                "another producer took over with epoch {} while an attempt was unanswered",
                epoch.saturating_sub(1)
            );
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let (server_epoch, our_epoch) = (epoch.saturating_sub(1), self.epoch);
        self.raise(epoch, ProducerError::StaleEpoch { server_epoch, our_epoch }, now);
    }

    /// Renumbers what is left from 0 under `epoch`, or halts with `too_often` where that has been done too often.
    fn raise(&mut self, epoch: u64, too_often: ProducerError, now: Option<Instant>) {
        if epoch > MAX_NUMBER {
            let (server_epoch, our_epoch) = (epoch.saturating_sub(1), self.epoch);
            return self.halt(ProducerError::StaleEpoch { server_epoch, our_epoch });
        }
        if !self.claims.permit(now) {
            return self.halt(too_often);
        }
        #[cfg(feature = "tracing")]
        tracing::info!(
            from = self.epoch,
            epoch,
            batches = self.entries.len(),
            "the producer claims an epoch"
        );
        self.counters.claims += 1;
        self.phase = Phase::Running;
        self.epoch = epoch;
        self.established = false;
        self.stored_to = None;
        self.claimed_from_oblivion = false;
        self.sent_to = None;
        self.contested = false;
        // From here on the tail may have moved by our own doing.
        self.tail_before = None;
        self.renumber(0);
    }

    fn renumber(&mut self, from: u64) {
        self.next_seq = from;
        for entry in &mut self.entries {
            entry.renumber(self.next_seq);
            self.next_seq += 1;
        }
    }

    /// Splits the first batch, which the server finds too large. A lone record fails.
    fn make_smaller(&mut self, now: Option<Instant>) {
        let Some(mut entry) = self.entries.pop_front() else { return };
        let Some(error) = entry.too_large.take() else { return };
        if entry.maybe_applied {
            self.entries.push_front(entry);
            let reason =
                "an attempt went unanswered, and now the server finds the batch too large".to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        // What came after it cannot have been applied before it. But an attempt that is still on its way somewhere
        // could be taken for the batch that gets its number now.
        let is_loose = self.entries.iter().any(|later| later.maybe_applied);
        if is_loose && !self.settings.auto_claim {
            self.entries.push_front(entry);
            let reason = "a batch has to be split while a later one's attempt is unanswered; auto_claim would allow it".to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let seq = entry.seq;
        #[cfg(feature = "tracing")]
        tracing::info!(epoch = self.epoch, seq, bytes = entry.batch.body.len(), records = entry.batch.records(), %error, "a batch is too large for the server: it is split, or its one record fails");
        if entry.batch.records() > 1 {
            let backoff = entry.backoff.clone();
            let (head, tail) = entry.batch.split();
            for (key, half) in [(self.next_key, tail), (self.next_key + 1, head)] {
                let mut half = super::Entry::new(key, seq, half, backoff.clone());
                half.was_sent = true;
                self.entries.push_front(half);
            }
            self.next_key += 2;
        } else {
            let outcome = Err(error.into());
            self.settled.push(Settled { batch: entry.batch, outcome, may_be_stored: false });
        }
        if is_loose {
            let reason = format!(
                "a batch has to be split while a later one's attempt is unanswered, and epochs were claimed {MAX_CLAIMS} times within a minute already"
            );
            self.raise(self.epoch + 1, ProducerError::OutcomeUnknown { reason }, now);
        } else {
            self.renumber(seq);
        }
    }
}
