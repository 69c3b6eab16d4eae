//! Positions in a stream: what they count, and how they move while a page is read, interrupted and read again.

use crate::checkpoint::{Checkpoint, Skip};
use crate::offset::Offset;
use crate::protocol::content_type;

/// What positions inside a page count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Messages,
}

impl Unit {
    /// What positions in a stream of this content type count.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type::is_json(content_type) { Self::Messages } else { Self::Bytes }
    }

    fn skip(self, count: u64) -> Skip {
        match self {
            Self::Bytes => Skip::Bytes(count),
            Self::Messages => Skip::Messages(count),
        }
    }
}

/// The checkpoint `count` units after `from`, on the same page.
pub(super) fn advance(from: &Checkpoint, unit: Unit, count: u64) -> Checkpoint {
    let skip = match (unit, from.skip()) {
        (Unit::Bytes, Skip::Bytes(skip)) | (Unit::Messages, Skip::Messages(skip)) => skip,
        (Unit::Bytes | Unit::Messages, _) => 0,
    };
    Checkpoint::new(from.offset().clone(), unit.skip(skip + count))
}

/// How much of the current page has arrived, and how much of it was delivered to the consumer.
///
/// The two differ while a page is read again of which a part was delivered before: `arrived < delivered` until the rest of
/// that part has been skipped.
#[derive(Clone, Debug)]
pub(super) struct Position {
    /// The server's offset at which the current page begins.
    page_start: Offset,
    /// Units of the page that were skipped or delivered in this attempt to read it.
    arrived: u64,
    /// Units after `page_start` that an earlier attempt, or an earlier process, delivered.
    ///
    /// May exceed the page: the rest then lies in the pages after it.
    delivered: u64,
}

impl Position {
    /// The position of a checkpoint, and what its count counts, if it has one.
    pub(super) fn new(start: &Checkpoint) -> (Self, Option<Unit>) {
        let (delivered, unit) = match start.skip() {
            Skip::None => (0, None),
            Skip::Bytes(count) => (count, Some(Unit::Bytes)),
            Skip::Messages(count) => (count, Some(Unit::Messages)),
        };
        (Self { page_start: start.offset().clone(), arrived: 0, delivered }, unit)
    }

    pub(super) fn page_start(&self) -> &Offset {
        &self.page_start
    }

    /// How many of the units that arrive next were delivered before.
    #[inline]
    pub(super) fn to_skip(&self) -> u64 {
        self.delivered.saturating_sub(self.arrived)
    }

    /// Whether a page that begins here and ends elsewhere must have content. An empty stream may have any offset at its
    /// beginning, unless a part of it was delivered before; if it ends there, it was created again.
    pub(super) fn must_have_content(&self, up_to_date: bool) -> bool {
        self.page_start.is_concrete() || (self.to_skip() > 0 && !up_to_date)
    }

    /// `count` more units were skipped, or delivered.
    #[inline]
    pub(super) fn advance(&mut self, count: u64) {
        self.arrived += count;
    }

    /// The page is over, and the next one begins at `next`.
    pub(super) fn start_page(&mut self, next: Offset) {
        self.delivered = self.to_skip();
        self.arrived = 0;
        self.page_start = next;
    }

    /// The page was interrupted and will be read again from its start.
    pub(super) fn restart_page(&mut self) {
        self.delivered = self.delivered.max(self.arrived);
        self.arrived = 0;
    }

    /// The position `count` units before, on the same page.
    #[cfg(feature = "json")]
    pub(super) fn before(&self, count: u64) -> Self {
        Self { arrived: self.arrived.saturating_sub(count), ..self.clone() }
    }

    /// The position behind what was delivered.
    pub(super) fn checkpoint(&self, unit: Unit) -> Checkpoint {
        Checkpoint::new(self.page_start.clone(), unit.skip(self.arrived.max(self.delivered)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(start: &str) -> Position {
        Position::new(&start.parse().unwrap()).0
    }

    #[test]
    fn interrupted_page_is_skipped_up_to_the_interruption() {
        let mut position = position("a");
        position.advance(7);
        position.restart_page();
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "a,b7");
        assert_eq!(position.to_skip(), 7);
        position.advance(3);
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "a,b7");
        position.restart_page();
        position.advance(7);
        assert_eq!(position.to_skip(), 0);
        position.advance(1);
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a,m8");
        position.start_page(Offset::parse("b"));
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "b");
    }

    #[test]
    fn units_to_skip_may_reach_into_later_pages() {
        let mut position = position("-1,m10");
        position.advance(4);
        position.start_page(Offset::parse("b"));
        assert_eq!(position.to_skip(), 6);
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "b,m6");
    }
}
