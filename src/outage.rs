//! Outages: when one begins and ends, what the log says of it, and what the application can ask.

use crate::error::Error;
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A first failure is an outage at once, if it keeps the reader or producer from its work for at least this long.
const OUTAGE_TIME: Duration = Duration::from_secs(1);

/// Whether a reader or producer reaches its server, to be asked at any time and from anywhere. Cheap to clone.
///
/// A reader or producer that meets a failure waits and tries again. Meanwhile its methods return nothing; this says why. Give one
/// to [`ReaderBuilder::connection_status`](crate::ReaderBuilder::connection_status) or
/// [`ProducerBuilder::connection_status`](crate::ProducerBuilder::connection_status), and keep a clone.
///
/// With the feature `tracing` an outage is in the log too: one WARN when it begins, and one INFO when it ends.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run(stream: durable_streams::tokio::DurableStream) -> Result<(), durable_streams::Error> {
/// use durable_streams::{ConnectionStatus, LiveMode};
///
/// let status = ConnectionStatus::new();
/// let mut reader = stream.reader().live(LiveMode::Auto).connection_status(status.clone()).chunks().await?;
/// // In a health check, while `reader.next()` waits:
/// if let Some(outage) = status.outage() {
///     println!("no answer for {:?}: {}", outage.since.elapsed(), outage.cause);
/// }
/// # let _ = reader.next().await; Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectionStatus(Arc<Mutex<Option<Outage>>>);

impl ConnectionStatus {
    /// A status without an outage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The current outage: from the first failed attempt until the server has responded as it should. `None` while all is well.
    /// After a reader has ended, or a producer has halted, it is the outage that it ended in.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        lock(&self.0).clone()
    }
}

/// A time without a response as it should be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outage {
    /// When the first attempt failed.
    pub since: Instant,
    /// How many attempts have failed.
    pub failed_attempts: u32,
    /// Why the last attempt failed.
    pub cause: Error,
    /// When the next attempt begins; `None` if there is none.
    pub next_attempt: Option<Instant>,
}

/// Follows the attempts of one reader, producer or operation.
#[derive(Debug, Default)]
pub(crate) struct OutageWatch {
    status: ConnectionStatus,
    /// The outage that `status` shows.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    failed_attempts: u32,
    /// The log has it.
    is_logged: bool,
}

/// A failed attempt.
pub(crate) struct FailedAttempt<'a> {
    /// When it began.
    pub(crate) began: Instant,
    pub(crate) now: Instant,
    pub(crate) cause: &'a Error,
    /// How long until the next one; `None` if there is none.
    pub(crate) delay: Option<Duration>,
}

impl OutageWatch {
    pub(crate) fn new(status: ConnectionStatus) -> Self {
        Self { status, current: None }
    }

    /// An attempt failed.
    pub(crate) fn on_failure(&mut self, attempt: &FailedAttempt<'_>) {
        let FailedAttempt { began, now, cause, delay } = *attempt;
        let current =
            self.current.get_or_insert(Current { since: now, failed_attempts: 0, is_logged: false });
        current.failed_attempts = current.failed_attempts.saturating_add(1);
        let lost = now.saturating_duration_since(began).saturating_add(delay.unwrap_or_default());
        let is_outage = current.failed_attempts > 1 || lost >= OUTAGE_TIME;
        if is_outage && !current.is_logged {
            current.is_logged = true;
            #[cfg(feature = "tracing")]
            tracing::warn!(
                target: "durable_streams",
                url = cause.url(),
                attempt = current.failed_attempts,
                next = delay.map(tracing::field::debug),
                %cause,
                "outage: no response as it should be"
            );
        } else {
            #[cfg(feature = "tracing")]
            tracing::debug!(target: "durable_streams", ?delay, %cause, "an attempt failed");
        }
        *lock(&self.status.0) = Some(Outage {
            since: current.since,
            failed_attempts: current.failed_attempts,
            cause: cause.clone(),
            next_attempt: delay.and_then(|delay| now.checked_add(delay)),
        });
    }

    /// The server has responded as it should.
    #[inline]
    pub(crate) fn on_success(&mut self, now: impl FnOnce() -> Instant) {
        if self.current.is_some() {
            self.end(now());
        }
    }

    #[cold]
    fn end(&mut self, now: Instant) {
        *lock(&self.status.0) = None;
        #[cfg(feature = "tracing")]
        if let Some(current) = self.current.as_ref().filter(|current| current.is_logged) {
            tracing::info!(
                target: "durable_streams",
                duration = ?now.saturating_duration_since(current.since),
                attempts = current.failed_attempts,
                "outage ended: the server responds again"
            );
        }
        #[cfg(not(feature = "tracing"))]
        let _ = now;
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StreamError;

    fn fail(watch: &mut OutageWatch, now: Instant, delay: Duration) {
        let cause = Error::from(StreamError::Timeout);
        watch.on_failure(&FailedAttempt { began: now, now, cause: &cause, delay: Some(delay) });
    }

    #[test]
    fn outage_is_shown_from_the_first_failure_until_the_next_success() {
        let (status, now) = (ConnectionStatus::new(), Instant::now());
        let mut watch = OutageWatch::new(status.clone());
        watch.on_success(|| now);
        assert!(status.outage().is_none());
        let second = Duration::from_secs(1);
        fail(&mut watch, now, second);
        fail(&mut watch, now + second, second);
        let outage = status.outage().unwrap();
        assert_eq!((outage.since, outage.failed_attempts), (now, 2));
        assert_eq!(outage.next_attempt, Some(now + 2 * second));
        assert!(matches!(outage.cause.kind(), StreamError::Timeout));
        watch.on_success(|| now + 3 * second);
        assert!(status.outage().is_none());
    }
}
