//! The machine's state, and which attempt is sent next.

use super::attempt::{Attempt, Settled};
use super::body_size::BodySize;
use super::claims::Claims;
use super::entry::{Entry, InFlight};
use super::epoch::Epoch;
use super::window::Window;
use crate::error::StreamError;
use crate::offset::Offset;
use crate::outage::{ConnectionStatus, OutageWatch};
use crate::producer::error::ProducerError;
use crate::producer::queue::batch::Batch;
use crate::protocol::headers::MAX_NUMBER;
use crate::retry::{Backoff, RetryConfig};
use std::collections::VecDeque;
use std::time::Instant;

#[derive(Clone, Debug)]
pub(in crate::producer) struct Settings {
    pub(in crate::producer) epoch: u64,
    pub(in crate::producer) auto_claim: bool,
    pub(in crate::producer) accept_duplicates: bool,
    pub(in crate::producer) max_in_flight: usize,
    pub(in crate::producer) max_batch_bytes: usize,
    pub(in crate::producer) retry: RetryConfig,
    pub(in crate::producer) connection_status: ConnectionStatus,
}

/// Totals since the producer started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::producer) struct Counters {
    pub(in crate::producer) requests: u64,
    pub(in crate::producer) resent: u64,
    pub(in crate::producer) duplicates: u64,
    pub(in crate::producer) gaps: u64,
    pub(in crate::producer) claims: u64,
}

/// See the diagram on the [module's page](super).
#[derive(Debug)]
pub(super) enum Phase {
    Running,
    /// Another run or producer has the id. This epoch is claimed once nothing is in flight.
    Claiming {
        epoch: u64,
    },
    /// The server has lost the producer's state, as some do in a crash. Once nothing is in flight, the stream's tail
    /// decides whether to continue in a new epoch.
    StateLost {
        /// The error if the producer cannot continue.
        error: ProducerError,
        check: TailCheck,
    },
    /// The oldest batch may have been applied, or be too large for the path. Once nothing is in flight, a tail check shows
    /// whether the server is there; then it is split.
    SizeInDoubt {
        check: TailCheck,
    },
    /// Once nothing is in flight, all remaining batches fail with this error.
    Halting(ProducerError),
    /// All batches are settled, and nothing more is sent.
    Halted {
        cause: ProducerError,
        /// No unacknowledged batch is stored before this offset.
        unacked_from: Option<Offset>,
    },
}

/// The tail check after a state loss, or before a batch in doubt is split.
#[derive(Clone, Copy, Debug)]
pub(super) enum TailCheck {
    /// The earliest time at which it may begin.
    DueAt(Instant),
    /// The driver makes it.
    Running,
}

impl TailCheck {
    pub(super) fn is_due(self, now: Instant) -> bool {
        matches!(self, Self::DueAt(at) if at <= now)
    }
}

#[derive(Debug)]
pub(in crate::producer) struct Machine {
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) epoch: Epoch,
    /// The batches that are not settled, in order.
    pub(super) entries: VecDeque<Entry>,
    pub(super) next_key: u64,
    pub(super) window: Window,
    pub(super) claims: Claims,
    /// The furthest tail in any response.
    ///
    /// A response has the tail of its own time, and later batches of ours may be before that tail already: it says
    /// nothing about batches in flight. But a batch that is first sent after the response was received is stored after
    /// this tail, if it is stored.
    pub(super) tail_seen: Option<Offset>,
    pub(super) counters: Counters,
    pub(super) settled: Vec<Settled>,
    pub(super) outage: OutageWatch,
    pub(super) body_size: BodySize,
}

impl Machine {
    pub(in crate::producer) fn new(settings: Settings) -> Self {
        Self {
            outage: OutageWatch::new(settings.connection_status.clone()),
            body_size: BodySize::new(settings.max_batch_bytes),
            epoch: Epoch::new(settings.epoch),
            window: Window::new(settings.max_in_flight),
            settings,
            phase: Phase::Running,
            entries: VecDeque::new(),
            next_key: 0,
            claims: Claims::default(),
            tail_seen: None,
            counters: Counters::default(),
            settled: Vec::new(),
        }
    }

    pub(in crate::producer) fn epoch(&self) -> u64 {
        self.epoch.number
    }

    pub(in crate::producer) fn counters(&self) -> Counters {
        self.counters
    }

    pub(in crate::producer) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|entry| entry.in_flight.is_some()).count()
    }

    /// All batches are settled.
    pub(in crate::producer) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// Why nothing is sent any more.
    pub(in crate::producer) fn halted(&self) -> Option<&ProducerError> {
        match &self.phase {
            Phase::Halting(cause) | Phase::Halted { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// The stream's tail before the first batch, from the driver's HEAD.
    pub(in crate::producer) fn on_metadata(&mut self, tail: Offset) {
        self.note_tail(Some(&tail));
        self.epoch.tail_before = Some(tail);
    }

    /// Once the machine has halted and all batches are settled: an offset before which no unacknowledged batch is stored, if
    /// one is known.
    pub(in crate::producer) fn unacked_from(&self) -> Option<&Offset> {
        match &self.phase {
            Phase::Halted { unacked_from, .. } => unacked_from.as_ref(),
            _ => None,
        }
    }

    pub(super) fn note_tail(&mut self, tail: Option<&Offset>) {
        if let Some(tail) = tail
            && self.tail_seen.as_ref().is_none_or(|seen| seen < tail)
        {
            self.tail_seen = Some(tail.clone());
        }
    }

    /// Whether a duplicate response without an offset must be completed by a HEAD.
    pub(in crate::producer) fn compares_tails(&self) -> bool {
        self.epoch.compares_tails()
    }

    /// Whether another batch could be sent at once.
    pub(in crate::producer) fn wants_batch(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.entries.len() < self.allowed_in_flight()
            && self.entries.iter().all(|entry| entry.in_flight.is_some() && !entry.batch.closing)
    }

    /// How many batches may be in flight. The first of an epoch is sent alone: the server refuses a later one that
    /// arrives before it.
    pub(super) fn allowed_in_flight(&self) -> usize {
        if self.epoch.is_established() { self.window.size() } else { 1 }
    }

    /// Takes the next batch, in as many parts as the path needs, and gives each the next number.
    pub(in crate::producer) fn push_batch(&mut self, batch: Batch) {
        if batch.body.len() <= self.body_size.limit() {
            self.push_part(batch);
        } else {
            batch.split_to(self.body_size.limit()).into_iter().for_each(|part| self.push_part(part));
        }
        self.advance(None);
    }

    fn push_part(&mut self, batch: Batch) {
        let seq = self.epoch.next_seq;
        let backoff = Backoff::new(self.settings.retry.clone());
        // The key outlives the number: a new epoch renumbers the batch while the driver may still report on it.
        self.entries.push_back(Entry::new(self.next_key, seq, batch, backoff));
        self.next_key += 1;
        self.epoch.next_seq += 1;
        if seq > MAX_NUMBER {
            let reason = "the epoch has no sequence numbers left (at most 2^53-1); start a new producer with a \
                          higher epoch";
            self.halt(StreamError::config("producer seq", seq.to_string(), reason).into());
        }
    }

    /// The attempt to send now. The driver calls this until it returns `None`.
    pub(in crate::producer) fn next_attempt(&mut self, now: Instant) -> Option<Attempt> {
        if !matches!(self.phase, Phase::Running) {
            return None;
        }
        let in_flight = self.in_flight();
        let allowed = self.allowed_in_flight();
        // In order: no batch is sent before an earlier one that waits for its retry.
        let index = self.entries.iter().position(|entry| entry.in_flight.is_none())?;
        // Until a part of a batch in doubt is settled, the numbers behind it are not certain. That a batch is stored under a number
        // in doubt is certain only once a response says so, and not if the next number is stored.
        let is_uncertain =
            |oldest: &Entry| !oldest.larger_bodies.is_empty() || self.epoch.is_in_doubt(oldest.seq);
        if index > 0 && self.entries.front().is_some_and(is_uncertain) {
            return None;
        }
        // Only entries before it are in flight. If it is the oldest, everything before it is settled.
        let is_oldest = index == 0;
        let entry = &mut self.entries[index];
        // It waits until nothing is in flight, and is then split. Nothing behind it may be sent before.
        if entry.too_large.is_some() {
            return None;
        }
        match entry.retry_at {
            // A retry is sent alone, as the oldest, and not before its time.
            // A close is sent alone too: the server must not close the stream before an earlier batch is stored.
            Some(at) if !is_oldest || at > now => return None,
            _ if !is_oldest && (in_flight >= allowed || entry.batch.closing) => return None,
            _ => {}
        }
        entry.in_flight = Some(InFlight { was_oldest: is_oldest, began: now });
        // An attempt in doubt may be stored already. The tail known now could lie behind it, so the earlier one is
        // kept.
        if !entry.is_in_doubt() {
            entry.stored_after = self.tail_seen.clone();
        }
        self.counters.requests += 1;
        self.counters.resent += u64::from(std::mem::replace(&mut entry.was_sent, true));
        // A resend does not lower it: the highest number that the server can have from us stays the same.
        self.epoch.sent_to = self.epoch.sent_to.max(Some(entry.seq));
        Some(Attempt {
            key: entry.key,
            epoch: self.epoch.number,
            seq: entry.seq,
            body: entry.batch.body.clone(),
            closing: entry.batch.closing,
            patience: entry.patience,
        })
    }

    /// When the driver has to act even if nothing else happens.
    pub(in crate::producer) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running => {
                let oldest = self.entries.front()?;
                // Only the oldest batch is retried. All others wait until it is settled, so they have no deadline.
                if oldest.in_flight.is_some() || oldest.too_large.is_some() { None } else { oldest.retry_at }
            }
            // While a batch is in flight its result comes first: the tail must not be read before every request has
            // ended.
            Phase::StateLost { check: TailCheck::DueAt(at), .. }
            | Phase::SizeInDoubt { check: TailCheck::DueAt(at) }
                if self.in_flight() == 0 =>
            {
                Some(*at)
            }
            _ => None,
        }
    }

    /// The batches that were settled since the last call.
    pub(in crate::producer) fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Stops sending. Batches in flight are waited for, then the rest fails. The first cause is kept.
    pub(in crate::producer) fn halt(&mut self, cause: ProducerError) {
        if self.halted().is_none() {
            #[cfg(feature = "tracing")]
            tracing::warn!(epoch = self.epoch.number, error = %cause, "the producer halts");
            // If nothing is in flight, `advance` fails the remaining batches at once.
            self.phase = Phase::Halting(cause);
            self.advance(None);
        }
    }
}
