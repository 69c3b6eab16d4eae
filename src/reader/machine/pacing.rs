//! When the next request may be sent: after failures, and after responses without new data.

use super::sse_health::MIN_HEALTHY_LIFETIME;
use crate::retry::{Backoff, RetryConfig, fraction};
use std::time::{Duration, Instant};

/// The delay after the second empty response in a row.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay: how late new data can be on a server that never holds a request open.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// The longest delay after an event stream that brought data and ended at once.
const MAX_SHORT_STREAM_DELAY: Duration = Duration::from_millis(500);
/// Exchanges that lasted at least this long need no extra delay.
const MIN_SPACING: Duration = Duration::from_millis(400);

/// The delays of one reader, with the one rule that resets its retry budget.
///
/// The budget is reset when the server has shown that it works, and a failure after that is not a sequel to one before:
///
/// - new content was delivered ([`on_delivery`](Self::on_delivery));
/// - a long-poll was answered, with or without content ([`on_long_poll_response`](Self::on_long_poll_response));
/// - a live request stayed open for [`MIN_HEALTHY_LIFETIME`], whatever ended it
///   ([`on_live_request_end`](Self::on_live_request_end)). An event stream counts only with a control event: a proxy may hold
///   a dead one open.
///
/// A plain page without new content resets nothing: it may be the answer of a cache.
#[derive(Debug)]
pub(super) struct Pacing {
    retries: Backoff,
    empty_responses: EmptyResponseBackoff,
    short_streams: EmptyResponseBackoff,
    jitter: Jitter,
    /// How long the last event stream asked to wait before the next connection, at most `max_retry_after`.
    reconnection_time: Duration,
    max_retry_after: Duration,
}

impl Pacing {
    /// `random` seeds the jitter.
    pub(super) fn new(retry: RetryConfig, random: u64) -> Self {
        Self {
            max_retry_after: retry.max_retry_after,
            retries: Backoff::new(retry),
            empty_responses: EmptyResponseBackoff::default(),
            short_streams: EmptyResponseBackoff::default(),
            reconnection_time: Duration::ZERO,
            // A xorshift state of zero would stay zero.
            jitter: Jitter(random | 1),
        }
    }

    /// New content was delivered.
    #[inline]
    pub(super) fn on_delivery(&mut self) {
        self.retries.reset();
        self.empty_responses.reset();
    }

    pub(super) fn on_long_poll_response(&mut self) {
        self.retries.reset();
    }

    /// A live request is over, after `lifetime`. `responded`: the server has shown that the request reached it.
    pub(super) fn on_live_request_end(&mut self, lifetime: Duration, responded: bool) {
        // A lifetime below this may be that of a server that accepts a connection and crashes on the request.
        if responded && lifetime >= MIN_HEALTHY_LIFETIME {
            self.retries.reset();
        }
    }

    /// An event stream has ended that asked to wait for `reconnection_time` before the next connection.
    pub(super) fn on_event_stream_end(&mut self, reconnection_time: Option<Duration>) {
        self.reconnection_time = reconnection_time.unwrap_or_default().min(self.max_retry_after);
    }

    /// The delay after an event stream that ended in good order after this time.
    pub(super) fn delay_after_event_stream(&mut self, lifetime: Duration, delivered_data: bool) -> Duration {
        let spacing = match delivered_data {
            false => self.empty_responses.delay(lifetime, self.jitter.next()),
            // New data must not be late for long, even if each event stream brings only one record.
            true => self.short_streams.delay(lifetime, self.jitter.next()).min(MAX_SHORT_STREAM_DELAY),
        };
        spacing.max(std::mem::take(&mut self.reconnection_time))
    }

    /// The delay after an exchange that brought nothing new and took this long.
    pub(super) fn delay_after_empty_response(&mut self, took: Duration) -> Duration {
        self.empty_responses.delay(took, self.jitter.next())
    }

    /// The delay after a failure, or `None` if the budget is spent.
    pub(super) fn delay_after_failure(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        // The server's `Retry-After` is a lower bound, and the budget's end is checked with it. So is `retry`, after an event
        // stream that broke.
        let asked = Some(std::mem::take(&mut self.reconnection_time)).filter(|asked| !asked.is_zero());
        self.retries.next(now, self.jitter.next(), retry_after.max(asked))
    }

    /// The number of attempts since the budget was full.
    pub(super) fn attempts(&self) -> u32 {
        self.retries.retries() + 1
    }
}

/// Delay between requests that return at once without new data.
///
/// A server that answers a live read at once, with nothing new, would otherwise be polled in a loop. The delay doubles with
/// each such response in a row, from [`FIRST_DELAY`] to [`MAX_DELAY`]. The first response is not delayed: a reader that
/// starts at the tail always gets one.
#[derive(Debug, Default)]
struct EmptyResponseBackoff {
    consecutive: u32,
}

impl EmptyResponseBackoff {
    #[inline]
    fn reset(&mut self) {
        self.consecutive = 0;
    }

    fn delay(&mut self, took: Duration, random: u64) -> Duration {
        // The server held the request, or the network is slow: either way the requests are spaced already.
        if took >= MIN_SPACING {
            self.consecutive = 0;
            return Duration::ZERO;
        }
        self.consecutive = self.consecutive.saturating_add(1);
        if self.consecutive == 1 {
            return Duration::ZERO;
        }
        // Bounded before the shift. MAX_DELAY is reached long before that.
        let doublings = (self.consecutive - 2).min(16);
        let delay = (FIRST_DELAY * (1 << doublings)).min(MAX_DELAY);
        // The jitter only adds: many readers of one broken server must not send in step, nor sooner.
        delay + delay.mul_f64(fraction(random) / 2.0)
    }
}

/// A xorshift generator. Jitter needs no better one. The state is never zero.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_streams_with_data_that_end_at_once_are_reconnected_at_a_bounded_rate() {
        let mut pacing = Pacing::new(RetryConfig::default(), 1);
        let (mut at, mut streams) = (Duration::ZERO, 0);
        while at < Duration::from_secs(10) {
            streams += 1;
            pacing.on_delivery();
            at += pacing.delay_after_event_stream(Duration::ZERO, true);
        }
        assert!((20..=30).contains(&streams), "{streams}");
        assert_eq!(pacing.delay_after_event_stream(MIN_SPACING, true), Duration::ZERO);
    }

    #[test]
    fn reconnection_time_is_a_lower_bound_for_one_connection_and_capped() {
        let mut pacing = Pacing::new(RetryConfig::default(), 1);
        let two = Duration::from_secs(2);
        pacing.on_event_stream_end(Some(two));
        assert_eq!(pacing.delay_after_event_stream(MIN_SPACING, true), two);
        assert_eq!(pacing.delay_after_event_stream(MIN_SPACING, true), Duration::ZERO);
        pacing.on_event_stream_end(Some(two));
        assert_eq!(pacing.delay_after_failure(Instant::now(), None), Some(two));
        pacing.on_event_stream_end(Some(Duration::MAX));
        assert_eq!(pacing.delay_after_event_stream(MIN_SPACING, false), Duration::from_secs(300));
    }

    #[test]
    fn empty_responses_cause_at_most_ten_requests_in_three_seconds() {
        for random in [0, u64::MAX] {
            let (mut backoff, mut at, mut sent) = (EmptyResponseBackoff::default(), Duration::ZERO, 0);
            while at < Duration::from_secs(3) {
                sent += 1;
                at += backoff.delay(Duration::ZERO, random);
            }
            assert!(sent <= 10, "{sent}");
            let longest = (0..100).map(|_| backoff.delay(Duration::ZERO, random)).max().unwrap();
            assert!(longest >= MAX_DELAY && longest <= MAX_DELAY * 3 / 2);
            assert_eq!(backoff.delay(MIN_SPACING, random), Duration::ZERO);
        }
    }
}
