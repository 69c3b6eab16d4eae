//! Live reads that are not finished: a long-poll that waits, an event stream at its position.

use super::start::Start;
use bytes::Bytes;
use std::time::Duration;

/// A long-poll that waits for its stream.
#[derive(Clone, Debug)]
pub struct Wait {
    pub(super) path: String,
    pub(super) stream: u64,
    pub(super) start: Start,
    pub(super) deadline: Duration,
    pub(super) cursor: Option<u64>,
}

impl Wait {
    /// When it is answered at the latest, in the time of [`Moment::elapsed`](super::Moment::elapsed).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }
}

/// An event stream at its position.
#[derive(Clone, Debug)]
pub struct Events {
    pub(super) path: String,
    pub(super) stream: u64,
    pub(super) position: usize,
    pub(super) ends_at: Duration,
    pub(super) cursor: Option<u64>,
    pub(super) next_beat: Option<Duration>,
    pub(super) begun: bool,
}

/// The next step of [`Events`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes; there may be more at once.
    Send(Bytes),
    /// These bytes, and the end.
    End(Bytes),
    /// Nothing until the stream changes or this time is reached.
    Wait(Duration),
}

impl Events {
    pub(super) fn new(
        path: &str,
        stream: u64,
        position: usize,
        ends_at: Duration,
        cursor: Option<u64>,
    ) -> Self {
        let (path, begun) = (path.to_owned(), false);
        Self { path, stream, position, ends_at, cursor, next_beat: None, begun }
    }
}
