//! The states of the machine. Each owns what is valid in it alone.

use super::page::{Boundary, Page};
use super::request::SentRequest;
use super::sse_connection::SseConnection;
use crate::error::Error;
use crate::offset::Offset;
use std::time::{Duration, Instant};

/// What the machine is doing.
///
/// Moved by value between transitions: what is large is boxed, once per response.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing is in flight. A request is due at `until`, which may be past.
    Waiting {
        until: Instant,
    },
    /// A request is in flight, without a response.
    // The request's deadline is the exchange's, but for SSE_HEAD_TIMEOUT.
    Requesting(SentRequest),
    /// The response to `offset=now` is arriving: it gives the tail's offset, and must have no content.
    ResolvingTail(Box<TailResponse>),
    /// A page of the stream is arriving.
    ReadingPage(Box<PageResponse>),
    /// An event stream is open.
    ReadingSse(Box<SseResponse>),
    /// All of a page was taken, and its body has not ended.
    // The page stays, to judge further bytes, and for `has_content`. The position is behind it already.
    Draining(Draining),
    /// The server has nothing at this offset any more (410, which is `gone`). A HEAD shows whether it has the stream.
    // `gone` already has the offset asked for: the position does not change in this state.
    CheckingGone {
        gone: Error,
        sent: bool,
    },
    /// The reader has failed, and the consumer does not know yet.
    Failed(Error),
    Ended,
}

/// The response to `offset=now`, as far as it has arrived.
#[derive(Debug)]
pub(super) struct TailResponse {
    pub(super) request: SentRequest,
    pub(super) boundary: Boundary,
    /// The first bytes of its content, at most [`MAX_KEPT`](Self::MAX_KEPT).
    content: Vec<u8>,
}

/// A page, as far as it has arrived.
#[derive(Debug)]
pub(super) struct PageResponse {
    pub(super) request: SentRequest,
    /// The offset that was asked for. The position moves on before the response has ended.
    pub(super) offset: Offset,
    pub(super) page: Page,
    pub(super) body_ended: bool,
}

/// An open event stream.
#[derive(Debug)]
pub(super) struct SseResponse {
    pub(super) request: SentRequest,
    pub(super) connection: SseConnection,
    /// The events before the last control event, while they are being taken.
    pub(super) group: Option<Page>,
    /// How the body ended. Looked at only after all complete groups were taken.
    pub(super) end: Option<Result<(), Error>>,
}

/// A page that was taken, and its response.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) response: Box<PageResponse>,
    pub(super) outcome: PageOutcome,
    /// When the rest of the body is dropped. Set when the consumer asks for more.
    pub(super) drain_until: Option<Instant>,
}

/// What a page says of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageOutcome {
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
    /// It is the last page, and ended before the position that was read from it earlier.
    pub(super) is_short: bool,
}

impl State {
    /// The page that content is taken from.
    #[inline]
    pub(super) fn page_mut(&mut self) -> Option<&mut Page> {
        match self {
            Self::ReadingPage(response) => Some(&mut response.page),
            Self::ReadingSse(response) => response.group.as_mut(),
            _ => None,
        }
    }

    /// The request that is in flight, or whose response is.
    pub(super) fn request(&self) -> Option<SentRequest> {
        match self {
            Self::Requesting(request) => Some(*request),
            Self::ResolvingTail(response) => Some(response.request),
            Self::ReadingPage(response) => Some(response.request),
            Self::ReadingSse(response) => Some(response.request),
            Self::Draining(draining) => Some(draining.response.request),
            // The HEAD of CheckingGone says nothing about live requests, which is what callers ask for.
            Self::Waiting { .. } | Self::CheckingGone { .. } | Self::Failed(_) | Self::Ended => None,
        }
    }
}

impl TailResponse {
    /// Enough to distinguish content from an empty array with some white space.
    const MAX_KEPT: usize = 16;

    pub(super) fn new(request: SentRequest, boundary: Boundary) -> Self {
        Self { request, boundary, content: Vec::new() }
    }

    /// Keeps the first bytes. Returns whether they are enough to know that there is content.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        // The first bytes decide. White space that fills all of them is accepted: what follows it is not looked at.
        let room = Self::MAX_KEPT - self.content.len();
        self.content.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.content.len() == Self::MAX_KEPT && self.has_content()
    }

    pub(super) fn has_content(&self) -> bool {
        !matches!(self.content.trim_ascii(), b"" | b"[]")
    }
}

impl SseResponse {
    pub(super) fn new(request: SentRequest, connection: SseConnection) -> Self {
        Self { request, connection, group: None, end: None }
    }

    pub(super) fn lifetime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.request.at)
    }
}
