//! Several messages at once, as one JSON array.

use super::framing::FramingError;
use super::splitter::{Found, JsonSplitter, Seek};
use bytes::Bytes;

/// One or more messages, framed as a JSON array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The array.
    pub data: Bytes,
    /// The number of messages in it, at least one.
    pub messages: u64,
}

impl JsonSplitter {
    /// The next messages, as many as have arrived and fit into an array of `max_bytes`, but at least one. `None` until
    /// more bytes are pushed. Faster than taking one message after the other.
    ///
    /// The result is always an array, whatever the body's own framing is.
    pub fn next_frame(&mut self, max_bytes: usize) -> Option<Result<Frame, FramingError>> {
        let mut frame = Builder::default();
        // A message that spans buffers always begins a frame: it is in `carry`, from where it cannot be put back.
        while frame.messages == 0 || !self.input.is_consumed() {
            match self.add_message(&mut frame, max_bytes) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if frame.messages == 0 => return Some(Err(error)),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        (frame.messages > 0).then(|| Ok(frame.finish()))
    }

    /// Adds the next message. False if there is none, or if it does not fit.
    fn add_message(&mut self, frame: &mut Builder, max_bytes: usize) -> Result<bool, FramingError> {
        // An error here ends the frame. It is returned by the next call, after the messages before it.
        let found = match self.seek()? {
            Seek::Nothing => return Ok(false),
            Seek::Last => Found::Carried,
            Seek::Value(kind) => match self.scan(kind)? {
                None => return Ok(true),
                Some(Found::Here(length)) if !frame.has_room(length, max_bytes) => {
                    self.put_back(kind);
                    return Ok(false);
                }
                Some(found) => found,
            },
        };
        let rest = self.input.rest();
        // All of the buffer is likely to fit: one allocation for the frame.
        let expected = max_bytes.min(self.carry.len() + rest.len() + 2);
        match found {
            Found::Here(length) => {
                frame.add(&rest[..length], expected);
                self.input.advance(length);
            }
            Found::Carried => {
                frame.add(self.carry.as_slice(), expected);
                self.carry.clear();
            }
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Builder {
    array: Vec<u8>,
    messages: u64,
}

impl Builder {
    /// Whether a separator, `length` bytes and the bracket at the end fit.
    fn has_room(&self, length: usize, max_bytes: usize) -> bool {
        self.messages == 0 || self.array.len() + length + 2 <= max_bytes
    }

    /// `expected` is the expected size of the array, so that it is allocated once.
    #[inline]
    fn add(&mut self, message: &[u8], expected: usize) {
        if self.messages == 0 {
            self.array.reserve_exact(expected.max(message.len() + 2));
        }
        self.array.push(if self.messages == 0 { b'[' } else { b',' });
        self.array.extend_from_slice(message);
        self.messages += 1;
    }

    fn finish(mut self) -> Frame {
        self.array.push(b']');
        Frame { data: Bytes::from(self.array), messages: self.messages }
    }
}
