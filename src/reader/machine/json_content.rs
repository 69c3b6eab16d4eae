//! The messages of a JSON page.

use crate::protocol::json::{Frame, Framing, JsonSplitter};
use bytes::Bytes;
use std::collections::VecDeque;

/// The messages of a JSON page, as far as they have arrived.
///
/// A page's body is one array. A group of events has several bodies, one for each data event.
#[derive(Debug)]
pub(super) struct JsonContent {
    pub(super) splitter: JsonSplitter,
    /// Bodies after the splitter's own.
    following: VecDeque<Bytes>,
    /// Messages that were split off, and held back until it shows whether they are the page's last. Not delivered yet, and
    /// so not part of the position.
    pub(super) held_back: Option<Frame>,
    max_message_bytes: usize,
}

impl JsonContent {
    /// A body that will arrive in pieces.
    pub(super) fn arriving(max_message_bytes: usize) -> Self {
        Self {
            splitter: JsonSplitter::new(Framing::Array, max_message_bytes),
            following: VecDeque::new(),
            held_back: None,
            max_message_bytes,
        }
    }

    /// The complete bodies of a group of events.
    pub(super) fn complete(mut bodies: VecDeque<Bytes>, max_message_bytes: usize) -> Self {
        bodies.retain(|body| body.iter().any(|byte| !byte.is_ascii_whitespace()));
        // A group without data is an empty array.
        let first = bodies.pop_front().unwrap_or(Bytes::from_static(b"[]"));
        Self {
            splitter: complete_body(first, max_message_bytes),
            following: bodies,
            held_back: None,
            max_message_bytes,
        }
    }

    /// Whether the end of the last body was seen.
    #[inline]
    pub(super) fn find_end(&mut self) -> bool {
        self.splitter.at_end() && self.following.is_empty()
    }

    /// Moves to the next event's body. Returns false if there is none.
    pub(super) fn next_body(&mut self) -> bool {
        // Called at the end of a body only, when the splitter holds nothing of it any more.
        let Some(body) = self.following.pop_front() else { return false };
        self.splitter = complete_body(body, self.max_message_bytes);
        true
    }
}

/// The body of an event is an array of messages. A server may also send a single message without the array.
fn complete_body(body: Bytes, max_message_bytes: usize) -> JsonSplitter {
    // The first byte that is not white space decides.
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let framing = if first.is_none_or(|byte| *byte == b'[') { Framing::Array } else { Framing::Texts };
    let mut splitter = JsonSplitter::new(framing, max_message_bytes);
    splitter.push(body);
    splitter.finish();
    splitter
}
