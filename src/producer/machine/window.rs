//! How many batches may be in flight.

/// Grows with acknowledgements and shrinks with gaps, between one and a limit.
///
/// Requests on several connections may overtake one another. The server refuses the one that arrives too early, and it
/// is sent twice. On such a path fewer batches in flight are faster; on others more of them hide the latency.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    size: usize,
    /// Before the first gap every acknowledgement widens the window.
    starting: bool,
    /// Acknowledgements since the last change.
    clean: u32,
    /// How many of them it takes to try a wider window. Doubles with each gap.
    needed: u32,
}

/// Acknowledgements after the first gap before a wider window is tried.
const FIRST_NEEDED: u32 = 16;
const MAX_NEEDED: u32 = 4096;

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, size: 1, starting: true, clean: 0, needed: FIRST_NEEDED }
    }

    /// A window that has already grown.
    #[cfg(test)]
    pub(super) fn opened(size: usize, limit: usize) -> Self {
        Self { size, ..Self::new(limit) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A batch was acknowledged. `was_full` says whether the window prevented more from being in flight: if it did
    /// not, a wider one would not help.
    pub(super) fn acknowledged(&mut self, was_full: bool) {
        // A window that was not full proves nothing about a wider one.
        if !was_full || self.size >= self.limit {
            return;
        }
        self.clean += 1;
        // Slow start: one step for each acknowledgement. After the first gap, one step for `needed` of them.
        if self.starting || self.clean >= self.needed {
            self.size += 1;
            self.clean = 0;
        }
    }

    /// Halves the window: a batch overtook an earlier one, or did not arrive in time.
    pub(super) fn shrink(&mut self) {
        self.size = (self.size / 2).max(1);
        if !self.starting {
            // Each failed attempt at a wider window makes the next one rarer.
            self.needed = (self.needed * 2).min(MAX_NEEDED);
        }
        self.starting = false;
        self.clean = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_grows_with_each_acknowledgement_until_the_first_gap() {
        let mut window = Window::new(5);
        for _ in 0..10 {
            window.acknowledged(true);
        }
        assert_eq!(window.size(), 5);
        for _ in 0..4 {
            window.shrink();
        }
        assert_eq!(window.size(), 1);
        window.shrink();
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn wider_window_is_tried_less_often_after_each_gap() {
        let mut window = Window::new(5);
        window.acknowledged(true);
        let mut tries = 0;
        for _ in 0..10_000 {
            window.acknowledged(true);
            if window.size() > 1 {
                tries += 1;
                window.shrink();
                window.size = 1;
            }
        }
        assert!((3..12).contains(&tries), "{tries}");
    }

    #[test]
    fn window_that_is_not_full_does_not_grow() {
        let mut window = Window::new(5);
        for _ in 0..1000 {
            window.acknowledged(false);
        }
        assert_eq!(window.size(), 1);
    }
}
