//! The producer's rules as a state machine: numbers for batches, how many travel, what an answer means, what to send
//! next. No I/O and no clock: the driver passes in answers, time and chance, and carries out what is asked for.

mod entry;
mod recover;
#[cfg(test)]
mod tests;
mod window;

use super::ProducerError;
use super::batch::Batch;
use super::delivery::Ack;
use crate::error::{Error, StreamError};
use crate::offset::Offset;
use crate::protocol::headers::MAX_NUMBER;
use crate::retry::{Backoff, RetryConfig};
use bytes::Bytes;
use entry::Entry;
use std::collections::VecDeque;
use std::time::Instant;
use window::Window;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) epoch: u64,
    pub(super) auto_claim: bool,
    pub(super) accept_duplicates: bool,
    pub(super) max_in_flight: usize,
    pub(super) retry: RetryConfig,
}

/// An attempt to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) key: u64,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) body: Bytes,
    /// The stream ends with it.
    pub(super) closing: bool,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// 200, or 204 for a duplicate.
    Stored {
        offset: Option<Offset>,
        duplicate: bool,
        /// The highest sequence number that the server has in this epoch.
        highest: Option<u64>,
    },
    /// 403 with the server's epoch.
    Stale { server_epoch: u64 },
    /// 409 with the sequence number that the server waits for.
    Gap { expected: u64, received: u64 },
    /// 409 with `Stream-Closed`.
    Closed { error: Error, final_offset: Option<Offset> },
    /// 413.
    TooLarge(Error),
    /// Anything else.
    Failed {
        error: Error,
        fate: Fate,
        /// Another attempt is worth while.
        again: bool,
    },
}

/// What a failed attempt did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing, and the next attempt is as good as the first: it never left, or the server knew its number already.
    NotSent,
    /// Nothing: the server, or something before it, refused it.
    Refused,
    /// Nobody knows: it was not answered, or the server failed at it.
    Unknown,
}

/// A batch that is done with.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) batch: Batch,
    pub(super) outcome: Result<Ack, ProducerError>,
    /// Where it failed: whether it may be stored nevertheless.
    pub(super) may_be_stored: bool,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) resent: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) claims: u64,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// Fenced: when all attempts are answered, this epoch is claimed.
    Claiming {
        epoch: u64,
    },
    /// The server forgot this producer, as a crash makes some do. When all attempts are answered, the stream's tail has
    /// to tell what is stored. Until then this is the error that it will be.
    Forgotten {
        error: ProducerError,
        /// Not before; `None` when it has come.
        ask_at: Option<Instant>,
    },
    /// When all attempts are answered, what is left fails.
    Halting(ProducerError),
}

#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    epoch: u64,
    phase: Phase,
    /// What is not settled, in order; its numbers are without a gap.
    entries: VecDeque<Entry>,
    next_key: u64,
    next_seq: u64,
    /// A batch of this epoch was acknowledged: before that only one may travel.
    established: bool,
    /// The highest number of this epoch that the server is known to have.
    stored_to: Option<u64>,
    /// The highest number ever sent in this epoch.
    sent_to: Option<u64>,
    /// Somebody else has used numbers of this epoch: that one of ours is stored says nothing of those before it.
    contested: bool,
    window: Window,
    /// The stream's tail before anything was sent, where the driver asked for it.
    tail_before: Option<Offset>,
    /// The furthest tail that the server has told of. An answer tells the tail of its own moment, behind which later
    /// batches of ours may be already: it says nothing of what is on its way. But what is sent only after it was heard
    /// is stored behind it, if it is. At the end: a tail that was told before anything that is left was sent.
    tail_seen: Option<Offset>,
    /// This epoch was claimed from a server that had forgotten the last one, and may forget again.
    claimed_from_oblivion: bool,
    /// A batch was acknowledged, in any epoch.
    has_stored: bool,
    claims: recover::Claims,
    counters: Counters,
    settled: Vec<Settled>,
}

impl Machine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            epoch: settings.epoch,
            window: Window::new(settings.max_in_flight),
            settings,
            phase: Phase::Running,
            entries: VecDeque::new(),
            next_key: 0,
            next_seq: 0,
            established: false,
            stored_to: None,
            sent_to: None,
            contested: false,
            tail_before: None,
            tail_seen: None,
            claimed_from_oblivion: false,
            has_stored: false,
            claims: recover::Claims::default(),
            counters: Counters::default(),
            settled: Vec::new(),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|entry| entry.in_flight).count()
    }

    /// Nothing is unsettled.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// Why nothing is sent any more.
    pub(super) fn halted(&self) -> Option<&ProducerError> {
        match &self.phase {
            Phase::Halting(cause) => Some(cause),
            _ => None,
        }
    }

    pub(super) fn set_tail_before(&mut self, tail: Option<Offset>) {
        self.see_tail(tail.as_ref());
        self.tail_before = tail;
    }

    /// Once it has halted: an offset before which nothing that is left is stored, where one is known.
    pub(super) fn unsent_from(&self) -> Option<&Offset> {
        self.tail_seen.as_ref()
    }

    fn see_tail(&mut self, tail: Option<&Offset>) {
        if let Some(tail) = tail
            && self.tail_seen.as_ref().is_none_or(|seen| seen < tail)
        {
            self.tail_seen = Some(tail.clone());
        }
    }

    /// Whether a duplicate answer would have to be compared to the tail before.
    pub(super) fn compares_tails(&self) -> bool {
        self.tail_before.is_some() && !self.has_stored
    }

    /// Whether another batch could be sent at once.
    pub(super) fn wants_batch(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.entries.len() < self.allowed()
            && self.entries.iter().all(|entry| entry.in_flight && !entry.batch.closing)
    }

    /// How many may travel. The first of an epoch goes alone: another that came first would be refused.
    fn allowed(&self) -> usize {
        if self.established { self.window.size() } else { 1 }
    }

    /// Takes the next batch and gives it the next number.
    pub(super) fn offer(&mut self, batch: Batch) {
        if self.next_seq > MAX_NUMBER {
            let reason =
                "this epoch has used up its sequence numbers; start a new producer with a higher one";
            let error = StreamError::config(
                "producer seq",
                self.next_seq.to_string(),
                format!("at most 2^53-1: {reason}"),
            );
            self.halt(error.into());
        }
        let backoff = Backoff::new(self.settings.retry.clone());
        self.entries.push_back(Entry::new(self.next_key, self.next_seq, batch, backoff));
        self.next_key += 1;
        self.next_seq += 1;
        self.advance(None);
    }

    /// The attempt to make now, if any. Asked again until there is none.
    pub(super) fn next_attempt(&mut self, now: Instant) -> Option<Attempt> {
        if !matches!(self.phase, Phase::Running) {
            return None;
        }
        let in_flight = self.in_flight();
        let allowed = self.allowed();
        // In order: nothing overtakes a batch that waits for its next attempt.
        let index = self.entries.iter().position(|entry| !entry.in_flight)?;
        let first = index == 0;
        let entry = &mut self.entries[index];
        if entry.too_large.is_some() {
            return None;
        }
        match entry.again_at {
            Some(at) if !first || at > now => return None,
            _ if !first && (in_flight >= allowed || entry.batch.closing) => return None,
            _ => {}
        }
        entry.in_flight = true;
        entry.sent_first = first;
        if !entry.maybe_applied {
            entry.not_before = self.tail_seen.clone();
        }
        self.counters.requests += 1;
        self.counters.resent += u64::from(std::mem::replace(&mut entry.was_sent, true));
        self.sent_to = self.sent_to.max(Some(entry.seq));
        Some(Attempt {
            key: entry.key,
            epoch: self.epoch,
            seq: entry.seq,
            body: entry.batch.body.clone(),
            closing: entry.batch.closing,
        })
    }

    /// When there will be an attempt to make though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running => {
                let first = self.entries.front()?;
                if first.in_flight || first.too_large.is_some() { None } else { first.again_at }
            }
            Phase::Forgotten { ask_at, .. } if self.in_flight() == 0 => *ask_at,
            _ => None,
        }
    }

    /// What is done with since this was last asked.
    pub(super) fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// An attempt has come to its end.
    pub(super) fn answer(&mut self, key: u64, answer: Answer, now: Instant, random: u64) {
        let full = self.in_flight() >= self.allowed();
        let Some(index) = self.entries.iter().position(|entry| entry.key == key) else { return };
        self.entries[index].in_flight = false;
        match answer {
            Answer::Stored { offset, duplicate, highest } => {
                self.stored(index, offset, duplicate, highest, full);
            }
            Answer::Stale { server_epoch } => self.stale(server_epoch),
            Answer::Gap { expected, received } => self.gap(index, expected, received, now),
            Answer::TooLarge(error) => self.entries[index].too_large = Some(error),
            Answer::Closed { error, final_offset } => self.closed(index, error, final_offset),
            Answer::Failed { error, fate, again } => {
                let entry = &mut self.entries[index];
                entry.maybe_applied |= fate == Fate::Unknown;
                entry.may_echo |= fate != Fate::NotSent;
                // A server that has forgotten the epoch refuses it like this, unless it begins with 0.
                if error.status_code() == Some(400) && self.settings.auto_claim && self.established {
                    self.refused_in_sequence(index, error.into(), now);
                    return self.advance(Some(now));
                }
                // The bodies on their way may be more than the uplink carries in time.
                if entry.sent_first && matches!(error.kind(), StreamError::Timeout) {
                    self.window.gap();
                }
                let wait = match again {
                    true => entry.backoff.next(now, random, error.retry_after()),
                    false => None,
                };
                match wait {
                    // The server may have died of it and forgotten that too. Then it would take the batch once more.
                    Some(wait)
                        if fate == Fate::Unknown && self.claimed_from_oblivion && !self.established =>
                    {
                        self.forgotten(error.into(), Some(now + wait));
                    }
                    Some(wait) => {
                        #[cfg(feature = "tracing")]
                        tracing::debug!(epoch = self.epoch, seq = entry.seq, ?wait, %error, "the producer sends a batch again");
                        entry.again_at = Some(now + wait);
                    }
                    None => {
                        let error = attempted(error, &entry.backoff);
                        self.halt(error.into());
                    }
                }
            }
        }
        self.advance(Some(now));
    }

    fn stored(
        &mut self,
        index: usize,
        offset: Option<Offset>,
        duplicate: bool,
        highest: Option<u64>,
        full: bool,
    ) {
        let entry = &self.entries[index];
        let seq = entry.seq;
        let first_time = !entry.may_echo;
        let bare_end = entry.batch.is_bare_end();
        let suspicious = duplicate && !bare_end && !self.settings.accept_duplicates;
        if suspicious && self.settings.auto_claim && seq == 0 && self.is_tail_unmoved(offset.as_ref()) {
            // An earlier run of a single batch with this epoch: no attempt of ours was applied.
            self.entries[index].maybe_applied = false;
            self.fence(self.epoch);
            return;
        }
        self.contested |= suspicious && (first_time || highest > self.sent_to);
        if suspicious && first_time {
            // Nobody could have got this far by repeating what we sent.
            if self.settings.auto_claim && highest > self.sent_to {
                self.fence(self.epoch);
            } else {
                self.entries[index].maybe_applied = true;
                self.halt(ProducerError::UnexpectedDuplicate { epoch: self.epoch, seq });
            }
            return;
        }
        if suspicious && highest > self.sent_to {
            self.entries[index].maybe_applied = true;
            let reason =
                "another producer uses this id and epoch, and the server has more than was sent here".into();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let duplicate = duplicate && !bare_end;
        self.counters.duplicates += u64::from(duplicate);
        self.established = true;
        self.has_stored = true;
        self.stored_to = self.stored_to.max(Some(seq));
        self.see_tail(offset.as_ref());
        if let Some(entry) = self.entries.remove(index) {
            let ack = Ack { offset, duplicate, epoch: self.epoch, seq };
            self.settled.push(Settled { batch: entry.batch, outcome: Ok(ack), may_be_stored: true });
        }
        self.window.acknowledged(full);
        // An acknowledgement is progress, which renews every budget.
        self.entries.iter_mut().for_each(|entry| entry.backoff.reset());
    }

    fn gap(&mut self, index: usize, expected: u64, received: u64, now: Instant) {
        self.counters.gaps += 1;
        #[cfg(feature = "tracing")]
        tracing::debug!(epoch = self.epoch, seq = received, expected, "a batch came before its predecessor");
        let sent_first = self.entries[index].sent_first;
        self.refused_in_sequence(index, ProducerError::SequenceGap { expected, received }, now);
        if sent_first {
            return;
        }
        let explained =
            self.entries.range(..index).any(|before| before.again_at.is_some() || before.too_large.is_some());
        if !explained {
            self.window.gap();
        }
    }

    /// The server does not take a batch at this place of the sequence.
    fn refused_in_sequence(&mut self, index: usize, error: ProducerError, now: Instant) {
        let entry = &mut self.entries[index];
        if !entry.sent_first {
            // It came too early. Resent when it is the first, and then at once.
            entry.again_at = Some(now);
        } else if self.settings.auto_claim {
            // All before it was acknowledged when it was sent.
            self.forgotten(error, None);
        } else {
            self.halt(error);
        }
    }

    fn closed(&mut self, index: usize, error: Error, final_offset: Option<Offset>) {
        let entry = &self.entries[index];
        if entry.batch.is_bare_end() && entry.maybe_applied {
            // Perhaps by the attempt that went unanswered; what was wanted is so.
            let ack = Ack { offset: final_offset, duplicate: true, epoch: self.epoch, seq: entry.seq };
            if let Some(entry) = self.entries.remove(index) {
                self.settled.push(Settled { batch: entry.batch, outcome: Ok(ack), may_be_stored: true });
            }
        } else {
            self.halt(error.into());
        }
    }

    /// Sends nothing more. What is on its way is waited for, then the rest fails. The first cause holds.
    pub(super) fn halt(&mut self, cause: ProducerError) {
        if self.halted().is_none() {
            #[cfg(feature = "tracing")]
            tracing::warn!(epoch = self.epoch, error = %cause, "the producer halts");
            self.phase = Phase::Halting(cause);
            self.advance(None);
        }
    }

    /// Fails everything at once, attempts under way included.
    pub(super) fn abort(&mut self, cause: ProducerError) {
        for entry in &mut self.entries {
            entry.maybe_applied |= std::mem::take(&mut entry.in_flight);
        }
        self.halt(cause);
        self.advance(None);
    }
}

/// The error of the last of several attempts.
fn attempted(error: Error, backoff: &Backoff) -> Error {
    let attempts = backoff.retries() + 1;
    error.edit(|context| context.attempts = attempts)
}
