//! The driver's timer, which also notices that the computer was suspended.

use crate::sync::lock;
use durable_streams_contract::{Sleep, Timer};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

/// How often a waiting reader looks at the clocks, to notice that the computer was suspended.
pub(super) const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// A timer that fires later than this means that the computer was suspended. A busy executor is not that late.
const SUSPEND_THRESHOLD: Duration = Duration::from_secs(10);
/// A consumer that is woken polls within this time, unless it does something else.
const PROMPT_POLL: Duration = Duration::from_secs(1);

/// One timer, and the clocks at the time it was set.
pub(super) struct Wakeup {
    sleep: Sleep,
    at: Instant,
    set_at: Instant,
    set_at_wall: SystemTime,
    firing: Arc<Firing>,
}

/// What the timer wakes. It notes when, because the consumer may poll much later.
struct Firing {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    state: Mutex<FiringState>,
}

#[derive(Default)]
struct FiringState {
    consumer: Option<Waker>,
    fired_at: Option<Instant>,
}

impl Wake for Firing {
    fn wake(self: Arc<Self>) {
        let now = (self.clock)();
        let consumer = {
            let mut state = lock(&self.state);
            state.fired_at.get_or_insert(now);
            state.consumer.take()
        };
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }
}

impl Wakeup {
    /// A timer for `at`. `clock` is the one that `now` and `at` come from.
    pub(super) fn new(
        timer: &impl Timer,
        now: Instant,
        at: Instant,
        clock: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        let sleep = timer.sleep(at.saturating_duration_since(now));
        let firing = Arc::new(Firing { clock: Box::new(clock), state: Mutex::default() });
        Self { sleep, at, set_at: now, set_at_wall: timer.wall_time(), firing }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Ready when it is due, or later.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let consumer = &mut lock(&self.firing.state).consumer;
            if consumer.as_ref().is_none_or(|consumer| !consumer.will_wake(cx.waker())) {
                *consumer = Some(cx.waker().clone());
            }
        }
        let waker = Waker::from(self.firing.clone());
        Pin::new(&mut self.sleep).poll(&mut Context::from_waker(&waker))
    }

    /// When it fired; `now` if it has not woken anybody, and is only found to be due.
    fn fired_at(&self, now: Instant) -> Instant {
        lock(&self.firing.state).fired_at.unwrap_or(now)
    }

    /// Whether it fired, and the consumer did something else for a while before it polled.
    pub(super) fn shows_absence(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.fired_at(now)) > PROMPT_POLL
    }

    /// Whether so much more time has passed than it was set for that the computer must have been suspended.
    pub(super) fn shows_suspension(&self, now: Instant, wall: SystemTime) -> bool {
        let elapsed = now.saturating_duration_since(self.set_at);
        // A wall clock that was set back counts as no time.
        let elapsed_wall = wall.duration_since(self.set_at_wall).unwrap_or_default();
        // On Linux the monotonic clock stops while the computer is suspended, and the wall clock continues.
        let lost = elapsed_wall.saturating_sub(elapsed);
        let late = self.fired_at(now).saturating_duration_since(self.at);
        late > SUSPEND_THRESHOLD || lost > SUSPEND_THRESHOLD
    }
}
