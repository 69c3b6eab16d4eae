//! The parser of event streams.

use super::data::Data;
use super::event::{EventName, EventTooLarge, SseEvent};
use super::short_name::ShortName;
use crate::protocol::buffer::Input;
use bytes::Bytes;
use std::time::Duration;

/// The byte order mark that WHATWG allows at the start of the body.
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// An incremental parser of WHATWG's event-stream format. The input may be cut at any byte.
///
/// The data of an event that lies on one line in one buffer is a slice of that buffer. All other data is copied once.
/// Between two calls the parser keeps at most `max_event_bytes` of data. It never yields an event without the blank
/// line that ends it: dropping the parser at the end of a connection discards such an event, as WHATWG requires.
#[derive(Debug)]
pub struct SseParser {
    input: Input,
    /// How many bytes of a leading byte order mark were received; 3 once the body is past it, or has none.
    bom: usize,
    /// The last line ended in CR. A line feed that follows belongs to the same line end.
    skip_lf: bool,
    line: Line,
    name: ShortName,
    pub(super) data: Data,
    max_event_bytes: usize,
    /// An event was too large: all further input is ignored.
    failed: bool,
    /// The value of the `retry` field that is being read; `None` if it is not a number.
    retry: Option<u64>,
    reconnection_time: Option<Duration>,
}

/// The position of the cursor within a line.
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
    Retry,
    /// Comments, `id` and unknown fields. The protocol uses none of them.
    Ignored,
}

impl SseParser {
    /// A parser for one response. It refuses events with more than `max_event_bytes` of data.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            input: Input::default(),
            bom: 0,
            skip_lf: false,
            line: Line::Start,
            name: ShortName::default(),
            data: Data::default(),
            max_event_bytes,
            failed: false,
            retry: None,
            reconnection_time: None,
        }
    }

    /// Gives the parser the next bytes of the body. Take all events before pushing more: input that is not
    /// parsed yet is kept.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.failed {
            self.input.push(bytes);
        }
    }

    /// How long the server asks to wait before the next connection (`retry`), if it does.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    /// The next event, or `None` until more bytes are pushed.
    pub fn next_event(&mut self) -> Option<Result<SseEvent, EventTooLarge>> {
        loop {
            // The current buffer is consumed. It is released, and the next one becomes current.
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
            // Each step consumes the longest run that it can, so that the loop runs once for each field, not for each
            // byte.
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
                    self.failed = true;
                    self.input.clear();
                    self.data = Data::default();
                    return Some(Err(error));
                }
            }
        }
    }

    fn skip_bom(&mut self, first: u8) {
        // A byte order mark may be split between buffers, so it is compared byte by byte.
        if first == BOM[self.bom] {
            self.input.advance(1);
            self.bom += 1;
        } else {
            // Not a byte order mark. Its bytes so far are the start of an unknown field's name.
            if self.bom > 0 {
                self.line = Line::Value { field: Field::Ignored, leading_space: false };
            }
            self.bom = BOM.len();
        }
    }

    #[inline]
    fn line_start(&mut self, first: u8) -> Option<SseEvent> {
        // A CR ends its line at once, so that the event is not delayed. A line feed after it is a part of the same line
        // end.
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
                // The two fields that matter, without the general path.
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
        // The name may continue in the next buffer.
        seen.extend(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else {
            self.input.advance(rest.len());
            self.line = Line::Name(seen);
            return Ok(None);
        };
        let field = match seen.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"retry" => Field::Retry,
            _ => Field::Ignored,
        };
        let colon = rest[end] == b':';
        // A line end is not consumed here: it ends the empty value of a field without a colon.
        self.input.advance(end + usize::from(colon));
        self.begin_value(field);
        if colon { Ok(None) } else { self.field_value(field, false) }
    }

    #[inline]
    fn begin_value(&mut self, field: Field) {
        match field {
            Field::Data => self.data.begin_line(self.max_event_bytes),
            Field::Event => self.name = ShortName::default(),
            Field::Retry => self.retry = None,
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
        // A value ends at a line end only: colons in it are data.
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let length = end.unwrap_or(rest.len());
        let cr = end.is_some_and(|end| rest[end] == b'\r');
        match field {
            Field::Data => self.data.append(&mut self.input, length, self.max_event_bytes)?,
            Field::Event => {
                self.name.extend(&rest[..length]);
                self.input.advance(length);
            }
            Field::Retry => {
                for byte in &rest[..length] {
                    // One byte that is no digit makes the whole value invalid (WHATWG).
                    if !byte.is_ascii_digit() {
                        self.line = Line::Value { field: Field::Ignored, leading_space: false };
                        return Ok(None);
                    }
                    let before = self.retry.unwrap_or_default();
                    self.retry = Some(before.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
                }
                self.input.advance(length);
                if end.is_some()
                    && let Some(milliseconds) = self.retry
                {
                    self.reconnection_time = Some(Duration::from_millis(milliseconds));
                }
            }
            Field::Ignored => self.input.advance(length),
        }
        if end.is_some() {
            self.input.advance(1);
            self.skip_lf = cr;
            self.line = Line::Start;
        } else {
            // The value continues in the next buffer. Its leading space is past.
            self.line = Line::Value { field, leading_space: false };
        }
        Ok(None)
    }

    /// Ends an event at a blank line. Without a data line there is no event (WHATWG).
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
