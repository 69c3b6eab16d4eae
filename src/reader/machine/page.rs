//! One page on its way to the consumer: the content between two of the server's offsets.

use crate::error::StreamError;
use crate::offset::Offset;
use crate::protocol::json::{Frame, Framing, FramingError, JsonSplitter};
use crate::reader::position::{Position, Unit};
use bytes::{Buf, Bytes, BytesMut};
use durable_streams_contract::{TransportError, TransportErrorKind};
#[cfg(feature = "json")]
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// What the server said about a page.
#[derive(Clone, Debug)]
pub(super) struct Boundary {
    /// Where the next page begins.
    pub(super) next: Offset,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
    pub(super) cursor: Option<String>,
}

/// What HTTP says of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(u64),
    /// Not known beforehand, but its end is told from its breaking off.
    Framed,
    /// It ends when the connection is closed, for whatever reason.
    UntilClose,
}

/// How a page came to its end.
#[derive(Debug)]
pub(super) enum PageEnd {
    /// All of it has arrived.
    Whole,
    /// The rest of it is not coming, for this reason.
    Broken(StreamError),
}

/// What a page gives when it is asked for more.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing until more arrives.
    Nothing,
    Piece(Bytes),
    /// The page is over; what is left of it, if anything.
    Last(Option<Bytes>),
}

/// What a page gives when it is asked for one JSON message.
#[cfg(feature = "json")]
pub(super) enum TakenItem<T> {
    Nothing,
    Item(Result<T, serde_json::Error>),
    /// The page is over.
    Over,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) boundary: Boundary,
    pub(super) end: Option<PageEnd>,
    /// Not one byte or message of the stream was in it so far.
    pub(super) empty: bool,
    /// Its body had at least one byte.
    received: bool,
    /// It ends where it began: no content can be in it.
    pub(super) stuck: bool,
    /// It came as an event, whole.
    pub(super) from_event: bool,
    /// Whether a position inside can be counted.
    pub(super) divisible: bool,
    /// There was no more content at the last look.
    starved: bool,
    /// How much is still to come, where the server said it.
    remaining: Option<u64>,
    /// HTTP tells whether the body is complete.
    framed: bool,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(VecDeque<Bytes>),
    Json(Box<Messages>),
}

#[derive(Debug)]
struct Messages {
    splitter: JsonSplitter,
    /// Bodies after the splitter's own: several data events may come before one control event.
    following: VecDeque<Bytes>,
    /// Messages put aside until it shows whether they are the last. They are not handed out yet.
    aside: Option<Frame>,
    max_message_bytes: usize,
}

/// Why a page is not handed on.
#[derive(Debug)]
enum Flaw {
    Framing(FramingError),
    /// It has content, though the offsets say that there can be none.
    NoAdvance,
}

impl From<FramingError> for Flaw {
    fn from(error: FramingError) -> Self {
        Self::Framing(error)
    }
}

impl Page {
    /// A page whose content arrives as a response's body.
    pub(super) fn body(
        boundary: Boundary,
        base: &Offset,
        unit: Unit,
        length: BodyLength,
        max_message_bytes: usize,
    ) -> Self {
        let content = match unit {
            Unit::Bytes => Content::Bytes(VecDeque::new()),
            Unit::Messages => Content::Json(Box::new(Messages {
                splitter: JsonSplitter::new(Framing::Array, max_message_bytes),
                following: VecDeque::new(),
                aside: None,
                max_message_bytes,
            })),
        };
        Self {
            stuck: boundary.next == *base,
            boundary,
            end: None,
            empty: true,
            received: false,
            from_event: false,
            divisible: true,
            starved: false,
            remaining: match length {
                BodyLength::Known(length) => Some(length),
                BodyLength::Framed | BodyLength::UntilClose => None,
            },
            framed: length != BodyLength::UntilClose,
            content,
        }
    }

    /// A page without content.
    pub(super) fn nothing(boundary: Boundary, base: &Offset) -> Self {
        let mut page = Self::body(boundary, base, Unit::Bytes, BodyLength::UntilClose, 0);
        page.end = Some(PageEnd::Whole);
        page
    }

    /// A page that came as events: the data of each, decoded.
    pub(super) fn events(
        boundary: Boundary,
        base: &Offset,
        unit: Unit,
        divisible: bool,
        mut data: VecDeque<Bytes>,
        max_message_bytes: usize,
    ) -> Self {
        let content = match unit {
            Unit::Bytes => Content::Bytes(data),
            Unit::Messages => {
                data.retain(|body| body.iter().any(|byte| !byte.is_ascii_whitespace()));
                let splitter = match data.pop_front() {
                    Some(first) => whole_body(first, max_message_bytes),
                    None => whole_body(Bytes::from_static(b"[]"), max_message_bytes),
                };
                Content::Json(Box::new(Messages {
                    splitter,
                    following: data,
                    aside: None,
                    max_message_bytes,
                }))
            }
        };
        Self {
            stuck: boundary.next == *base,
            boundary,
            end: Some(PageEnd::Whole),
            empty: true,
            received: true,
            from_event: true,
            divisible,
            starved: false,
            remaining: None,
            framed: true,
            content,
        }
    }

    /// More of the body arrived.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.starved = false;
        self.received = true;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes.len() as u64);
        }
        match &mut self.content {
            Content::Bytes(queue) => queue.push_back(bytes),
            Content::Json(messages) => messages.splitter.push(bytes),
        }
    }

    /// The body is complete.
    pub(super) fn finish(&mut self) {
        self.end.get_or_insert(PageEnd::Whole);
        // A server that has nothing to say may leave out even the brackets.
        let bare = !self.received && (self.remaining == Some(0) || self.stuck);
        if let Content::Json(messages) = &mut self.content
            && !bare
        {
            messages.splitter.finish();
        }
    }

    /// The body broke off. What has arrived is still handed out.
    pub(super) fn cut(&mut self, reason: StreamError) {
        self.end.get_or_insert(PageEnd::Broken(reason));
    }

    /// There is no more content at the moment. Whether that lets something be handed out.
    pub(super) fn starve(&mut self) -> bool {
        let holds = match &self.content {
            Content::Bytes(queue) => !queue.is_empty() || self.remaining == Some(0),
            Content::Json(messages) => messages.aside.is_some(),
        };
        !std::mem::replace(&mut self.starved, true) && holds
    }

    /// The next piece of at most `max` bytes; on a JSON stream an array of whole messages.
    pub(super) fn take(&mut self, position: &mut Position, max: usize) -> Taken {
        let taken = match &self.content {
            Content::Bytes(_) => self.take_bytes(position, max),
            Content::Json(_) => self.take_messages(position, max),
        };
        taken.unwrap_or_else(|flaw| {
            self.condemn(flaw);
            Taken::Nothing
        })
    }

    /// The page cannot be what the stream holds: nothing more of it is handed out.
    #[cold]
    fn condemn(&mut self, flaw: Flaw) {
        let error = match flaw {
            Flaw::Framing(error) => self.describe(error),
            Flaw::NoAdvance => {
                let next = &self.boundary.next;
                StreamError::protocol(format!(
                    "the server sent data, but its next offset is the one asked for: {next}"
                ))
            }
        };
        self.end = Some(PageEnd::Broken(error));
    }

    /// Nothing more has to be waited for to hand out what is there.
    fn is_settled(&self) -> bool {
        self.starved || self.end.is_some()
    }

    fn is_whole(&self) -> bool {
        match (&self.end, &self.content) {
            (Some(PageEnd::Whole), _) => true,
            (_, Content::Bytes(_)) => self.remaining == Some(0),
            (_, Content::Json(_)) => false,
        }
    }

    fn take_bytes(&mut self, position: &mut Position, max: usize) -> Result<Taken, Flaw> {
        let (settled, whole, stuck) = (self.is_settled(), self.is_whole(), self.stuck);
        let Content::Bytes(queue) = &mut self.content else { return Ok(Taken::Nothing) };
        while let Some(front) = queue.front_mut() {
            self.empty = false;
            if stuck {
                return Err(Flaw::NoAdvance);
            }
            let behind = position.to_skip();
            if behind > 0 {
                let skipped = usize::try_from(behind).unwrap_or(usize::MAX).min(front.len());
                front.advance(skipped);
                position.advance(skipped as u64);
                if front.is_empty() {
                    queue.pop_front();
                }
                continue;
            }
            if !self.divisible {
                return Ok(Taken::Last(Some(join(queue))));
            }
            if front.len() > max {
                let piece = front.split_to(max);
                position.advance(max as u64);
                return Ok(Taken::Piece(piece));
            }
            // Whether it is the last shows by what comes after it.
            if queue.len() == 1 && !settled {
                return Ok(Taken::Nothing);
            }
            let Some(piece) = queue.pop_front() else { break };
            position.advance(piece.len() as u64);
            let last = queue.is_empty() && whole;
            return Ok(if last { Taken::Last(Some(piece)) } else { Taken::Piece(piece) });
        }
        Ok(if whole && settled { Taken::Last(None) } else { Taken::Nothing })
    }

    fn take_messages(&mut self, position: &mut Position, max: usize) -> Result<Taken, Flaw> {
        let settled = self.is_settled();
        loop {
            self.skip_messages(position)?;
            let Content::Json(messages) = &mut self.content else { return Ok(Taken::Nothing) };
            if let Some(aside) = messages.aside.take() {
                let last = messages.is_over() && settled;
                if !last && !settled && messages.splitter.is_drained() {
                    messages.aside = Some(aside);
                    return Ok(Taken::Nothing);
                }
                position.advance(aside.messages);
                return Ok(if last { Taken::Last(Some(aside.data)) } else { Taken::Piece(aside.data) });
            }
            if position.to_skip() == 0
                && let Some(frame) = messages.splitter.next_frame(max)
            {
                let frame = frame?;
                self.empty = false;
                if self.stuck {
                    return Err(Flaw::NoAdvance);
                }
                messages.aside = Some(frame);
                continue;
            }
            // The array's end is the page's, even if the body's own is not seen yet.
            if messages.splitter.at_end() {
                if messages.next_body() {
                    continue;
                }
                return Ok(if settled { Taken::Last(None) } else { Taken::Nothing });
            }
            return if self.is_bare() { Ok(Taken::Last(None)) } else { Ok(Taken::Nothing) };
        }
    }

    /// The next message as a `T`.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn take_item<T: DeserializeOwned>(&mut self, position: &mut Position) -> TakenItem<T> {
        self.try_item(position).unwrap_or_else(|flaw| {
            self.condemn(flaw);
            TakenItem::Nothing
        })
    }

    #[cfg(feature = "json")]
    #[inline]
    fn try_item<T: DeserializeOwned>(&mut self, position: &mut Position) -> Result<TakenItem<T>, Flaw> {
        use crate::protocol::json::ItemError;
        loop {
            if position.to_skip() > 0 {
                self.skip_messages(position)?;
            }
            let Content::Json(messages) = &mut self.content else {
                return Ok(if self.is_bare() { TakenItem::Over } else { TakenItem::Nothing });
            };
            if position.to_skip() == 0
                && let Some(item) = messages.splitter.next_item::<T>()
            {
                let item = match item {
                    Ok(item) => Ok(item),
                    Err(ItemError::Value(error)) => Err(error),
                    Err(ItemError::Framing(error)) => return Err(error.into()),
                };
                self.empty = false;
                if self.stuck {
                    return Err(Flaw::NoAdvance);
                }
                position.advance(1);
                return Ok(TakenItem::Item(item));
            }
            if messages.splitter.at_end() {
                if messages.next_body() {
                    continue;
                }
                return Ok(TakenItem::Over);
            }
            return Ok(if self.is_bare() { TakenItem::Over } else { TakenItem::Nothing });
        }
    }

    /// Whether all messages of a JSON page were taken, and its end was seen.
    #[inline]
    pub(super) fn is_over(&mut self) -> bool {
        match &mut self.content {
            Content::Bytes(_) => false,
            Content::Json(messages) => messages.is_over(),
        }
    }

    /// Whether all that has arrived of a JSON page was taken, and more has to come.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        match &self.content {
            Content::Bytes(_) => false,
            Content::Json(messages) => self.end.is_none() && messages.splitter.is_drained(),
        }
    }

    /// A page that ended without a single byte.
    fn is_bare(&self) -> bool {
        !self.received && matches!(self.end, Some(PageEnd::Whole))
    }

    /// What is wrong with the content, as an error.
    fn describe(&self, error: FramingError) -> StreamError {
        match error {
            FramingError::TooLarge { limit } => {
                StreamError::TooLarge { what: "a JSON message".into(), option: "max_event_bytes", limit }
            }
            // A body without a length, on a connection that was closed early: HTTP cannot see that. One that
            // HTTP saw whole was cut before it was sent, and will be again.
            FramingError::Truncated { .. } | FramingError::Empty if !self.from_event && !self.framed => {
                StreamError::Network(
                    TransportError::new(TransportErrorKind::Truncated).with_message(error.to_string()),
                )
            }
            error => StreamError::protocol(error.to_string()),
        }
    }

    fn skip_messages(&mut self, position: &mut Position) -> Result<(), Flaw> {
        let Content::Json(messages) = &mut self.content else { return Ok(()) };
        while position.to_skip() > 0 {
            match messages.splitter.next_message() {
                Some(message) => {
                    message?;
                    self.empty = false;
                    if self.stuck {
                        return Err(Flaw::NoAdvance);
                    }
                    position.advance(1);
                }
                None if messages.splitter.at_end() && messages.next_body() => {}
                None => break,
            }
        }
        Ok(())
    }
}

impl Messages {
    /// Whether the end was seen.
    #[inline]
    fn is_over(&mut self) -> bool {
        self.splitter.at_end() && self.following.is_empty()
    }

    /// Goes on to the next event's data, if there is any.
    fn next_body(&mut self) -> bool {
        let Some(body) = self.following.pop_front() else { return false };
        self.splitter = whole_body(body, self.max_message_bytes);
        true
    }
}

/// An event's data. It is an array of messages; a server may also send a single one bare.
fn whole_body(body: Bytes, max_message_bytes: usize) -> JsonSplitter {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let framing = if first.is_none_or(|byte| *byte == b'[') { Framing::Array } else { Framing::Texts };
    let mut splitter = JsonSplitter::new(framing, max_message_bytes);
    splitter.push(body);
    splitter.finish();
    splitter
}

fn join(queue: &mut VecDeque<Bytes>) -> Bytes {
    if queue.len() == 1 {
        return queue.pop_front().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(queue.iter().map(Bytes::len).sum());
    for piece in queue.drain(..) {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_behind_what_was_handed_out_and_not_behind_what_is_put_aside() {
        let base = Offset::parse("a");
        let next = Offset::parse("b");
        let boundary = Boundary { next, up_to_date: false, closed: false, cursor: None };
        let mut page = Page::body(boundary, &base, Unit::Messages, BodyLength::Framed, 100);
        let (mut position, _) = Position::new(&base.into());
        page.push(Bytes::from_static(b"[1,2"));
        // Whether it is the last shows by what comes after it.
        assert!(matches!(page.take(&mut position, 100), Taken::Nothing));
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a");
        assert!(page.starve());
        assert!(matches!(page.take(&mut position, 100), Taken::Piece(data) if data == "[1]"));
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a,m1");
    }
}
