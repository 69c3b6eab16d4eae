//! A request in the reader's terms.

use crate::offset::Offset;
use http::{HeaderMap, HeaderValue};
use std::time::Instant;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reader) enum RequestKind {
    /// The tail's offset, for a reader that starts at `offset=now`.
    Tail,
    /// The stream's headers without content: its content type, or whether the stream exists.
    Head,
    /// Content that is there already.
    Page,
    /// The next content, when there is some.
    LongPoll,
    /// An event stream.
    Sse,
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reader) struct Request {
    pub(in crate::reader) kind: RequestKind,
    pub(in crate::reader) offset: Offset,
    /// The server's last cursor. Only live requests have one: it keeps a cache from repeating its last response.
    pub(in crate::reader) cursor: Option<String>,
    pub(in crate::reader) if_none_match: Option<HeaderValue>,
    /// Headers that win over the reader's own.
    pub(in crate::reader) headers: HeaderMap,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentRequest {
    pub(super) kind: RequestKind,
    pub(super) at: Instant,
}
