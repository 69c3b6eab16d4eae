//! How many batches may travel at once.

/// Grows with acknowledgements, shrinks with gaps, between one and a limit.
///
/// Bodies on several connections overtake one another: the server refuses the later one, and it is sent twice. Where
/// that happens, fewer at once are faster; where it does not, more hide the distance.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    size: usize,
    /// Until the first gap every acknowledgement widens it.
    starting: bool,
    /// Clean acknowledgements since the last change, and how many it takes to try a wider one.
    clean: u32,
    needed: u32,
}

/// Clean acknowledgements before a wider window is tried for the first time.
const PATIENCE: u32 = 16;
const MAX_PATIENCE: u32 = 4096;

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, size: 1, starting: true, clean: 0, needed: PATIENCE }
    }

    /// One that has grown already.
    #[cfg(test)]
    pub(super) fn opened(size: usize, limit: usize) -> Self {
        Self { size, ..Self::new(limit) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A batch was acknowledged; `full` says whether the window was in the way of more.
    pub(super) fn acknowledged(&mut self, full: bool) {
        if !full || self.size >= self.limit {
            return;
        }
        self.clean += 1;
        if self.starting || self.clean >= self.needed {
            self.size += 1;
            self.clean = 0;
        }
    }

    /// A batch overtook another that was sent before it, or one did not arrive in time.
    pub(super) fn gap(&mut self) {
        self.size = (self.size / 2).max(1);
        if !self.starting {
            self.needed = (self.needed * 2).min(MAX_PATIENCE);
        }
        self.starting = false;
        self.clean = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_each_acknowledgement_until_the_first_gap() {
        let mut window = Window::new(5);
        for _ in 0..10 {
            window.acknowledged(true);
        }
        assert_eq!(window.size(), 5);
        for _ in 0..4 {
            window.gap();
        }
        assert_eq!(window.size(), 1);
        window.gap();
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn tries_a_wider_one_ever_more_rarely_where_that_fails() {
        let mut window = Window::new(5);
        window.acknowledged(true);
        let mut tries = 0;
        for _ in 0..10_000 {
            window.acknowledged(true);
            if window.size() > 1 {
                tries += 1;
                window.gap();
                window.size = 1;
            }
        }
        assert!((3..12).contains(&tries), "{tries}");
    }

    #[test]
    fn does_not_grow_where_it_is_not_in_the_way() {
        let mut window = Window::new(5);
        for _ in 0..1000 {
            window.acknowledged(false);
        }
        assert_eq!(window.size(), 1);
    }
}
