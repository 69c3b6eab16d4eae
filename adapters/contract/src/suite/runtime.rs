//! What an executor and a timer must do.

use super::stack::{CheckResult, Stack, drop_after, ensure, spawn, within};
use crate::{AnyRuntime, Executor, Sleep, Task, Timer};
use futures_lite::future::{block_on, poll_once};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

pub(crate) async fn sleep_never_ends_early(stack: Arc<Stack>) -> CheckResult {
    for millis in [0, 1, 2, 5, 10, 25, 50, 100, 250] {
        let duration = Duration::from_millis(millis);
        let start = Instant::now();
        stack.runtime().sleep(duration).await;
        let took = start.elapsed();
        ensure!(took >= duration, "a sleep of {duration:?} took {took:?}");
        ensure!(took < duration + Duration::from_secs(2), "a sleep of {duration:?} took {took:?}");
    }
    let duration = Duration::from_micros(1500);
    let start = Instant::now();
    stack.runtime().sleep(duration).await;
    ensure!(start.elapsed() >= duration, "a sleep of {duration:?} took {:?}", start.elapsed());
    Ok(())
}

/// The time counts from the call, not from the first poll.
pub(crate) async fn sleep_counts_from_its_call(stack: Arc<Stack>) -> CheckResult {
    let sleep = stack.runtime().sleep(Duration::from_millis(100));
    std::thread::sleep(Duration::from_millis(150));
    let start = Instant::now();
    sleep.await;
    ensure!(
        start.elapsed() < Duration::from_millis(90),
        "it counts from its first poll: {:?}",
        start.elapsed()
    );
    Ok(())
}

pub(crate) async fn sleep_beyond_the_clock_never_ends(stack: Arc<Stack>) -> CheckResult {
    for duration in
        [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(u64::from(u32::MAX) * 100)]
    {
        let sleep = stack.runtime().sleep(duration);
        let ended = drop_after(stack.runtime(), Duration::from_millis(30), sleep).await.is_some();
        ensure!(!ended, "a sleep of {duration:?} ended");
    }
    Ok(())
}

/// Asks for the time when it is woken, and passes the wake on.
struct AskingWaker {
    runtime: AnyRuntime,
    task: Waker,
    asked: AtomicBool,
}

impl Wake for AskingWaker {
    fn wake(self: Arc<Self>) {
        // A timer that holds a lock of its clock here would wait for itself.
        let _: (Instant, SystemTime) = (self.runtime.now(), self.runtime.wall_time());
        self.asked.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

pub(crate) async fn waker_of_a_sleep_may_ask_for_the_time(stack: Arc<Stack>) -> CheckResult {
    let mut sleep = stack.runtime().sleep(Duration::from_millis(20));
    let mut waker: Option<Arc<AskingWaker>> = None;
    let woken = poll_fn(|cx| {
        let asking = waker.get_or_insert_with(|| {
            let (runtime, task) = (stack.runtime().clone(), cx.waker().clone());
            Arc::new(AskingWaker { runtime, task, asked: AtomicBool::new(false) })
        });
        let waker = Waker::from(Arc::clone(asking));
        Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker))
    });
    within(stack.runtime(), Duration::from_secs(10), "a sleep of 20 ms", woken).await?;
    let asked = waker.is_some_and(|waker| waker.asked.load(Ordering::Acquire));
    ensure!(asked, "the sleep ended without a wake");
    Ok(())
}

pub(crate) async fn dropped_sleep_has_no_effect(stack: Arc<Stack>) -> CheckResult {
    for _ in 0..200 {
        let mut sleep = stack.runtime().sleep(Duration::from_secs(3600));
        ensure!(poll_once(&mut sleep).await.is_none(), "a sleep of an hour was ready at once");
    }
    stack.runtime().sleep(Duration::from_millis(1)).await;
    Ok(())
}

pub(crate) async fn many_sleeps_run_concurrently(stack: Arc<Stack>) -> CheckResult {
    const COUNT: usize = 500;
    let ended = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    for n in 0..COUNT {
        let ended = Arc::clone(&ended);
        let sleep = stack.runtime().sleep(Duration::from_millis(100 + (n % 50) as u64));
        spawn(&stack, async move {
            sleep.await;
            ended.fetch_add(1, Ordering::AcqRel);
        });
    }
    stack.until("500 sleeps of 0.15 s end", || ended.load(Ordering::Acquire) == COUNT).await?;
    ensure!(start.elapsed() < Duration::from_secs(3), "500 sleeps of 0.15 s took {:?}", start.elapsed());
    Ok(())
}

/// Made and polled where no runtime is, and moved between threads after its first poll.
pub(crate) async fn sleep_works_outside_the_runtime(stack: Arc<Stack>) -> CheckResult {
    let duration = Duration::from_millis(50);
    let runtime = stack.runtime().clone();
    let start = Instant::now();
    let thread = std::thread::spawn(move || -> Sleep {
        block_on(runtime.sleep(duration));
        let mut moved = runtime.sleep(duration);
        assert!(block_on(poll_once(&mut moved)).is_none(), "a sleep was ready at once");
        moved
    });
    stack.until("a sleep ends in a plain thread", || thread.is_finished()).await?;
    let moved = thread.join().map_err(|_| "a sleep panicked in a plain thread".to_owned())?;
    within(stack.runtime(), Duration::from_secs(5), "a sleep that was moved", moved).await?;
    ensure!(start.elapsed() >= 2 * duration, "two sleeps of {duration:?} took {:?}", start.elapsed());
    Ok(())
}

pub(crate) async fn task_runs_detached(stack: Arc<Stack>) -> CheckResult {
    let done = Arc::new(AtomicBool::new(false));
    let (flag, runtime) = (Arc::clone(&done), stack.runtime().clone());
    stack.runtime().spawn(Task::new(async move {
        for _ in 0..5 {
            runtime.sleep(Duration::from_millis(5)).await;
        }
        flag.store(true, Ordering::Release);
    }));
    stack.until("a spawned task ends", || done.load(Ordering::Acquire)).await
}

pub(crate) async fn task_is_spawned_from_any_thread(stack: Arc<Stack>) -> CheckResult {
    const COUNT: usize = 1000;
    let done = Arc::new(AtomicUsize::new(0));
    let (count, runtime) = (Arc::clone(&done), stack.runtime().clone());
    let thread = std::thread::spawn(move || {
        for _ in 0..COUNT {
            let count = Arc::clone(&count);
            runtime.spawn(Task::new(async move {
                count.fetch_add(1, Ordering::AcqRel);
            }));
        }
    });
    stack.until("1000 tasks from a plain thread end", || done.load(Ordering::Acquire) == COUNT).await?;
    thread.join().map_err(|_| "spawning panicked in a plain thread".to_owned())
}

pub(crate) async fn task_may_spawn_and_be_dropped(stack: Arc<Stack>) -> CheckResult {
    let done = Arc::new(AtomicUsize::new(0));
    let (count, runtime) = (Arc::clone(&done), stack.runtime().clone());
    spawn(&stack, async move {
        for _ in 0..10 {
            let count = Arc::clone(&count);
            runtime.spawn(Task::new(async move {
                count.fetch_add(1, Ordering::AcqRel);
            }));
        }
    });
    drop(Task::new(std::future::pending()));
    stack.until("tasks of a task end", || done.load(Ordering::Acquire) == 10).await
}

pub(crate) async fn clock_never_goes_back(stack: Arc<Stack>) -> CheckResult {
    let before = stack.runtime().now();
    stack.runtime().sleep(Duration::from_millis(20)).await;
    let passed = stack.runtime().now().duration_since(before);
    ensure!(passed >= Duration::from_millis(20), "a sleep of 20 ms moved the clock by {passed:?}");
    let wall = stack.runtime().wall_time().duration_since(std::time::UNIX_EPOCH);
    ensure!(wall.as_ref().is_ok_and(|wall| wall.as_secs() > 1_700_000_000), "the wall clock says {wall:?}");
    Ok(())
}

pub(crate) async fn random_numbers_are_distinct(stack: Arc<Stack>) -> CheckResult {
    let drawn: HashSet<u64> = (0..1000).map(|_| stack.runtime().random()).collect();
    ensure!(drawn.len() == 1000, "{} different numbers of 1000", drawn.len());
    let ones: u32 = drawn.iter().map(|number| number.count_ones()).sum();
    ensure!((31_000..33_000).contains(&ones), "{ones} one-bits of 64000");
    Ok(())
}
