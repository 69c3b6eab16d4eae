//! A limit on epoch claims.

use std::time::{Duration, Instant};

/// How many claims may follow one another, each less than [`CLAIM_PAUSE`] after the one before.
pub(super) const MAX_CLAIMS: u32 = 5;

/// After a pause this long the earlier claims no longer count.
const CLAIM_PAUSE: Duration = Duration::from_secs(60);

/// Counts claims. Two producers with the same id would otherwise claim it from one another without end.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Claims since the last pause.
    count: u32,
    last: Option<Instant>,
}

impl Claims {
    /// Counts a claim. False if there were too many.
    pub(super) fn record(&mut self, now: Option<Instant>) -> bool {
        if let (Some(now), Some(last)) = (now, self.last)
            && now.saturating_duration_since(last) > CLAIM_PAUSE
        {
            self.count = 0;
        }
        // Without a time the claim still counts. The next one with a time is compared to the last known.
        self.last = now.or(self.last);
        self.count += 1;
        self.count <= MAX_CLAIMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixth_claim_without_a_pause_is_refused_and_a_pause_resets_the_count() {
        let mut claims = Claims::default();
        let mut now = Instant::now();
        for _ in 0..MAX_CLAIMS {
            assert!(claims.record(Some(now)));
            // The limit is on the pause between claims, not on their number in a minute.
            now += Duration::from_secs(50);
        }
        assert!(!claims.record(Some(now)));
        assert!(claims.record(Some(now + Duration::from_secs(61))));
    }
}
