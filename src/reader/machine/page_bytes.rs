//! Taking pieces of a page of bytes.

use super::page::{Content, Invalid, Page, Taken, note_content};
use crate::reader::position::Position;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

impl Page {
    /// The next piece of at most `max` bytes.
    ///
    /// Pieces are slices of what arrived, without a copy. Only indivisible content is joined.
    pub(super) fn take_bytes(&mut self, position: &mut Position, max: usize) -> Result<Taken, Invalid> {
        let (may_flush, has_all_bytes) = (self.may_flush(), self.has_all_bytes());
        let Content::Bytes(queue) = &mut self.content else { return Ok(Taken::Pending) };
        while let Some(front) = queue.front_mut() {
            note_content(&mut self.has_content, self.no_advance)?;
            let to_skip = position.to_skip();
            // Skipping is by whole or partial buffers, without looking at the bytes.
            if to_skip > 0 {
                let skipped = usize::try_from(to_skip).unwrap_or(usize::MAX).min(front.len());
                front.advance(skipped);
                position.advance(skipped as u64);
                if front.is_empty() {
                    queue.pop_front();
                }
                continue;
            }
            // A complete group: its position is the next page's start, and there is none inside.
            if !self.divisible {
                return Ok(Taken::End(Some(join(queue))));
            }
            if front.len() > max {
                let piece = front.split_to(max);
                position.advance(max as u64);
                return Ok(Taken::Piece(piece));
            }
            // What comes after it shows whether it is the last, whose position is the next page's start.
            if queue.len() == 1 && !may_flush {
                return Ok(Taken::Pending);
            }
            // One buffer of the transport is one piece. Joining buffers would copy them.
            let Some(piece) = queue.pop_front() else { break };
            position.advance(piece.len() as u64);
            let is_last = queue.is_empty() && has_all_bytes;
            return Ok(if is_last { Taken::End(Some(piece)) } else { Taken::Piece(piece) });
        }
        Ok(if has_all_bytes && may_flush { Taken::End(None) } else { Taken::Pending })
    }
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
