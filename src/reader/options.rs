use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorHandler;
use crate::outage::ConnectionStatus;
use crate::retry::RetryConfig;
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a reader continues once it has read the data that exists.
///
/// In every mode a reader survives network failures: it retries by its [policy](crate::RetryConfig), continues at its
/// position, and delivers each byte once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LiveMode {
    /// The reader ends when it is up to date.
    #[default]
    Off,
    /// The best way for the stream, with a fallback.
    ///
    /// Catches up by plain, cacheable requests, then tails: by server-sent events if they carry the stream exactly (JSON,
    /// and binary, which is sent as base64), by long-poll for `text/*`. If event streams are refused, buffered by a proxy,
    /// or keep ending at once, it continues by long-poll and tries event streams again later. After an outage it catches up
    /// by plain requests first.
    Auto,
    /// Catches up by plain requests, then long-polls: the server responds when there is new data.
    LongPoll,
    /// Server-sent events from the start, the backlog included.
    ///
    /// Plain requests are made only for the rest of a page that a checkpoint points into, to resolve
    /// [`Offset::Now`](crate::Offset::Now), and for data that is too large for one event; once that has happened, also to
    /// catch up after an outage. If the server does not support HEAD, the first request is a plain one.
    ///
    /// Events are exact for JSON and for binary streams. For `text/*` they are not: a server turns CR into LF, and a space at
    /// the start of a line is lost. Checkpoints are then the server's offsets alone.
    ///
    /// A deleted stream is noticed when the connection ends: servers end it about once a minute, and the reader after the
    /// [idle timeout](crate::ReaderBuilder::idle_timeout). On the open connection nothing shows it. The same applies to
    /// [`Auto`](Self::Auto).
    Sse,
}

/// A reader's options. The builder validates them before it starts a reader.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) live: LiveMode,
    pub(super) on_error: Option<Arc<ErrorHandler>>,
    pub(super) retry: RetryConfig,
    pub(super) max_chunk_bytes: usize,
    pub(super) max_event_bytes: usize,
    pub(super) idle_timeout: Duration,
    pub(super) if_none_match: Option<HeaderValue>,
    /// How long an event stream may have comments and no event.
    pub(super) event_timeout: Duration,
    pub(super) connection_status: ConnectionStatus,
}

impl Options {
    /// Refuses values that cannot work. `conditional`: the reader was given an entity tag.
    pub(super) fn validate(&self, conditional: bool) -> Result<(), Error> {
        for (option, value) in
            [("max_chunk_bytes", self.max_chunk_bytes), ("max_event_bytes", self.max_event_bytes)]
        {
            if value == 0 {
                return Err(StreamError::config(option, "0", "it must be above zero").into());
            }
        }
        for (option, timeout) in [("idle_timeout", self.idle_timeout), ("event_timeout", self.event_timeout)]
        {
            if timeout.is_zero() {
                return Err(StreamError::config(option, "0s", "it must be above zero").into());
            }
        }
        if conditional && self.live != LiveMode::Off {
            let live = format!("{:?}", self.live);
            let reason =
                "if_none_match works without a live mode only; a live reader waits for new data by itself";
            return Err(StreamError::config("live", live, reason).into());
        }
        self.retry.validate()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("live", &self.live)
            .field("retry", &self.retry)
            .field("max_chunk_bytes", &self.max_chunk_bytes)
            .field("max_event_bytes", &self.max_event_bytes)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}
