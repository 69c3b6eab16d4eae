//! Where a read begins.

/// Where a read begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) position: usize,
    /// It was asked for as `now`.
    pub(super) now: bool,
    /// It was asked for as `-1`, or not at all.
    pub(super) beginning: bool,
}

impl Start {
    /// How an entity tag names it.
    pub(super) fn name(self, literal: bool) -> String {
        match (self.beginning, self.now) {
            (true, _) if literal => "-1".to_owned(),
            (_, true) if literal => "now".to_owned(),
            _ => self.position.to_string(),
        }
    }
}
