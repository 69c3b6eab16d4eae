use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorHandler;
use crate::retry::RetryConfig;
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a reader goes on once it has read what is there.
///
/// Whatever the mode, a reader survives what networks do: it tries again by its
/// [policy](crate::RetryConfig), goes on where it was, and gives each byte once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LiveMode {
    /// Not at all: the reader ends when it is up to date.
    #[default]
    Off,
    /// The best way for the stream, and another one where that does not work.
    ///
    /// Catches up by plain, cacheable requests, then tails: by server-sent events where these carry the
    /// stream exactly (JSON, and binary, which comes as base64), by long-poll for `text/*`. Where events
    /// are refused, held back by a proxy, or keep ending at once, it goes on by long-poll and tries
    /// events again later. After an outage it catches up by plain requests first.
    Auto,
    /// Catches up by plain requests, then asks again and again: the server answers when there is news.
    LongPoll,
    /// Server-sent events from the start, the backlog included.
    ///
    /// Plain requests are only made for the rest of a page that a checkpoint points into, to resolve
    /// [`Offset::Now`](crate::Offset::Now), and for what is too large for one event; where that has happened
    /// once, also to catch up after an outage. Where the server answers no HEAD, the first request is a plain one.
    ///
    /// Events are exact for JSON and for binary streams. For `text/*` they are not: a server turns CR into
    /// LF, and a space at the start of a line gets lost; checkpoints are then the server's offsets alone.
    ///
    /// That a stream was deleted shows when the server ends the connection, which servers do about once a minute, or when
    /// [silence](crate::ReaderBuilder::idle_timeout) does: nothing is said on the connection itself. This holds for
    /// [`Auto`](Self::Auto) too.
    Sse,
}

/// A reader's options, checked.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) live: LiveMode,
    pub(super) on_error: Option<Arc<ErrorHandler>>,
    pub(super) retry: RetryConfig,
    pub(super) max_chunk_bytes: usize,
    pub(super) max_event_bytes: usize,
    pub(super) idle_timeout: Duration,
    pub(super) if_none_match: Option<HeaderValue>,
}

impl Options {
    /// Refuses what cannot work.
    pub(super) fn validate(&self, conditional: bool) -> Result<(), Error> {
        for (option, value) in
            [("max_chunk_bytes", self.max_chunk_bytes), ("max_event_bytes", self.max_event_bytes)]
        {
            if value == 0 {
                return Err(StreamError::config(option, "0", "it must be above zero").into());
            }
        }
        if self.idle_timeout.is_zero() {
            return Err(StreamError::config("idle_timeout", "0s", "it must be above zero").into());
        }
        if conditional && self.live != LiveMode::Off {
            let live = format!("{:?}", self.live);
            let reason = "if_none_match asks whether there is anything new; a live reader waits for it";
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
