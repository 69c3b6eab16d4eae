//! A batch that the server finds too large.

use super::attempt::Settled;
use super::claims::MAX_CLAIMS;
use super::entry::Entry;
use super::state::Machine;
use crate::producer::error::ProducerError;
use std::time::Instant;

impl Machine {
    /// Splits the oldest batch, which the server found too large (413). A single record fails on its own.
    ///
    /// Called while nothing is in flight. The batches behind it get new numbers, under which an earlier attempt must not
    /// be applied later: if one of them is in doubt, a new epoch is needed.
    pub(super) fn split_oldest(&mut self, now: Option<Instant>) {
        let Some(mut entry) = self.entries.pop_front() else { return };
        // The mark belongs to the whole batch. Its halves are new to the server.
        let Some(error) = entry.too_large.take() else { return };
        if entry.is_in_doubt() {
            self.entries.push_front(entry);
            let reason =
                "an attempt had no response, and the server now finds the batch too large".to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
        // A later batch cannot have been applied before this one. But its attempt may still be in the network, and could
        // be applied in place of the batch that gets its number now.
        let is_later_in_doubt = self.entries.iter().any(|later| later.is_in_doubt());
        if is_later_in_doubt && !self.settings.auto_claim {
            self.entries.push_front(entry);
            let reason =
                "a batch has to be split while the attempt of a later one has no response; auto_claim \
                          would allow it"
                    .to_owned();
            return self.halt(ProducerError::OutcomeUnknown { reason });
        }
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
            let backoff = entry.backoff.clone();
            // The tail is pushed first, so that the head ends up before it. Both get their numbers from `renumber`
            // below.
            let (head, tail) = entry.batch.split();
            for (key, half) in [(self.next_key, tail), (self.next_key + 1, head)] {
                let mut half = Entry::new(key, seq, half, backoff.clone());
                // Its records were sent before, so the next request counts as a resend.
                half.was_sent = true;
                self.entries.push_front(half);
            }
            self.next_key += 2;
        } else {
            // The record is smaller than any limit of ours. Only the server can accept it, so it fails alone, and the
            // rest continues.
            let result = Err(error.into());
            self.settled.push(Settled { batch: entry.batch, result, may_be_stored: false });
        }
        if is_later_in_doubt {
            let reason = format!(
                "a batch has to be split while the attempt of a later one has no response, and {MAX_CLAIMS} epochs \
                 were claimed already, less than a minute apart"
            );
            self.start_epoch(self.epoch.number + 1, ProducerError::OutcomeUnknown { reason }, now);
        } else {
            self.renumber(seq);
        }
    }
}
