//! The driver's timer, which also notices that the computer was suspended.

use durable_streams_contract::{Sleep, Timer};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// How often a waiting reader looks at the clocks, to notice that the computer was suspended.
pub(super) const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// A timer that is later than this means that the computer was suspended. A busy executor is not that late.
const SUSPEND_THRESHOLD: Duration = Duration::from_secs(10);

/// One timer, and the clocks at the time it was set.
pub(super) struct Wakeup {
    sleep: Sleep,
    at: Instant,
    set_at: Instant,
    set_at_wall: SystemTime,
}

impl Wakeup {
    pub(super) fn new(timer: &impl Timer, now: Instant, at: Instant) -> Self {
        let sleep = timer.sleep(at.saturating_duration_since(now));
        Self { sleep, at, set_at: now, set_at_wall: timer.wall_time() }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Ready when it is due, or later.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.sleep).poll(cx)
    }

    /// Whether so much more time has passed than it was set for that the computer must have been suspended.
    pub(super) fn shows_suspension(&self, now: Instant, wall: SystemTime) -> bool {
        let elapsed = now.saturating_duration_since(self.set_at);
        // A wall clock that was set back counts as no time.
        let elapsed_wall = wall.duration_since(self.set_at_wall).unwrap_or_default();
        // On Linux the monotonic clock stops while the computer is suspended, and the wall clock continues.
        let lost = elapsed_wall.saturating_sub(elapsed);
        now.saturating_duration_since(self.at) > SUSPEND_THRESHOLD || lost > SUSPEND_THRESHOLD
    }
}
