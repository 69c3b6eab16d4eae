//! The data of one event.

use super::event::EventTooLarge;
use crate::protocol::buffer::{Input, Joined};
use bytes::Bytes;

/// The data lines of the current event.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// Whether the event has a data line.
    present: bool,
    /// The data, while it is one slice of one buffer. Empty if `joined` is not.
    slice: Bytes,
    /// The data, once it came in several pieces. Empty if `slice` is not.
    pub(super) joined: Joined,
}

impl Data {
    /// Begins a line. Two lines are joined by a line feed; the `append` that follows checks the limit for it.
    #[inline]
    pub(super) fn begin_line(&mut self, limit: usize) {
        // Not the first line: the event needs a line feed, so its data is not a slice of the input any more.
        if std::mem::replace(&mut self.present, true) {
            self.move_to_joined(limit);
            self.joined.extend(b"\n", limit);
        }
    }

    #[inline]
    pub(super) fn append(
        &mut self,
        input: &mut Input,
        length: usize,
        limit: usize,
    ) -> Result<(), EventTooLarge> {
        // Checked before the bytes are kept, so that the limit holds for the memory.
        if self.slice.len() + self.joined.len() + length > limit {
            return Err(EventTooLarge { limit });
        }
        if length > 0 {
            if self.slice.is_empty() && self.joined.is_empty() {
                // The first piece stays a slice of the buffer, without a copy. Most events have one piece.
                self.slice = input.take(length);
            } else {
                self.move_to_joined(limit);
                self.joined.extend(&input.rest()[..length], limit);
                input.advance(length);
            }
        }
        Ok(())
    }

    fn move_to_joined(&mut self, limit: usize) {
        if !self.slice.is_empty() {
            self.joined.extend(&std::mem::take(&mut self.slice), limit);
        }
    }

    #[inline]
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.present) {
            return None;
        }
        let slice = std::mem::take(&mut self.slice);
        Some(if self.joined.is_empty() { slice } else { self.joined.take() })
    }
}
