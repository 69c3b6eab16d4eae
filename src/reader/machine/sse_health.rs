//! Whether event streams work on the way to this server.

use std::time::{Duration, Instant};

/// An event stream, or a long-poll, that stayed open this long did its work, even if there was nothing to deliver.
pub(super) const MIN_HEALTHY_LIFETIME: Duration = Duration::from_secs(5);
/// Failures in a row after which event streams are not tried for a while.
const MAX_SSE_FAILURES: u8 = 3;
/// The first cooldown. Each further one is twice as long, up to [`MAX_SSE_COOLDOWN`].
const MIN_SSE_COOLDOWN: Duration = Duration::from_secs(60);
const MAX_SSE_COOLDOWN: Duration = Duration::from_secs(15 * 60);

/// Decides whether `LiveMode::Auto` may open an event stream.
///
/// After [`MAX_SSE_FAILURES`] failures in a row, or one refusal, event streams are not tried until `retry_at`. An event
/// stream that delivered data, or lived for [`MIN_HEALTHY_LIFETIME`], resets everything.
#[derive(Debug)]
pub(super) struct SseHealth {
    failures: u8,
    retry_at: Option<Instant>,
    /// How long the next cooldown takes.
    cooldown: Duration,
}

impl Default for SseHealth {
    fn default() -> Self {
        Self { failures: 0, retry_at: None, cooldown: MIN_SSE_COOLDOWN }
    }
}

impl SseHealth {
    pub(super) fn is_cooling_down(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|retry_at| now < retry_at)
    }

    /// An event stream has ended, in whatever way.
    pub(super) fn on_end(&mut self, now: Instant, lifetime: Duration, delivered_data: bool) {
        // Servers end event streams regularly, after a minute for instance. That is not a failure.
        if delivered_data || lifetime >= MIN_HEALTHY_LIFETIME {
            *self = Self::default();
        } else {
            self.on_failure(now);
        }
    }

    /// A request for an event stream failed.
    pub(super) fn on_failure(&mut self, now: Instant) {
        // Failures far apart count as a run too, unless an event stream worked in between.
        self.failures += 1;
        if self.failures >= MAX_SSE_FAILURES {
            self.on_unsupported(now);
        }
    }

    /// The server does not serve event streams, or a proxy buffers them.
    pub(super) fn on_unsupported(&mut self, now: Instant) {
        // After the cooldown it takes a full run of failures to start the next one.
        self.failures = 0;
        self.retry_at = Some(now + self.cooldown);
        self.cooldown = (self.cooldown * 2).min(MAX_SSE_COOLDOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sse_is_disabled_after_three_short_lived_streams() {
        let now = Instant::now();
        let mut health = SseHealth::default();
        for _ in 0..3 {
            assert!(!health.is_cooling_down(now));
            health.on_end(now, Duration::ZERO, false);
        }
        assert!(health.is_cooling_down(now) && !health.is_cooling_down(now + MIN_SSE_COOLDOWN));
        health.on_unsupported(now);
        assert!(health.is_cooling_down(now + MIN_SSE_COOLDOWN));
        health.on_end(now, MIN_HEALTHY_LIFETIME, false);
        assert!(!health.is_cooling_down(now));
    }
}
