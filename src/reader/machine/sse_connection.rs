//! One connection of server-sent events: data waits for the control event that gives the offset behind it.

use crate::error::StreamError;
use crate::protocol::base64;
use crate::protocol::sse::{Control, EventName, SseParser};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// What each pending data event costs beside its bytes, if there are several.
const EVENT_OVERHEAD: usize = 128;
/// One byte in this many is lost to the allocator.
const ALLOCATOR_SLACK: usize = 16;
/// Once this many bytes are pending, data is copied into buffers of its own.
///
/// A slice keeps all of the network buffer that it came in. With many slices pending, what is not counted would add up.
const MAX_SHARED_BYTES: usize = 256 * 1024;

/// Parses an event stream into groups: the data events before a control event, and that control event.
#[derive(Debug)]
pub(super) struct SseConnection {
    parser: SseParser,
    /// Data without its control event.
    pending: VecDeque<Bytes>,
    /// The cost of `pending`. Never above `max_event_bytes`.
    pending_bytes: usize,
    base64: bool,
    max_event_bytes: usize,
    /// A byte has arrived.
    pub(super) received_bytes: bool,
    /// A control event has arrived: the server itself has answered.
    pub(super) received_control: bool,
    /// The consumer got something new from it.
    pub(super) delivered_data: bool,
}

/// The data events before one control event, decoded, and that control event.
#[derive(Debug)]
pub(super) struct SseGroup {
    pub(super) data: VecDeque<Bytes>,
    pub(super) control: Control,
}

/// Why an event stream cannot go on.
#[derive(Debug)]
pub(super) enum SseError {
    /// An event, or the events before one control event, exceed the limit.
    TooLarge,
    Invalid(StreamError),
}

impl SseConnection {
    pub(super) fn new(base64: bool, max_event_bytes: usize) -> Self {
        Self {
            parser: SseParser::new(max_event_bytes),
            pending: VecDeque::new(),
            pending_bytes: 0,
            base64,
            max_event_bytes,
            received_bytes: false,
            received_control: false,
            delivered_data: false,
        }
    }

    /// How long the server asks to wait before the next connection.
    pub(super) fn reconnection_time(&self) -> Option<Duration> {
        self.parser.reconnection_time()
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.received_bytes = true;
        self.parser.push(bytes);
    }

    /// The next complete group, or `None` until more arrives.
    pub(super) fn next_group(&mut self) -> Result<Option<SseGroup>, SseError> {
        while let Some(event) = self.parser.next_event() {
            // The parser has one error: an event above the limit. It is raised before the event's end has arrived.
            let event = event.map_err(|_| SseError::TooLarge)?;
            match event.event {
                EventName::Data => self.add_data(event.data)?,
                EventName::Control => return self.close_group(&event.data).map(Some),
                // Events that the protocol does not define may be added to it later.
                EventName::Other => {}
            }
        }
        Ok(None)
    }

    fn add_data(&mut self, data: Bytes) -> Result<(), SseError> {
        let data = if self.base64 {
            base64::decode(&data)
                .map_err(|error| SseError::Invalid(StreamError::protocol(error.to_string())))?
        // Decoded data, and copied data, has a buffer of its own.
        } else if self.pending_bytes > MAX_SHARED_BYTES {
            let mut own = Vec::from(data);
            own.shrink_to_fit();
            own.into()
        } else {
            data
        };
        // The first event has no overhead, so that an event of exactly the limit passes.
        let overhead =
            if self.pending_bytes == 0 { 0 } else { EVENT_OVERHEAD + data.len() / ALLOCATOR_SLACK };
        self.pending_bytes += data.len() + overhead;
        // Checked before the data is stored: the limit is one on memory, not on what is delivered.
        if self.pending_bytes > self.max_event_bytes {
            return Err(SseError::TooLarge);
        }
        // An event without data is legal, and has nothing to deliver.
        if !data.is_empty() {
            self.pending.push_back(data);
        }
        Ok(())
    }

    fn close_group(&mut self, control: &[u8]) -> Result<SseGroup, SseError> {
        let control = Control::parse(control)
            .map_err(|error| SseError::Invalid(StreamError::protocol(error.to_string())))?;
        // The next group is parsed only after this one was taken, so that there is at most one beside the pending data.
        self.pending_bytes = 0;
        self.received_control = true;
        Ok(SseGroup { data: std::mem::take(&mut self.pending), control })
    }
}
