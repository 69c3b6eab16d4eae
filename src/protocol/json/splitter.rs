//! Splits a body into messages while it arrives.

use super::framing::{Framing, FramingError, is_space};
use super::scan::{Kind, Scanner};
use crate::protocol::buffer::{Input, Joined};
use bytes::Bytes;

/// Splits a body into JSON messages while it arrives.
///
/// A message that lies in one buffer is a slice of that buffer; one that spans buffers is copied once. Between two calls
/// the splitter keeps at most `max_message_bytes`. It finds the end of a message by brackets and strings, and does not
/// validate what is inside. It yields no messages after an error.
#[derive(Debug)]
pub struct JsonSplitter {
    pub(super) input: Input,
    pub(super) state: State,
    scanner: Scanner,
    /// The part of the current message that was in earlier buffers.
    pub(super) carry: Joined,
    pub(super) framing: Framing,
    pub(super) max_message_bytes: usize,
    ended: bool,
    /// An error found after messages that had to be yielded first.
    pub(super) failure: Option<FramingError>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Before the array.
    Open,
    /// Before the array's first element, or its end.
    First,
    /// Before an element.
    Next,
    /// After an element.
    After,
    /// After the array.
    Closed,
    /// Between two texts.
    Text,
    /// In a message, or on its first byte.
    Value(Kind),
    Failed,
}

/// Where [`JsonSplitter::seek`] stopped.
pub(super) enum Seek {
    /// On the first byte of a message, or on a later one if `carry` has the bytes before.
    Value(Kind),
    /// At the end of the body. `carry` is a whole message, a number for instance, which only the end terminates.
    Last,
    /// There is no message until more is pushed. If the body has ended there are no more messages.
    Nothing,
}

/// Where a message was found.
pub(super) enum Found {
    /// In the current buffer, from the cursor on.
    Here(usize),
    /// In `carry`.
    Carried,
}

impl JsonSplitter {
    /// A splitter for one body. It refuses messages of more than `max_message_bytes`.
    pub fn new(framing: Framing, max_message_bytes: usize) -> Self {
        Self {
            input: Input::default(),
            state: Self::before(framing),
            scanner: Scanner::default(),
            carry: Joined::default(),
            framing,
            max_message_bytes,
            ended: false,
            failure: None,
        }
    }

    /// Prepares the splitter for the next body with the same framing and limit. Its buffers are kept.
    #[cfg(any(all(test, feature = "json"), feature = "__internals"))]
    pub fn reset(&mut self) {
        self.input.clear();
        self.carry.clear();
        self.scanner = Scanner::default();
        self.state = Self::before(self.framing);
        self.failure = None;
        self.ended = false;
    }

    fn before(framing: Framing) -> State {
        match framing {
            Framing::Array => State::Open,
            Framing::Texts => State::Text,
        }
    }

    /// Gives the splitter the next bytes of the body. Take all messages before pushing more: input that is not
    /// split yet is kept.
    pub fn push(&mut self, bytes: Bytes) {
        if !matches!(self.state, State::Failed) {
            self.input.push(bytes);
        }
    }

    /// Marks the body as complete: nothing more is pushed. Then take messages until there are none. A last message that
    /// is a number, and the error of a truncated body, are only yielded after this call.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next message, without the white space around it, or `None` until more bytes are pushed.
    pub fn next_message(&mut self) -> Option<Result<Bytes, FramingError>> {
        Some(self.find().transpose()?.map(|found| match found {
            Found::Here(length) => self.input.take(length),
            Found::Carried => self.carry.take(),
        }))
    }

    /// Skips the separators before the next message. Returns whether there is no message: the array is closed, or
    /// (between texts) all that was pushed is consumed. An error found here is returned by the next call that takes a
    /// message.
    #[inline]
    pub fn at_end(&mut self) -> bool {
        match self.seek() {
            Ok(Seek::Value(_)) => false,
            Ok(Seek::Last) => {
                self.state = State::Value(Kind::Scalar);
                false
            }
            Ok(Seek::Nothing) => matches!(self.state, State::Closed | State::Text),
            Err(error) => {
                self.failure = Some(error);
                false
            }
        }
    }

    /// Whether all that was pushed is consumed, as of the last call.
    pub fn is_drained(&self) -> bool {
        self.input.is_consumed()
    }

    /// How many of the bytes pushed are consumed.
    #[cfg(feature = "json")]
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// Finds the next message. Moves the cursor behind it, unless it is in the current buffer.
    #[inline]
    pub(super) fn find(&mut self) -> Result<Option<Found>, FramingError> {
        loop {
            // Separators first. `scan` then finds the end, or copies the part that has arrived and continues in the
            // next buffer.
            let kind = match self.seek()? {
                Seek::Value(kind) => kind,
                Seek::Last => return Ok(Some(Found::Carried)),
                Seek::Nothing => return Ok(None),
            };
            if let Some(found) = self.scan(kind)? {
                return Ok(Some(found));
            }
        }
    }

    /// Searches for the end of the message under the cursor. If the buffer ends first, copies the part to `carry`.
    #[inline]
    pub(super) fn scan(&mut self, kind: Kind) -> Result<Option<Found>, FramingError> {
        let cursor = self.input.cursor();
        let end = self.scanner.end(kind, self.input.buffer(), cursor);
        let length = end.unwrap_or(self.input.buffer().len()) - cursor;
        self.check_size(length)?;
        if end.is_some() {
            self.state = self.after_value();
            // The message lies in one buffer: no copy.
            if self.carry.is_empty() {
                return Ok(Some(Found::Here(length)));
            }
        }
        self.carry.extend(&self.input.rest()[..length], self.max_message_bytes);
        self.input.advance(length);
        Ok(end.map(|_| Found::Carried))
    }

    /// Fails if `length` more bytes make the current message too large.
    #[inline]
    pub(super) fn check_size(&mut self, length: usize) -> Result<(), FramingError> {
        // Also for a message that is not complete: its size is bounded while it arrives.
        if self.carry.len() + length > self.max_message_bytes {
            return Err(self.fail(FramingError::TooLarge { limit: self.max_message_bytes }));
        }
        Ok(())
    }

    /// Undoes a scan that found a message in the current buffer.
    pub(super) fn put_back(&mut self, kind: Kind) {
        self.state = State::Value(kind);
        self.scanner.discard_block();
    }

    pub(super) fn after_value(&self) -> State {
        match self.framing {
            Framing::Array => State::After,
            Framing::Texts => State::Text,
        }
    }

    /// Moves the cursor to the next byte of a message, over the separators between messages.
    #[inline]
    pub(super) fn seek(&mut self) -> Result<Seek, FramingError> {
        loop {
            let Some(&byte) = self.input.rest().first() else {
                if self.input.next_buffer() {
                    self.scanner.discard_block();
                    continue;
                }
                return match self.failure.take() {
                    Some(failure) => Err(failure),
                    None if self.ended => self.end(),
                    None => Ok(Seek::Nothing),
                };
            };
            // White space is skipped here as well, byte by byte: bodies have little of it between messages.
            self.state = match (self.state, byte) {
                (State::Value(kind), _) => return Ok(Seek::Value(kind)),
                (state, byte) if is_space(byte) => state,
                (State::After, b',') => State::Next,
                // `[1,]` is refused: after a comma the state is `Next`.
                (State::First | State::After, b']') => State::Closed,
                (State::Open, b'[') => State::First,
                (State::Open, found) => return Err(self.fail(FramingError::NotAnArray { found })),
                (State::First | State::Next | State::Text, byte) => match Kind::of(byte) {
                    Some(kind) => {
                        self.state = State::Value(kind);
                        return Ok(Seek::Value(kind));
                    }
                    None => return Err(self.unexpected(byte)),
                },
                (State::After | State::Closed | State::Failed, byte) => return Err(self.unexpected(byte)),
            };
            self.input.advance(1);
        }
    }

    fn end(&mut self) -> Result<Seek, FramingError> {
        let length = self.input.position();
        match self.state {
            State::Closed | State::Text | State::Failed => Ok(Seek::Nothing),
            // Only the end of the body shows that a number is complete.
            State::Value(Kind::Scalar) if self.framing == Framing::Texts => {
                self.state = State::Text;
                Ok(Seek::Last)
            }
            State::Open => Err(self.fail(FramingError::Empty)),
            State::First | State::Next | State::After | State::Value(_) => {
                Err(self.fail(FramingError::Truncated { length }))
            }
        }
    }

    fn unexpected(&mut self, found: u8) -> FramingError {
        let position = self.input.position();
        self.fail(FramingError::Unexpected { found, position })
    }

    #[cold]
    fn fail(&mut self, error: FramingError) -> FramingError {
        self.state = State::Failed;
        self.input.clear();
        self.carry = Joined::default();
        error
    }
}
