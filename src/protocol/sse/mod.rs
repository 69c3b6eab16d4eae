//! Server-sent events, by the letter of WHATWG's event-stream rules.

mod control;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use control::Control;
#[cfg(any(test, feature = "__internals"))]
pub use control::ControlError;
#[cfg(feature = "__internals")]
pub use control::is_valid_offset;

use super::buffer::{Input, Joined};
use bytes::Bytes;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type, as far as the protocol knows it.
    pub event: EventName,
    /// Its data lines, joined by line feeds. WHATWG decodes them as UTF-8 with replacement; here they are the
    /// bytes that came, and whoever needs text judges them.
    pub data: Bytes,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    /// `event: data`.
    Data,
    /// `event: control`.
    Control,
    /// Any other, among them the default (`message`).
    Other,
}

/// An event with more data than allowed. The parser gives nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit, in bytes of data.
    pub limit: usize,
}

/// An incremental parser: bytes in, cut anywhere, events out.
///
/// Data that lies in one line and one buffer is handed out as a slice of that buffer. Everything else is copied
/// once. What is kept between two calls is at most `max_event_bytes`, whatever arrives. An event without its
/// blank line is never given: dropping the parser at the end of a connection discards it.
#[derive(Debug)]
pub struct SseParser {
    input: Input,
    /// How much of a leading byte order mark was seen; 3 when that question is settled.
    bom: usize,
    /// The last line ended in CR: a line feed that follows belongs to it.
    skip_lf: bool,
    line: Line,
    name: ShortName,
    data: Data,
    max_event_bytes: usize,
    dead: bool,
}

/// Where in a line the cursor is.
#[derive(Clone, Copy, Debug)]
enum Line {
    Start,
    Name(ShortName),
    Value { field: Field, leading_space: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// Comments, `id`, `retry` and whatever else: nothing that the protocol uses.
    Ignored,
}

impl SseParser {
    /// A parser for one response, that refuses events with more than `max_event_bytes` of data.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            input: Input::default(),
            bom: 0,
            skip_lf: false,
            line: Line::Start,
            name: ShortName::default(),
            data: Data::default(),
            max_event_bytes,
            dead: false,
        }
    }

    /// Gives the parser the next bytes of the body. Take all events before pushing more, since what is not
    /// parsed yet is kept.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.dead {
            self.input.push(bytes);
        }
    }

    /// The next event, or `None` until more bytes are pushed.
    pub fn next_event(&mut self) -> Option<Result<SseEvent, EventTooLarge>> {
        loop {
            let Some(&first) = self.input.rest().first() else {
                if self.input.next_buffer() {
                    continue;
                }
                return None;
            };
            if self.bom < BOM.len() {
                self.skip_bom(first);
                continue;
            }
            let step = match self.line {
                Line::Start => Ok(self.line_start(first)),
                Line::Name(seen) => self.field_name(seen),
                Line::Value { field, leading_space } => {
                    self.field_value(field, leading_space && first == b' ')
                }
            };
            match step {
                Ok(None) => {}
                Ok(Some(event)) => return Some(Ok(event)),
                Err(error) => {
                    self.dead = true;
                    self.input.clear();
                    self.data = Data::default();
                    return Some(Err(error));
                }
            }
        }
    }

    fn skip_bom(&mut self, first: u8) {
        if first == BOM[self.bom] {
            self.input.advance(1);
            self.bom += 1;
        } else {
            // A part of a mark is the beginning of an unknown field's name.
            if self.bom > 0 {
                self.line = Line::Value { field: Field::Ignored, leading_space: false };
            }
            self.bom = BOM.len();
        }
    }

    #[inline]
    fn line_start(&mut self, first: u8) -> Option<SseEvent> {
        let after_cr = std::mem::take(&mut self.skip_lf);
        match first {
            b'\n' => {
                self.input.advance(1);
                if after_cr { None } else { self.dispatch() }
            }
            b'\r' => {
                self.input.advance(1);
                self.skip_lf = true;
                self.dispatch()
            }
            _ => {
                let rest = self.input.rest();
                if rest.starts_with(b"data:") {
                    self.input.advance(5);
                    self.begin_value(Field::Data);
                } else if rest.starts_with(b"event:") {
                    self.input.advance(6);
                    self.begin_value(Field::Event);
                } else {
                    self.line = Line::Name(ShortName::default());
                }
                None
            }
        }
    }

    fn field_name(&mut self, mut seen: ShortName) -> Result<Option<SseEvent>, EventTooLarge> {
        let rest = self.input.rest();
        let end = memchr::memchr3(b':', b'\n', b'\r', rest);
        seen.extend(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else {
            self.input.advance(rest.len());
            self.line = Line::Name(seen);
            return Ok(None);
        };
        let field = match seen.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            _ => Field::Ignored,
        };
        let colon = rest[end] == b':';
        // A line end stays: it ends the empty value of a field without a colon.
        self.input.advance(end + usize::from(colon));
        self.begin_value(field);
        if colon { Ok(None) } else { self.field_value(field, false) }
    }

    #[inline]
    fn begin_value(&mut self, field: Field) {
        match field {
            Field::Data => self.data.begin_line(self.max_event_bytes),
            Field::Event => self.name = ShortName::default(),
            Field::Ignored => {}
        }
        self.line = Line::Value { field, leading_space: true };
    }

    #[inline]
    fn field_value(&mut self, field: Field, skip_space: bool) -> Result<Option<SseEvent>, EventTooLarge> {
        if skip_space {
            self.input.advance(1);
        }
        let rest = self.input.rest();
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let length = end.unwrap_or(rest.len());
        let cr = end.is_some_and(|end| rest[end] == b'\r');
        match field {
            Field::Data => self.data.append(&mut self.input, length, self.max_event_bytes)?,
            Field::Event => {
                self.name.extend(&rest[..length]);
                self.input.advance(length);
            }
            Field::Ignored => self.input.advance(length),
        }
        if end.is_some() {
            self.input.advance(1);
            self.skip_lf = cr;
            self.line = Line::Start;
        } else {
            self.line = Line::Value { field, leading_space: false };
        }
        Ok(None)
    }

    /// A blank line: what was gathered is an event, unless it has no data line.
    #[inline]
    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.finish()?;
        let event = match name.as_slice() {
            b"data" => EventName::Data,
            b"control" => EventName::Control,
            _ => EventName::Other,
        };
        Some(SseEvent { event, data })
    }
}

/// A field's name or an event's type, kept as far as it can matter: no name of interest is longer.
#[derive(Clone, Copy, Debug, Default)]
struct ShortName {
    bytes: [u8; 8],
    len: usize,
}

impl ShortName {
    #[inline]
    fn extend(&mut self, piece: &[u8]) {
        for (slot, byte) in self.bytes[self.len..].iter_mut().zip(piece) {
            *slot = *byte;
        }
        self.len = (self.len + piece.len()).min(self.bytes.len());
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The data lines of the event at hand.
#[derive(Debug, Default)]
struct Data {
    /// Whether there was a data line at all.
    present: bool,
    /// All of it, as long as that is one piece of one buffer.
    slice: Bytes,
    /// All of it, as soon as it is not.
    joined: Joined,
}

impl Data {
    /// A line begins; between two lines goes a line feed. The `append` that follows checks its room.
    #[inline]
    fn begin_line(&mut self, limit: usize) {
        if std::mem::replace(&mut self.present, true) {
            self.spill(limit);
            self.joined.extend(b"\n", limit);
        }
    }

    #[inline]
    fn append(&mut self, input: &mut Input, length: usize, limit: usize) -> Result<(), EventTooLarge> {
        if self.slice.len() + self.joined.len() + length > limit {
            return Err(EventTooLarge { limit });
        }
        if length > 0 {
            if self.slice.is_empty() && self.joined.is_empty() {
                self.slice = input.take(length);
            } else {
                self.spill(limit);
                self.joined.extend(&input.rest()[..length], limit);
                input.advance(length);
            }
        }
        Ok(())
    }

    fn spill(&mut self, limit: usize) {
        if !self.slice.is_empty() {
            self.joined.extend(&std::mem::take(&mut self.slice), limit);
        }
    }

    #[inline]
    fn finish(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.present) {
            return None;
        }
        let slice = std::mem::take(&mut self.slice);
        Some(if self.joined.is_empty() { slice } else { self.joined.take() })
    }
}
