//! A batch whose size is why it fails: it is split, also if an attempt may have been applied.

use super::attempt::{Fate, Settled};
use super::body_size::MIN_SUSPECT;
use super::claims::MAX_CLAIMS;
use super::entry::{Entry, InFlight};
use super::state::{Machine, Phase};
use crate::error::{Error, StreamError};
use crate::offset::Offset;
use crate::producer::error::ProducerError;
use crate::producer::queue::batch::Batch;
use crate::producer::receipt::Ack;
use durable_streams_contract::TransportErrorKind;
use std::time::{Duration, Instant};

/// After so many failures in a row of a large body, its size is suspected.
const SUSPICIOUS: u32 = 2;
/// After so many, it is split even if the tail has moved, which another writer may have done.
const MAX_FAILURES: u32 = 4;
/// An attempt that ended this long ago is hardly applied any more.
const ARRIVAL_TIME: Duration = Duration::from_secs(5);
/// A smaller body reaches the server in time over any uplink.
const MIN_SLOW: usize = 16 * 1024;
/// The most times the usual time that the response to a large body may take.
const MAX_PATIENCE: u32 = 64;
/// The same for a body that is smaller than [`MIN_SUSPECT`]: a server that is gone must not be waited for that long.
const MAX_SMALL_PATIENCE: u32 = 4;

impl Machine {
    /// Splits the oldest batch, which is too large. A single record fails on its own.
    ///
    /// Called while nothing is in flight. The batches behind it get new numbers, under which an earlier attempt must not
    /// be applied later: if one of them is in doubt, a new epoch is needed.
    pub(super) fn split_oldest(&mut self, now: Option<Instant>) {
        // A later batch may have proved that it is stored.
        self.settle_stored();
        let Some(oldest) = self.entries.front().filter(|oldest| oldest.too_large.is_some()) else { return };
        if oldest.is_in_doubt() {
            return self.split_oldest_in_doubt(now);
        }
        // A later batch cannot have been applied before this one. But its attempt may still be in the network, and could
        // be applied in place of the batch that gets its number now.
        let is_later_in_doubt = self.is_later_in_doubt();
        if is_later_in_doubt && !self.settings.auto_claim {
            let reason =
                "a batch has to be split while the attempt of a later one has no response; auto_claim \
                          would allow it"
                    .to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let Some(mut entry) = self.entries.pop_front() else { return };
        // The mark belongs to the whole batch. Its parts are new to the server.
        let Some(error) = entry.too_large.take() else { return };
        let seq = entry.seq;
        #[cfg(feature = "tracing")]
        tracing::info!(
            epoch = self.epoch.number,
            seq,
            bytes = entry.batch.body.len(),
            records = entry.batch.records(),
            %error,
            "a batch is too large for the server: it is split, or its only record fails"
        );
        if entry.batch.records() > 1 {
            let (retry_at, backoff) = (entry.retry_at, entry.backoff.clone());
            self.replace_oldest(entry, |key, part| {
                let mut part = Entry::new(key, seq, part, backoff.clone());
                // Its records were sent before, so the next request counts as a resend.
                part.was_sent = true;
                part
            });
            if !is_later_in_doubt {
                self.renumber(seq);
            }
            if let Some(oldest) = self.entries.front_mut() {
                oldest.retry_at = retry_at;
            }
        } else {
            // The record is smaller than any limit of ours. Only the server can accept it, so it fails alone, and the
            // rest continues.
            let result = Err(error.into());
            self.settled.push(Settled { batch: entry.batch, result, may_be_stored: false });
            if !is_later_in_doubt {
                self.renumber(seq);
            }
        }
        if is_later_in_doubt {
            let reason = format!(
                "a batch has to be split while the attempt of a later one has no response, and {MAX_CLAIMS} epochs \
                 were claimed already, less than a minute apart"
            );
            self.start_epoch(self.epoch.number + 1, ProducerError::OutcomeUnknown { reason }, now);
        }
    }

    /// Puts the parts of a batch in its place.
    fn replace_oldest(&mut self, whole: Entry, mut part: impl FnMut(u64, Batch) -> Entry) {
        let half = whole.batch.body.len() / 2;
        let parts = whole.batch.split_to(self.body_size.limit().min(half.max(1)));
        let first_key = self.next_key;
        self.next_key += parts.len() as u64;
        for (index, batch) in parts.into_iter().enumerate().rev() {
            self.entries.push_front(part(first_key + index as u64, batch));
        }
    }

    fn is_later_in_doubt(&self) -> bool {
        self.entries.iter().skip(1).any(Entry::is_in_doubt)
    }

    /// Until when an attempt in doubt of a later batch may be applied, before the batch in its place.
    pub(super) fn later_may_arrive_until(&self) -> Option<Instant> {
        let in_doubt = self.entries.iter().skip(1).filter(|entry| entry.is_in_doubt());
        in_doubt.filter_map(|entry| entry.in_doubt_since?.checked_add(ARRIVAL_TIME)).max()
    }

    fn may_later_arrive(&self, now: Option<Instant>) -> bool {
        self.later_may_arrive_until().is_some_and(|until| now.is_none_or(|now| now < until))
    }

    /// Splits the oldest batch, which may have been applied. Its first part keeps the number: the server stores one body under it,
    /// whichever it gets first.
    fn split_oldest_in_doubt(&mut self, now: Option<Instant>) {
        let may_later_arrive = self.may_later_arrive(now);
        let Some(oldest) = self.entries.front_mut() else { return };
        oldest.too_large = None;
        // A single record cannot be split. A close could be applied by a repetition of the whole. A later batch that is stored has
        // the number of a part, and one that may arrive could take it.
        let is_number_used = may_later_arrive || self.epoch.is_stored(oldest.seq);
        if oldest.batch.records() < 2 || oldest.batch.closing || is_number_used {
            let reason =
                "an attempt had no response, and the server now finds the batch too large".to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        let Some(whole) = self.entries.pop_front() else { return };
        let seq = whole.seq;
        // The parts get the numbers of later batches, of which attempts may be applied yet.
        for later in self.entries.iter_mut().filter(|later| later.is_in_doubt()) {
            later.earlier_seq = Some(later.seq);
            self.epoch.doubt(seq + 1..=later.seq);
        }
        #[cfg(feature = "tracing")]
        tracing::info!(
            epoch = self.epoch.number,
            seq,
            bytes = whole.batch.body.len(),
            "a batch that may be stored is too large for the path: it is split"
        );
        let before = self.entries.len();
        let (mut larger_bodies, stored_after, backoff) =
            (whole.larger_bodies.clone(), whole.stored_after.clone(), whole.backoff.clone());
        self.replace_oldest(whole, |key, batch| {
            let mut part = Entry::new(key, seq, batch, backoff.clone());
            part.was_sent = true;
            part.is_covered = true;
            part
        });
        let behind = self.entries.len() - before - 1;
        larger_bodies.iter_mut().for_each(|covered| *covered += behind);
        larger_bodies.push(behind);
        self.renumber_covered(seq);
        if let Some(first) = self.entries.front_mut() {
            first.larger_bodies = larger_bodies;
            first.stored_after = stored_after;
            first.is_covered = false;
            first.record_fate(Fate::Unknown);
        }
    }

    /// Gives the batches the numbers from `seq` on, without the marks that a larger body left.
    fn renumber_covered(&mut self, seq: u64) {
        let covered: Vec<bool> = self.entries.iter().map(|entry| entry.is_covered).collect();
        self.renumber(seq);
        for (entry, is_covered) in self.entries.iter_mut().zip(covered) {
            entry.is_covered = is_covered;
        }
    }

    /// The first part of a batch in doubt has a success. Returns whether that settles it: as a duplicate it is not the part that
    /// is stored, but a larger body.
    pub(super) fn settle_larger_body(&mut self, index: usize, duplicate: bool) -> bool {
        let entry = &mut self.entries[index];
        let larger_bodies = std::mem::take(&mut entry.larger_bodies);
        if !duplicate {
            // The part was stored now, so that no larger body was, or ever will be under this number.
            self.entries.iter_mut().for_each(|entry| entry.is_covered = false);
            return false;
        }
        // Without a failed attempt of its own, the part cannot be what is stored.
        let (&[covered], 0) = (larger_bodies.as_slice(), entry.size_failures) else {
            entry.larger_bodies = larger_bodies;
            let reason = "a batch was split after an attempt without a response, and the server has stored one of the two"
                .to_owned();
            self.halt(ProducerError::OutcomeUnknown { reason });
            return true;
        };
        let seq = entry.seq;
        self.counters.duplicates += 1;
        self.epoch.stored_to = self.epoch.stored_to.max(Some(seq));
        for entry in self.entries.drain(..=covered) {
            let ack = Ack { offset: None, duplicate: true, epoch: self.epoch.number, seq };
            self.settled.push(Settled { batch: entry.batch, result: Ok(ack), may_be_stored: true });
        }
        self.renumber(seq + 1);
        if self.entries.iter().all(|entry| entry.earlier_seq.is_none()) {
            // Each batch behind it has the number of its own attempts again.
            self.epoch.in_doubt = None;
        }
        self.entries.iter_mut().for_each(|entry| entry.backoff.reset());
        true
    }

    /// The upload of a batch was cut off: it cannot have been applied.
    pub(super) fn on_cut_off(
        &mut self,
        index: usize,
        flight: InFlight,
        error: Error,
        random: u64,
        now: Instant,
    ) {
        let size = self.entries[index].batch.body.len();
        let is_suspect = size >= MIN_SUSPECT && self.entries[index].batch.records() > 1;
        self.on_failed(index, flight, error.clone(), Fate::NoEffect, Some(random), now);
        // `on_failed` may have halted, and failed the batch.
        if is_suspect
            && self.halted().is_none()
            && let Some(entry) = self.entries.get_mut(index)
        {
            self.body_size.lower(size / 4, now);
            entry.too_large = Some(error);
        }
    }

    /// Learns from the failure of a large body. The first part of a batch in doubt counts whatever its size: its own failures
    /// decide what a duplicate means.
    pub(super) fn note_size_failure(
        &mut self,
        index: usize,
        was_oldest: bool,
        error: &Error,
        fate: Fate,
        now: Instant,
    ) {
        let entry = &mut self.entries[index];
        if fate != Fate::Unknown {
            return;
        }
        let size = entry.batch.body.len();
        let is_large = was_oldest && size >= MIN_SUSPECT && is_size_suspect(error);
        if is_large || !entry.larger_bodies.is_empty() {
            entry.size_failures += 1;
        }
        let is_timeout = matches!(error.kind(), StreamError::Timeout);
        if is_timeout && size >= MIN_SLOW {
            // The uplink may be slow. The batch keeps its bytes, and gets more time.
            let most = if size < MIN_SUSPECT { MAX_SMALL_PATIENCE } else { MAX_PATIENCE };
            entry.patience = (entry.patience * 4).min(most);
        }
        if size < MIN_SUSPECT {
            return;
        }
        if is_timeout {
            self.body_size.lower(size / 4, now);
        } else if entry.size_failures >= SUSPICIOUS {
            self.body_size.lower(size / 8, now);
        }
    }

    /// Whether the oldest batch has failed as on a path that does not carry its size, and could be split.
    pub(super) fn is_size_in_doubt(&self, index: usize) -> bool {
        let entry = &self.entries[index];
        index == 0
            && matches!(self.phase, Phase::Running)
            && entry.size_failures >= SUSPICIOUS
            && entry.batch.body.len() >= MIN_SUSPECT
            && entry.batch.records() > 1
            && !entry.batch.closing
            && !self.epoch.is_stored(entry.seq)
    }

    /// The server has responded, to a small request: it is there, and large bodies do not reach it.
    pub(super) fn on_tail_of_size_in_doubt(&mut self, tail: Option<&Offset>, now: Instant) {
        self.phase = Phase::Running;
        // A later batch was in flight when the check was planned, and is in doubt now.
        let may_later_arrive = self.may_later_arrive(Some(now));
        if let Some(oldest) = self.entries.front_mut() {
            // If something was stored since, it may be this batch: then a duplicate response settles it.
            let has_moved = match (tail, &oldest.stored_after) {
                (Some(tail), Some(before)) => tail != before,
                _ => false,
            };
            if may_later_arrive || has_moved && oldest.size_failures < MAX_FAILURES {
                oldest.retry_at = Some(now);
            } else {
                self.split_oldest_in_doubt(Some(now));
            }
        }
        self.advance(Some(now));
    }
}

/// Whether a request can fail like this for its size: a gateway that gives up, or a connection that ends.
fn is_size_suspect(error: &Error) -> bool {
    match error.kind() {
        StreamError::ServerError { status, .. } => matches!(status, 408 | 502 | 504),
        StreamError::Network(error) => matches!(
            error.kind(),
            TransportErrorKind::Closed | TransportErrorKind::Truncated | TransportErrorKind::Other
        ),
        _ => false,
    }
}
