//! One connection of server-sent events: data is held back until the control event that vouches for it.

use crate::error::StreamError;
use crate::offset::Offset;
use crate::protocol::base64;
use crate::protocol::sse::{Control, EventName, SseParser};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;

/// What each data event costs beside its bytes, where many are held.
const EVENT_COST: usize = 128;
/// One byte in so many is lost between what is held and what the allocator makes of it.
const SLACK: usize = 16;
/// From here on data is held in buffers of its own: a slice keeps all of the buffer that it came in, and what is
/// not counted would add up.
const HELD_IN_PLACE: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Session {
    parser: SseParser,
    held: VecDeque<Bytes>,
    /// What the events before the next control event amount to.
    held_bytes: usize,
    base64: bool,
    max_event_bytes: usize,
    /// When the request was sent.
    pub(super) since: Instant,
    /// A byte has arrived.
    pub(super) heard: bool,
    /// It vouched for where the stream stands.
    pub(super) vouched: bool,
    /// It brought something that was not known before.
    pub(super) news: bool,
}

/// What the events up to a control event amount to.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) data: VecDeque<Bytes>,
    pub(super) next: Offset,
    pub(super) cursor: Option<String>,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
}

/// Why a connection of events cannot go on.
#[derive(Debug)]
pub(super) enum Unusable {
    /// An event, or the events before one control event, exceed the limit.
    TooLarge,
    Broken(StreamError),
}

impl Session {
    pub(super) fn new(since: Instant, base64: bool, max_event_bytes: usize) -> Self {
        Self {
            parser: SseParser::new(max_event_bytes),
            held: VecDeque::new(),
            held_bytes: 0,
            base64,
            max_event_bytes,
            since,
            heard: false,
            vouched: false,
            news: false,
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.heard = true;
        self.parser.push(bytes);
    }

    /// The next group that is complete, or `None` until more arrives.
    pub(super) fn next_group(&mut self) -> Result<Option<Group>, Unusable> {
        while let Some(event) = self.parser.next_event() {
            let event = event.map_err(|_| Unusable::TooLarge)?;
            match event.event {
                EventName::Data => self.hold(event.data)?,
                EventName::Control => return self.close_group(&event.data).map(Some),
                EventName::Other => {}
            }
        }
        Ok(None)
    }

    fn hold(&mut self, data: Bytes) -> Result<(), Unusable> {
        let data = if self.base64 {
            base64::decode(&data)
                .map_err(|error| Unusable::Broken(StreamError::protocol(error.to_string())))?
        } else if self.held_bytes > HELD_IN_PLACE {
            let mut own = Vec::from(data);
            own.shrink_to_fit();
            own.into()
        } else {
            data
        };
        // The first costs nothing more, so that an event of exactly the limit passes.
        let cost = if self.held_bytes == 0 { 0 } else { EVENT_COST + data.len() / SLACK };
        self.held_bytes += data.len() + cost;
        if self.held_bytes > self.max_event_bytes {
            return Err(Unusable::TooLarge);
        }
        if !data.is_empty() {
            self.held.push_back(data);
        }
        Ok(())
    }

    fn close_group(&mut self, control: &[u8]) -> Result<Group, Unusable> {
        let broken = |message: String| Unusable::Broken(StreamError::protocol(message));
        let control = Control::parse(control).map_err(|error| broken(error.to_string()))?;
        self.held_bytes = 0;
        self.vouched = true;
        Ok(Group {
            data: std::mem::take(&mut self.held),
            next: control.next_offset,
            cursor: control.cursor,
            up_to_date: control.up_to_date,
            closed: control.closed,
        })
    }
}
