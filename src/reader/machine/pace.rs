use crate::retry::fraction;
use std::time::{Duration, Instant};

/// The shortest wait, after the second fruitless answer in a row.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait: how late news can be on a server that never holds a request.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// An exchange that took this long is spaced well enough by itself.
const LEISURELY: Duration = Duration::from_millis(400);

/// Keeps answers that bring nothing, and come at once, from turning into a storm of requests.
///
/// A wait doubles with each such answer in a row. The first is free: to find nothing new when a tail begins
/// is ordinary.
#[derive(Debug, Default)]
pub(super) struct Pace {
    fruitless: u32,
}

impl Pace {
    /// Something new arrived.
    #[inline]
    pub(super) fn reset(&mut self) {
        self.fruitless = 0;
    }

    /// How long to wait after an exchange that brought nothing new and took this long.
    pub(super) fn fruitless(&mut self, took: Duration, random: u64) -> Duration {
        if took >= LEISURELY {
            self.fruitless = 0;
            return Duration::ZERO;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        if self.fruitless == 1 {
            return Duration::ZERO;
        }
        let doublings = (self.fruitless - 2).min(16);
        let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        // Jitter upwards: many readers of one broken server must not march in step.
        wait + wait.mul_f64(fraction(random) / 2.0)
    }
}

/// After how many useless event streams in a row the tail goes on by long-poll.
const STRIKES: u8 = 3;
/// An event stream that lived this long did its work, even if there was nothing to tell.
const HEALTHY: Duration = Duration::from_secs(5);
/// How soon event streams are tried again, at first and at last.
const FIRST_BLOCK: Duration = Duration::from_secs(60);
const LONGEST_BLOCK: Duration = Duration::from_secs(15 * 60);

/// Whether event streams are worth a try, from what became of those before.
#[derive(Debug)]
pub(super) struct Trust {
    strikes: u8,
    blocked_until: Option<Instant>,
    block: Duration,
}

impl Default for Trust {
    fn default() -> Self {
        Self { strikes: 0, blocked_until: None, block: FIRST_BLOCK }
    }
}

impl Trust {
    pub(super) fn is_blocked(&self, now: Instant) -> bool {
        self.blocked_until.is_some_and(|until| now < until)
    }

    /// An event stream is over. It was of use if it brought something new, or lived.
    pub(super) fn ended(&mut self, now: Instant, lived: Duration, brought_news: bool) {
        if brought_news || lived >= HEALTHY {
            *self = Self::default();
        } else {
            self.strikes += 1;
            if self.strikes >= STRIKES {
                self.refused(now);
            }
        }
    }

    /// The server does not serve event streams, or something on the way holds them back.
    pub(super) fn refused(&mut self, now: Instant) {
        self.strikes = 0;
        self.blocked_until = Some(now + self.block);
        self.block = (self.block * 2).min(LONGEST_BLOCK);
    }
}

/// Whether an event stream of this length was more than a flash.
pub(super) fn is_healthy(lived: Duration) -> bool {
    lived >= HEALTHY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fruitless_answers_stay_below_ten_in_three_seconds() {
        for random in [0, u64::MAX] {
            let (mut pace, mut at, mut sent) = (Pace::default(), Duration::ZERO, 0);
            while at < Duration::from_secs(3) {
                sent += 1;
                at += pace.fruitless(Duration::ZERO, random);
            }
            assert!(sent <= 10, "{sent}");
            let longest = (0..100).map(|_| pace.fruitless(Duration::ZERO, random)).max().unwrap();
            assert!(longest >= LONGEST_WAIT && longest <= LONGEST_WAIT * 3 / 2);
            assert_eq!(pace.fruitless(LEISURELY, random), Duration::ZERO);
        }
    }

    #[test]
    fn three_flashes_block_event_streams_for_a_while() {
        let now = Instant::now();
        let mut trust = Trust::default();
        for _ in 0..3 {
            assert!(!trust.is_blocked(now));
            trust.ended(now, Duration::ZERO, false);
        }
        assert!(trust.is_blocked(now) && !trust.is_blocked(now + FIRST_BLOCK));
        trust.refused(now);
        assert!(trust.is_blocked(now + FIRST_BLOCK));
        trust.ended(now, HEALTHY, false);
        assert!(!trust.is_blocked(now));
    }
}
