use crate::checkpoint::Checkpoint;
use crate::checkpoint::Skip;
use crate::offset::Offset;

/// What a stream is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Messages,
}

impl Unit {
    fn skip(self, count: u64) -> Skip {
        match self {
            Self::Bytes => Skip::Bytes(count),
            Self::Messages => Skip::Messages(count),
        }
    }
}

/// How far the consumer has come, and how far what arrives now has.
///
/// The two differ only while a page is read again whose beginning was handed out before.
#[derive(Clone, Debug)]
pub(in crate::reader) struct Position {
    /// The server's offset that the page at hand begins at.
    base: Offset,
    /// How much of that page has gone by.
    passed: u64,
    /// How much after `base` was handed out already, by an earlier attempt or an earlier process.
    target: u64,
}

impl Position {
    pub(in crate::reader) fn new(base: Offset, target: u64) -> Self {
        Self { base, passed: 0, target }
    }

    pub(in crate::reader) fn base(&self) -> &Offset {
        &self.base
    }

    /// How much of what comes next was handed out before.
    #[inline]
    pub(in crate::reader) fn behind(&self) -> u64 {
        self.target.saturating_sub(self.passed)
    }

    /// `count` units went by: skipped, or handed out.
    #[inline]
    pub(in crate::reader) fn pass(&mut self, count: u64) {
        self.passed += count;
    }

    /// The page is over, and `next` is where the following one begins.
    pub(in crate::reader) fn turn(&mut self, next: Offset) {
        self.target = self.behind();
        self.passed = 0;
        self.base = next;
    }

    /// The page broke off: what was handed out of it will go by again.
    pub(in crate::reader) fn interrupt(&mut self) {
        self.target = self.target.max(self.passed);
        self.passed = 0;
    }

    /// The position `count` units before, on the same page.
    #[cfg(feature = "json")]
    pub(in crate::reader) fn before(&self, count: u64) -> Self {
        Self { passed: self.passed.saturating_sub(count), ..self.clone() }
    }

    pub(in crate::reader) fn checkpoint(&self, unit: Unit) -> Checkpoint {
        Checkpoint::new(self.base.clone(), unit.skip(self.passed.max(self.target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_page_is_skipped_up_to_where_it_broke() {
        let mut position = Position::new(Offset::parse("a"), 0);
        position.pass(7);
        position.interrupt();
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "a,b7");
        assert_eq!(position.behind(), 7);
        position.pass(3);
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "a,b7");
        position.interrupt();
        position.pass(7);
        assert_eq!(position.behind(), 0);
        position.pass(1);
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a,m8");
        position.turn(Offset::parse("b"));
        assert_eq!(position.checkpoint(Unit::Bytes).to_string(), "b");
    }

    #[test]
    fn what_is_to_skip_may_reach_into_later_pages() {
        let mut position = Position::new(Offset::Beginning, 10);
        position.pass(4);
        position.turn(Offset::parse("b"));
        assert_eq!(position.behind(), 6);
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "b,m6");
    }
}
