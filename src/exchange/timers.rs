//! Deadlines that are nearly always met, without a new timer for each.
//!
//! Setting a timer may wake the thread that drives the runtime's clock, which costs more than everything else that the
//! client adds to a small request. So the timer of a deadline that was met is kept, and watches over a later request:
//! it fires early there, and is then replaced by one for the time that is left.

use crate::sync::lock;
use durable_streams_contract::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// How many idle timers are kept. So many concurrent requests need no new timer.
const MAX_IDLE_TIMERS: usize = 8;

/// Idle timers that are still running, each with the time at which it fires.
#[derive(Default)]
pub(super) struct TimerPool(Mutex<Vec<(Instant, Sleep)>>);

impl TimerPool {
    /// The output of `work`, or `None` if it takes longer than `limit`.
    pub(super) async fn timeout<O>(
        &self,
        timer: &impl Timer,
        limit: Duration,
        work: impl Future<Output = O>,
    ) -> Option<O> {
        let mut running = None;
        let expired = async {
            // `or` polls `work` first, so nothing here runs for work that is ready at once.
            let mut now = timer.now();
            let Some(deadline) = now.checked_add(limit) else {
                // The deadline lies beyond what an `Instant` can hold: it never comes.
                return std::future::pending().await;
            };
            // A timer from the pool may fire before the deadline.
            while now < deadline {
                let (_, sleep) = running.insert(self.take(timer, now, deadline));
                sleep.await;
                running = None;
                now = timer.now();
            }
            None
        };
        let output = futures_lite::future::or(async { Some(work.await) }, expired).await;
        if let (Some(sleep), Some(_)) = (running, &output) {
            self.put_back(sleep);
        }
        output
    }

    /// A timer that fires at `deadline` or earlier.
    fn take(&self, timer: &impl Timer, now: Instant, deadline: Instant) -> (Instant, Sleep) {
        let idle = {
            let mut idle = lock(&self.0);
            idle.retain(|(at, _)| *at > now);
            idle.iter().position(|(at, _)| *at <= deadline).map(|index| idle.swap_remove(index))
        };
        idle.unwrap_or_else(|| (deadline, timer.sleep(deadline.saturating_duration_since(now))))
    }

    fn put_back(&self, (at, mut sleep): (Instant, Sleep)) {
        // This poll replaces the waker of the task that waited, so that the timer neither keeps nor wakes that task.
        if Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            let mut idle = lock(&self.0);
            if idle.len() < MAX_IDLE_TIMERS {
                idle.push((at, sleep));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, yield_now};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::task::Poll;

    /// A clock that advances by a millisecond whenever a sleep is polled.
    #[derive(Clone)]
    struct Clock(Arc<(Instant, AtomicU64, AtomicUsize)>);

    impl Clock {
        fn new() -> Self {
            Self(Arc::new((Instant::now(), AtomicU64::new(0), AtomicUsize::new(0))))
        }

        fn sleeps(&self) -> usize {
            self.0.2.load(Ordering::Relaxed)
        }
    }

    impl Timer for Clock {
        fn sleep(&self, duration: Duration) -> Sleep {
            self.0.2.fetch_add(1, Ordering::Relaxed);
            let (clock, due) = (self.clone(), self.now() + duration);
            Sleep::new(std::future::poll_fn(move |cx| {
                clock.0.1.fetch_add(1, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                if clock.now() >= due { Poll::Ready(()) } else { Poll::Pending }
            }))
        }

        fn now(&self) -> Instant {
            self.0.0 + Duration::from_millis(self.0.1.load(Ordering::Relaxed))
        }
    }

    async fn yield_times(turns: usize) -> usize {
        for _ in 0..turns {
            yield_now().await;
        }
        turns
    }

    #[test]
    fn thousand_short_tasks_share_few_timers_and_long_task_times_out() {
        let (clock, timers) = (Clock::new(), TimerPool::default());
        let limit = Duration::from_millis(100);
        for _ in 0..1000 {
            assert_eq!(block_on(timers.timeout(&clock, limit, yield_times(3))), Some(3));
        }
        assert!((10..=100).contains(&clock.sleeps()), "{} timers", clock.sleeps());

        let start = clock.now();
        assert_eq!(block_on(timers.timeout(&clock, limit, yield_times(1000))), None);
        let took = clock.now() - start;
        assert!((limit..limit + Duration::from_millis(10)).contains(&took), "{took:?}");
    }

    #[test]
    fn ready_task_needs_no_timer_and_shorter_limit_is_kept() {
        let (clock, timers) = (Clock::new(), TimerPool::default());
        assert_eq!(block_on(timers.timeout(&clock, Duration::from_secs(1), async { 7 })), Some(7));
        assert_eq!(clock.sleeps(), 0);

        // An idle timer of a long limit is not used for a shorter one.
        block_on(timers.timeout(&clock, Duration::from_secs(9), yield_times(2)));
        let start = clock.now();
        assert_eq!(block_on(timers.timeout(&clock, Duration::from_millis(20), yield_times(1000))), None);
        assert!(clock.now() - start < Duration::from_millis(30));
        assert_eq!(block_on(timers.timeout(&clock, Duration::MAX, yield_times(1000))), Some(1000));
    }
}
