//! The retry policy, and where a run of attempts stands within it.

use crate::error::{Error, StreamError};
use std::time::{Duration, Instant};

/// How failed requests are retried: exponential backoff with full jitter.
///
/// The wait before attempt *n* is drawn between zero and `initial_backoff * multiplier^n`, at most
/// `max_backoff`. A server's `Retry-After` is a floor under it, up to `max_retry_after`.
///
/// With neither bound set, a live reader and a producer retry without end, and a single
/// operation or a catch-up read gives up 60 s after its last progress.
///
/// ```
/// use durable_streams::RetryConfig;
/// use std::time::Duration;
///
/// let ten_minutes = RetryConfig { max_elapsed: Some(Duration::from_secs(600)), ..RetryConfig::default() };
/// let no_retries = RetryConfig::none();
/// assert_eq!(no_retries.max_retries, Some(0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// The longest wait before the first retry. Default: 100 ms. Not zero.
    pub initial_backoff: Duration,
    /// The longest wait before any retry. Default: 60 s. Not below `initial_backoff`.
    pub max_backoff: Duration,
    /// The factor from one wait to the next. Default: 1.3. At least 1 and finite.
    pub multiplier: f64,
    /// How many times a request is retried. Default: `None`, no limit.
    pub max_retries: Option<u32>,
    /// How long after the first failure (or the last progress) a request is still retried.
    /// Default: `None`; see above. Not zero.
    pub max_elapsed: Option<Duration>,
    /// The longest wait that a server can ask for, by `Retry-After` or by the `retry` field of an event stream. Default: 5
    /// minutes.
    pub max_retry_after: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(60),
            multiplier: 1.3,
            max_retries: None,
            max_elapsed: None,
            max_retry_after: Duration::from_secs(300),
        }
    }
}

impl RetryConfig {
    /// No retries.
    #[must_use]
    pub fn none() -> Self {
        Self { max_retries: Some(0), ..Self::default() }
    }

    /// The same policy, bounded at `max_elapsed` if it has no bound of its own.
    pub(crate) fn bounded_by(&self, max_elapsed: Duration) -> Self {
        let mut bounded = self.clone();
        if bounded.max_retries.is_none() && bounded.max_elapsed.is_none() {
            bounded.max_elapsed = Some(max_elapsed);
        }
        bounded
    }

    /// Checks that the values can work together. Builders call this when they build.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] with the option's name, its value and the reason.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |option: &str, value: String, reason: &str| {
            Err(Error::from(StreamError::config(option, value, reason.to_owned())))
        };
        if self.initial_backoff.is_zero() {
            return refuse("initial_backoff", "0s".into(), "it must be above zero");
        }
        if self.max_backoff < self.initial_backoff {
            let (max, initial) = (self.max_backoff, self.initial_backoff);
            return refuse(
                "max_backoff",
                format!("{max:?}"),
                &format!("it is below initial_backoff ({initial:?})"),
            );
        }
        if !(self.multiplier.is_finite() && self.multiplier >= 1.0) {
            return refuse("multiplier", self.multiplier.to_string(), "it must be a number of at least 1");
        }
        if self.max_elapsed.is_some_and(|bound| bound.is_zero()) {
            return refuse(
                "max_elapsed",
                "0s".into(),
                "it must be above zero; for no retries set max_retries to 0",
            );
        }
        Ok(())
    }
}

/// How long a single operation, or a catch-up read, is retried without progress when the policy sets no limit.
pub(crate) const OPERATION_BUDGET: Duration = Duration::from_secs(60);

/// The longest wait, 100 years. The end of a longer one could lie beyond what an `Instant` can hold.
const MAX_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The state of one run of attempts within a [`RetryConfig`].
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    config: RetryConfig,
    retries: u32,
    first_failure: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(config: RetryConfig) -> Self {
        Self { config, retries: 0, first_failure: None }
    }

    /// Restores the whole budget. Called on progress: new bytes, or an acknowledgement.
    pub(crate) fn reset(&mut self) {
        self.retries = 0;
        self.first_failure = None;
    }

    /// The number of retries since the last progress.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// How long to wait before the next attempt, or `None` if the budget is spent.
    ///
    /// A wait that would end after `max_elapsed` spends the budget at once: the attempt after it could not be made.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        random: u64,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        // The budget counts from the first failure since the last progress.
        let first_failure = *self.first_failure.get_or_insert(now);
        if self.config.max_retries.is_some_and(|max| self.retries >= max) {
            return None;
        }
        // With a large exponent the power is infinite, and `min` gives the longest wait.
        let exponent = i32::try_from(self.retries).unwrap_or(i32::MAX);
        let ceiling = (self.config.initial_backoff.as_secs_f64() * self.config.multiplier.powi(exponent))
            .min(self.config.max_backoff.as_secs_f64());
        let wait = Duration::from_secs_f64(ceiling * fraction(random))
            .max(retry_after.unwrap_or_default().min(self.config.max_retry_after))
            .min(MAX_WAIT);
        if let Some(bound) = self.config.max_elapsed {
            let elapsed = now.saturating_duration_since(first_failure);
            // Checked before the wait, not after it.
            if elapsed.saturating_add(wait) > bound {
                return None;
            }
        }
        self.retries = self.retries.saturating_add(1);
        Some(wait)
    }
}

/// A number in [0, 1) from 64 random bits. An `f64` holds 53 of them exactly.
pub(crate) fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_with_full_jitter() {
        let mut backoff = Backoff::new(RetryConfig::default());
        let now = Instant::now();
        let longest: Vec<_> = (0..40).map(|_| backoff.next(now, u64::MAX, None).unwrap()).collect();
        assert!(longest[0] > Duration::from_millis(99) && longest[0] <= Duration::from_millis(100));
        assert!((longest[1].as_secs_f64() - 0.13).abs() < 1e-6);
        assert!(longest[39] > Duration::from_secs(59) && longest[39] <= Duration::from_secs(60));
        assert_eq!(Backoff::new(RetryConfig::default()).next(now, 0, None), Some(Duration::ZERO));
    }

    #[test]
    fn either_limit_ends_the_run_and_reset_restores_it() {
        let mut backoff = Backoff::new(RetryConfig { max_retries: Some(2), ..RetryConfig::default() });
        let now = Instant::now();
        assert!(backoff.next(now, 1, None).is_some() && backoff.next(now, 1, None).is_some());
        assert_eq!(backoff.next(now, 1, None), None);
        backoff.reset();
        assert!(backoff.next(now, 1, None).is_some());

        let bound = Duration::from_secs(5);
        let mut backoff = Backoff::new(RetryConfig::default().bounded_by(bound));
        assert!(backoff.next(now, u64::MAX, None).is_some());
        assert!(backoff.next(now + bound, u64::MAX, None).is_none());
        assert_eq!(backoff.next(now, 0, Some(Duration::from_secs(6))), None);
    }

    #[test]
    fn extreme_waits_stay_within_the_clock() {
        let config =
            RetryConfig { max_backoff: Duration::MAX, multiplier: f64::MAX, ..RetryConfig::default() };
        let mut backoff = Backoff::new(config);
        let now = Instant::now();
        for retry_after in [None, Some(Duration::MAX), Some(Duration::from_secs(u64::MAX))] {
            let wait = backoff.next(now, u64::MAX, retry_after).unwrap();
            assert!(now.checked_add(wait).is_some(), "{wait:?}");
        }
    }

    #[test]
    fn retry_after_is_capped() {
        for (max, wait) in [(None, 300), (Some(60), 60)] {
            let mut config = RetryConfig::default();
            if let Some(max) = max {
                config.max_retry_after = Duration::from_secs(max);
            }
            let mut backoff = Backoff::new(config);
            for asked in [Duration::MAX, Duration::from_secs(1_795_651_200)] {
                assert_eq!(backoff.next(Instant::now(), 0, Some(asked)), Some(Duration::from_secs(wait)));
            }
        }
    }

    #[test]
    fn retry_after_is_the_shortest_wait() {
        let mut backoff = Backoff::new(RetryConfig::default());
        assert_eq!(
            backoff.next(Instant::now(), u64::MAX, Some(Duration::from_secs(9))),
            Some(Duration::from_secs(9))
        );
    }

    #[test]
    fn invalid_value_is_refused_with_its_option_name() {
        let ok = RetryConfig::default();
        let bad = [
            ("initial_backoff", RetryConfig { initial_backoff: Duration::ZERO, ..ok.clone() }),
            ("max_backoff", RetryConfig { max_backoff: Duration::from_millis(1), ..ok.clone() }),
            ("multiplier", RetryConfig { multiplier: 0.5, ..ok.clone() }),
            ("multiplier", RetryConfig { multiplier: f64::NAN, ..ok.clone() }),
            ("max_elapsed", RetryConfig { max_elapsed: Some(Duration::ZERO), ..ok.clone() }),
        ];
        for (option, config) in bad {
            assert!(config.validate().unwrap_err().to_string().contains(option));
        }
        assert!(ok.validate().is_ok());
    }
}
