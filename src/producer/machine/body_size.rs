//! How large the body of a request may be on this path, as far as failures have shown.

use std::time::{Duration, Instant};

/// A smaller body is not suspected: its size has not made a request fail.
pub(super) const MIN_SUSPECT: usize = 64 * 1024;

/// How long a limit that was learnt stays before a larger body is tried. Doubles with each failure, up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(60);
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The limit of new bodies. It falls with failures, and grows back by a quarter at a time.
#[derive(Debug)]
pub(super) struct BodySize {
    limit: usize,
    /// The configured limit.
    max: usize,
    /// When the limit grows; `None` while it is the configured one.
    grows_at: Option<Instant>,
    wait: Duration,
}

impl BodySize {
    pub(super) fn new(max: usize) -> Self {
        Self { limit: max, max, grows_at: None, wait: FIRST_WAIT }
    }

    /// The largest body, unless it is a single record.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A body was too large: later ones are at most `limit`.
    pub(super) fn lower(&mut self, limit: usize, now: Instant) {
        self.limit = self.limit.min(limit.max(1));
        self.grows_at = now.checked_add(self.wait);
        self.wait = (self.wait * 2).min(MAX_WAIT);
    }

    /// A batch was stored.
    pub(super) fn on_stored(&mut self, now: Instant) {
        if self.grows_at.is_some_and(|at| at <= now) {
            self.limit = self.limit.saturating_add((self.limit / 4).max(1)).min(self.max);
            self.grows_at = if self.limit < self.max { now.checked_add(FIRST_WAIT) } else { None };
            if self.grows_at.is_none() {
                self.wait = FIRST_WAIT;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_kept_for_a_while_and_grows_back_slowly() {
        let mut now = Instant::now();
        let mut size = BodySize::new(1_000_000);
        size.lower(100_000, now);
        size.lower(300_000, now);
        assert_eq!(size.limit(), 100_000);
        size.on_stored(now + FIRST_WAIT);
        assert_eq!(size.limit(), 100_000, "the second failure has doubled the wait");
        now += 2 * FIRST_WAIT;
        size.on_stored(now);
        size.on_stored(now);
        assert_eq!(size.limit(), 125_000);
        for _ in 0..20 {
            now += FIRST_WAIT;
            size.on_stored(now);
        }
        assert_eq!(size.limit(), 1_000_000);
    }
}
