//! One page: the content between two of the server's offsets, from a response's body or from events.
//!
//! Words used here: a page is *complete* when all of its body has arrived; it is *at its end* when all of its content was
//! taken and the end was seen. The input is *exhausted* when the body has nothing more at the moment.

use super::json_content::JsonContent;
use crate::error::StreamError;
use crate::offset::Offset;
use crate::protocol::head::Head;
use crate::protocol::json::FramingError;
use crate::protocol::sse::Control;
use crate::reader::position::{Position, Unit};
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use std::collections::VecDeque;

/// What the server said about a page.
#[derive(Clone, Debug)]
pub(super) struct Boundary {
    /// Where the next page begins.
    pub(super) next: Offset,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
    /// The server knows of data behind this page, though it has sent none.
    pub(super) more_follows: bool,
    pub(super) cursor: Option<String>,
}

impl Boundary {
    pub(super) fn of_response(next: Offset, head: Head) -> Self {
        Self {
            next,
            up_to_date: head.up_to_date,
            closed: head.closed,
            more_follows: false,
            cursor: head.cursor,
        }
    }

    pub(super) fn of_control(control: Control) -> Self {
        Self {
            next: control.next_offset,
            up_to_date: control.up_to_date,
            closed: control.closed,
            more_follows: false,
            cursor: control.cursor,
        }
    }
}

/// What HTTP says of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(u64),
    /// Not known beforehand, but HTTP marks the end, so that a body that broke off shows.
    Chunked,
    /// It ends when the connection is closed, for whatever reason.
    UntilClose,
}

impl BodyLength {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok()) {
            Some(length) => Self::Known(length),
            None if headers.contains_key(TRANSFER_ENCODING) => Self::Chunked,
            None => Self::UntilClose,
        }
    }
}

/// How much of a page's body has arrived.
#[derive(Debug)]
pub(super) enum Arrival {
    Receiving,
    Complete,
    /// The rest cannot be had, for this reason. What has arrived can be taken.
    Broken(StreamError),
    /// It cannot be the answer to the request: a cache may have answered, or a proxy dropped the body. Nothing of it is taken.
    Misfit(StreamError),
}

/// What a page gives when it is asked for a piece.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing until more arrives.
    Pending,
    Piece(Bytes),
    /// The page is at its end; the last piece, if there is one.
    End(Option<Bytes>),
}

/// The error of a response without content whose next offset is beyond the one asked for.
pub(super) fn no_content(next: &Offset) -> StreamError {
    StreamError::protocol(format!(
        "the response has no content, but its next offset, {next}, is beyond the one asked for; look for a proxy that drops \
         the body"
    ))
}

/// Why the content of a page is not valid.
#[derive(Debug)]
pub(super) enum Invalid {
    Framing(FramingError),
    /// It has content, though the offsets say that there can be none.
    NoAdvance,
    /// It has not a single byte, though the offsets say that there is content.
    NoContent,
}

impl From<FramingError> for Invalid {
    fn from(error: FramingError) -> Self {
        Self::Framing(error)
    }
}

/// Records that there is content, and refuses it on a page that ends where it begins.
///
/// Takes the page's fields one by one, since the content is borrowed where this is called.
#[inline]
pub(super) fn note_content(has_content: &mut bool, no_advance: bool) -> Result<(), Invalid> {
    *has_content = true;
    if no_advance { Err(Invalid::NoAdvance) } else { Ok(()) }
}

#[derive(Debug)]
pub(super) enum Content {
    Bytes(VecDeque<Bytes>),
    Json(Box<JsonContent>),
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) boundary: Boundary,
    pub(super) arrival: Arrival,
    /// At least one byte or message of the stream was found in it.
    pub(super) has_content: bool,
    /// It ends where it begins: no content can be in it.
    pub(super) no_advance: bool,
    /// Whether positions inside can be counted.
    pub(super) divisible: bool,
    pub(super) content: Content,
    /// Its body had at least one byte.
    received_bytes: bool,
    /// The body had nothing more when it was asked the last time.
    input_exhausted: bool,
    /// How many bytes are still to come, if the server said it.
    remaining: Option<u64>,
    /// HTTP distinguishes a complete body from one that broke off.
    detects_truncation: bool,
}

impl Page {
    /// A page that arrives as a response's body.
    pub(super) fn arriving(
        boundary: Boundary,
        start: &Offset,
        unit: Unit,
        length: BodyLength,
        max_message_bytes: usize,
    ) -> Self {
        Self {
            no_advance: boundary.next == *start,
            boundary,
            arrival: Arrival::Receiving,
            has_content: false,
            received_bytes: false,
            divisible: true,
            input_exhausted: false,
            remaining: match length {
                BodyLength::Known(length) => Some(length),
                BodyLength::Chunked | BodyLength::UntilClose => None,
            },
            detects_truncation: length != BodyLength::UntilClose,
            content: match unit {
                Unit::Bytes => Content::Bytes(VecDeque::new()),
                Unit::Messages => Content::Json(Box::new(JsonContent::arriving(max_message_bytes))),
            },
        }
    }

    /// A complete page without content that begins and ends at the boundary's offset.
    pub(super) fn empty(boundary: Boundary) -> Self {
        let start = boundary.next.clone();
        // The unit does not matter without content.
        let mut page = Self::arriving(boundary, &start, Unit::Bytes, BodyLength::Known(0), 0);
        page.arrival = Arrival::Complete;
        page
    }

    /// A complete page of events: the data of each, decoded.
    pub(super) fn of_events(
        boundary: Boundary,
        start: &Offset,
        unit: Unit,
        divisible: bool,
        data: VecDeque<Bytes>,
        max_message_bytes: usize,
    ) -> Self {
        Self {
            no_advance: boundary.next == *start,
            boundary,
            arrival: Arrival::Complete,
            has_content: false,
            // An event without data is not an empty body: a group of none is an empty array.
            received_bytes: true,
            divisible,
            input_exhausted: false,
            remaining: None,
            detects_truncation: true,
            content: match unit {
                Unit::Bytes => Content::Bytes(data),
                Unit::Messages => Content::Json(Box::new(JsonContent::complete(data, max_message_bytes))),
            },
        }
    }

    /// More of the body arrived.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.input_exhausted = false;
        self.received_bytes = true;
        // Saturating, since a body may be longer than its header says. What is too long fails while draining.
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes.len() as u64);
        }
        match &mut self.content {
            Content::Bytes(queue) => queue.push_back(bytes),
            Content::Json(json) => json.splitter.push(bytes),
        }
    }

    /// The body has ended as it should.
    pub(super) fn on_body_end(&mut self) {
        // Content that is not valid has broken the page already: its error stands.
        if matches!(self.arrival, Arrival::Receiving) {
            self.arrival = Arrival::Complete;
        }
        // A server that has nothing to send may leave out even the brackets: that is no truncated array.
        let may_be_empty = !self.received_bytes && (self.remaining == Some(0) || self.no_advance);
        if let Content::Json(json) = &mut self.content
            && !may_be_empty
        {
            json.splitter.finish();
        }
    }

    /// The body broke off. What has arrived can still be taken.
    pub(super) fn on_body_broken(&mut self, reason: StreamError) {
        if matches!(self.arrival, Arrival::Receiving) {
            self.arrival = Arrival::Broken(reason);
        }
    }

    /// The body has nothing more at the moment. Returns whether something can be taken for that reason: the last piece is
    /// held back while the next one may show that it is the page's last.
    pub(super) fn on_input_exhausted(&mut self) -> bool {
        let holds_back = match &self.content {
            Content::Bytes(queue) => !queue.is_empty() || self.remaining == Some(0),
            Content::Json(json) => json.held_back.is_some(),
        };
        // True once only, until more arrives: the driver takes, finds nothing, and waits.
        !std::mem::replace(&mut self.input_exhausted, true) && holds_back
    }

    /// The next piece of at most `max` bytes; of a JSON page an array of whole messages.
    pub(super) fn take(&mut self, position: &mut Position, max: usize) -> Taken {
        let taken = match &self.content {
            Content::Bytes(_) => self.take_bytes(position, max),
            Content::Json(_) => self.take_messages(position, max),
        };
        taken.unwrap_or_else(|invalid| {
            self.invalidate(invalid);
            Taken::Pending
        })
    }

    /// The page cannot be what the stream holds: nothing more of it is delivered.
    #[cold]
    pub(super) fn invalidate(&mut self, invalid: Invalid) {
        if matches!(invalid, Invalid::NoContent) {
            // Nothing can be taken, not even the error that a JSON page without an array has.
            self.content = Content::Bytes(VecDeque::new());
        }
        let next = &self.boundary.next;
        // Replaces `Complete` and an earlier failure too: this page must not be delivered any further.
        self.arrival = match invalid {
            Invalid::Framing(error) => Arrival::Broken(self.framing_error(error)),
            Invalid::NoAdvance => Arrival::Misfit(StreamError::protocol(format!(
                "the server sent data, but its next offset is the one asked for: {next}"
            ))),
            Invalid::NoContent => Arrival::Misfit(no_content(next)),
        };
    }

    /// Whether the last piece can be delivered: waiting for more input would not show more about it.
    pub(super) fn may_flush(&self) -> bool {
        self.input_exhausted || !matches!(self.arrival, Arrival::Receiving)
    }

    /// Whether all of its bytes have arrived, even if the body's end was not seen.
    pub(super) fn has_all_bytes(&self) -> bool {
        match (&self.arrival, &self.content) {
            (Arrival::Complete, _) => true,
            (_, Content::Bytes(_)) => self.remaining == Some(0),
            // A JSON page knows its end from the closing bracket.
            (_, Content::Json(_)) => false,
        }
    }

    /// Whether all messages of a JSON page were taken, and its end was seen.
    #[inline]
    pub(super) fn find_end(&mut self) -> bool {
        match &mut self.content {
            // The end of a page of bytes shows only by the end of its body.
            Content::Bytes(_) => false,
            Content::Json(json) => json.find_end(),
        }
    }

    /// Whether it is complete without a single byte, not even the brackets of an empty array.
    pub(super) fn has_empty_body(&self) -> bool {
        !self.received_bytes && matches!(self.arrival, Arrival::Complete)
    }

    fn framing_error(&self, error: FramingError) -> StreamError {
        match error {
            FramingError::TooLarge { limit } => {
                StreamError::TooLarge { what: "a JSON message".into(), option: "max_event_bytes", limit }
            }
            // HTTP cannot see that such a body was cut: it is a failure of the connection, and another attempt helps. A
            // body that HTTP has seen whole was cut before it was sent, and will be again.
            FramingError::Truncated { .. } | FramingError::Empty if !self.detects_truncation => {
                StreamError::Network(
                    TransportError::new(TransportErrorKind::Truncated).with_message(error.to_string()),
                )
            }
            error => StreamError::protocol(error.to_string()),
        }
    }
}
