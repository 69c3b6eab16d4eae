//! The upload of a large body: what has left, and how long it may take.

use super::call::Call;
use durable_streams_contract::UploadProgress;
use std::time::Duration;

/// The upload of a body of this many bytes is watched. A smaller one gets through in time where anything does.
const WATCHED: usize = 16 * 1024;

/// So many bytes of a body add a sixteenth of the header timeout to the deadline of the response.
const UNIT: usize = 64 * 1024;

/// An upload that is slower than this many bytes in a header timeout has come to a halt.
const MIN_PROGRESS: usize = 4 * 1024;

/// The deadline for the response to a request with a body of this size. The body has to be sent first.
pub(super) fn with_upload_time(header_timeout: Duration, body_bytes: usize) -> Duration {
    // Saturating: a huge body has no deadline, rather than one that is too short.
    let units = u32::try_from(body_bytes / UNIT).unwrap_or(u32::MAX);
    header_timeout.saturating_add((header_timeout / 16).saturating_mul(units))
}

/// The upload of one body, if the transport counts.
pub(super) struct Upload {
    progress: UploadProgress,
    size: usize,
    /// How much had been sent when a deadline passed.
    seen: usize,
}

impl Upload {
    /// Watches the upload of the call's body, if it is a large one.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let size = call.body.len();
        (size >= WATCHED).then(|| Self { progress: UploadProgress::new(), size, seen: 0 })
    }

    /// The counter, for the transport.
    pub(super) fn progress(&self) -> UploadProgress {
        self.progress.clone()
    }

    /// The bytes that were handed to the socket; `None` if the transport does not count.
    fn sent(&self) -> Option<usize> {
        self.progress.sent().map(|sent| usize::try_from(sent).unwrap_or(usize::MAX).min(self.size))
    }

    /// Whether a part of the body is known not to have been sent.
    pub(super) fn is_incomplete(&self) -> bool {
        self.sent().is_some_and(|sent| sent < self.size)
    }

    /// A deadline has passed. Returns whether the upload has gone on since the last one: a slow uplink is no silent server.
    pub(super) fn has_gone_on(&mut self) -> bool {
        let Some(sent) = self.sent() else { return false };
        let gone_on = sent > self.seen && (sent == self.size || sent - self.seen >= MIN_PROGRESS);
        self.seen = sent;
        gone_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::target::Endpoint;
    use crate::protocol::operation::Operation;
    use url::Url;

    #[test]
    fn deadline_grows_with_the_body() {
        let timeout = Duration::from_secs(16);
        assert_eq!(with_upload_time(timeout, 1000), timeout);
        assert_eq!(with_upload_time(timeout, 10 * UNIT), Duration::from_secs(26));
        assert_eq!(with_upload_time(Duration::MAX, usize::MAX), Duration::MAX);
    }

    #[test]
    fn upload_is_watched_from_16_kib_on() {
        let url = Url::parse("http://h/s").unwrap();
        let mut call = Call::new(Operation::Append, &Endpoint::new(url).unwrap());
        for (size, is_watched) in [(16 * 1024 - 1, false), (16 * 1024, true)] {
            call.body = vec![0; size].into();
            assert_eq!(Upload::of(&call).is_some(), is_watched, "{size}");
        }
    }

    #[test]
    fn upload_that_goes_on_is_waited_for_and_one_that_halts_is_not() {
        let progress = UploadProgress::new();
        let mut upload = Upload { progress: progress.clone(), size: 100_000, seen: 0 };
        // The transport does not count.
        assert!(!upload.is_incomplete() && !upload.has_gone_on());
        progress.start();
        assert!(upload.is_incomplete() && !upload.has_gone_on());
        progress.add(MIN_PROGRESS as u64);
        assert!(upload.has_gone_on() && !upload.has_gone_on());
        progress.add(1);
        assert!(!upload.has_gone_on());
        progress.add(95_903 - 1);
        assert!(upload.has_gone_on() && upload.is_incomplete());
        // The end of the upload is progress too, however little was left.
        progress.add(1);
        assert!(upload.has_gone_on() && !upload.is_incomplete() && !upload.has_gone_on());
    }
}
