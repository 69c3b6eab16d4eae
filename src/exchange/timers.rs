//! Deadlines that are nearly always met, without a new timer for each.
//!
//! Setting a timer may wake the thread that drives the runtime's clock, which costs more than all else that the
//! client adds to a small request. So a timer whose deadline was met is kept, and watches over the next request: it
//! goes off early there, and is then set again for what is left.

use durable_streams_contract::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// How many are kept: as many requests at once go without a new one.
const MOST: usize = 8;

/// Timers that are running, each with when it goes off.
#[derive(Default)]
pub(crate) struct Alarms(Mutex<Vec<(Instant, Sleep)>>);

impl Alarms {
    /// The output of `work`, or `None` where it took longer than `limit`.
    pub(crate) async fn within<O>(
        &self,
        timer: &impl Timer,
        limit: Duration,
        work: impl Future<Output = O>,
    ) -> Option<O> {
        let mut alarm = None;
        let expired = async {
            // Not before the work was found to take time at all.
            let mut now = timer.now();
            let Some(due) = now.checked_add(limit) else {
                // A limit too long to count never comes.
                return std::future::pending().await;
            };
            while now < due {
                let (_, sleep) = alarm.insert(self.take(timer, now, due));
                sleep.await;
                alarm = None;
                now = timer.now();
            }
            None
        };
        let output = futures_lite::future::or(async { Some(work.await) }, expired).await;
        if let (Some(alarm), Some(_)) = (alarm, &output) {
            self.keep(alarm);
        }
        output
    }

    /// One that goes off at `due` or before.
    fn take(&self, timer: &impl Timer, now: Instant, due: Instant) -> (Instant, Sleep) {
        let kept = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(at, _)| *at > now);
            kept.iter().position(|(at, _)| *at <= due).map(|index| kept.swap_remove(index))
        };
        kept.unwrap_or_else(|| (due, timer.sleep(due.saturating_duration_since(now))))
    }

    fn keep(&self, (at, mut sleep): (Instant, Sleep)) {
        // It would hold the task that waited on it, and wake it.
        if Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MOST {
                kept.push((at, sleep));
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

    /// A clock that moves a millisecond whenever a sleep is polled.
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

    async fn take_turns(turns: usize) -> usize {
        for _ in 0..turns {
            yield_now().await;
        }
        turns
    }

    #[test]
    fn many_short_works_need_few_timers_and_a_long_one_is_cut_in_time() {
        let (clock, alarms) = (Clock::new(), Alarms::default());
        let limit = Duration::from_millis(100);
        for _ in 0..1000 {
            assert_eq!(block_on(alarms.within(&clock, limit, take_turns(3))), Some(3));
        }
        assert!((10..=100).contains(&clock.sleeps()), "{} timers", clock.sleeps());

        let start = clock.now();
        assert_eq!(block_on(alarms.within(&clock, limit, take_turns(1000))), None);
        let took = clock.now() - start;
        assert!((limit..limit + Duration::from_millis(10)).contains(&took), "{took:?}");
    }

    #[test]
    fn work_that_is_ready_at_once_needs_none_and_a_shorter_limit_holds() {
        let (clock, alarms) = (Clock::new(), Alarms::default());
        assert_eq!(block_on(alarms.within(&clock, Duration::from_secs(1), async { 7 })), Some(7));
        assert_eq!(clock.sleeps(), 0);

        // What is left of a long limit does not stand in for a short one.
        block_on(alarms.within(&clock, Duration::from_secs(9), take_turns(2)));
        let start = clock.now();
        assert_eq!(block_on(alarms.within(&clock, Duration::from_millis(20), take_turns(1000))), None);
        assert!(clock.now() - start < Duration::from_millis(30));
        assert_eq!(block_on(alarms.within(&clock, Duration::MAX, take_turns(1000))), Some(1000));
    }
}
