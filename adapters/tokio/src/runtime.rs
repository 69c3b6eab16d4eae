use crate::context::Context;
use crate::sync::lock;
use durable_streams_contract::{DefaultRuntime, Executor, RuntimeError, Sleep, Task, Timer};
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// tokio as [`Executor`] and [`Timer`].
///
/// Tasks run in the runtime of the handle, wherever [`spawn`](Executor::spawn) is called; after its
/// shutdown they are dropped. Sleeps need the runtime's time driver. Where it is missing, or has shut down,
/// a thread waits in its place, so that nothing hangs and nothing comes early.
///
/// There is no `Default`: a runtime is either the one that this code runs in, or named.
///
/// ```
/// use durable_streams_tokio::TokioRuntime;
///
/// let tokio = tokio::runtime::Runtime::new()?;
/// let runtime = TokioRuntime::new(tokio.handle().clone());
/// assert!(TokioRuntime::current().is_err(), "not inside of it");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    context: Context,
}

impl TokioRuntime {
    /// The runtime of `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { context: Context::new(handle) }
    }

    /// The runtime that the caller runs in.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] outside of any tokio runtime.
    pub fn current() -> Result<Self, RuntimeError> {
        Context::current().map(|context| Self { context })
    }

    /// The handle to the runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.context.handle()
    }
}

impl DefaultRuntime for TokioRuntime {
    fn current() -> Result<Self, RuntimeError> {
        Self::current()
    }
}

impl Executor for TokioRuntime {
    fn spawn(&self, task: Task) {
        // Detached by dropping the join handle; after a shutdown tokio drops the task itself.
        drop(self.context.handle().spawn(task));
    }
}

impl Timer for TokioRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let context = self.context.clone();
        match self.now().checked_add(duration) {
            Some(deadline) => Sleep::new(sleep_until(context, deadline)),
            None => Sleep::new(std::future::pending()),
        }
    }

    fn now(&self) -> Instant {
        // tokio's own clock, which a test may have paused.
        self.context.run(|| tokio::time::Instant::now().into_std()).unwrap_or_else(Instant::now)
    }
}

async fn sleep_until(context: Context, deadline: Instant) {
    let mut timer = None;
    let mut thread = None;
    poll_fn(|cx| {
        if thread.is_none() {
            let poll = context.run(|| {
                let start = || Box::pin(tokio::time::sleep_until(deadline.into()));
                timer.get_or_insert_with(start).as_mut().poll(cx)
            });
            match poll {
                Some(poll) => return poll,
                None => timer = None,
            }
        }
        thread.get_or_insert_with(|| ThreadTimer::start(deadline)).poll(deadline, cx.waker())
    })
    .await;
}

/// Waits on a thread of its own.
struct ThreadTimer(Arc<Mutex<Option<Waker>>>);

impl ThreadTimer {
    fn start(deadline: Instant) -> Self {
        let slot = Arc::new(Mutex::new(None::<Waker>));
        let shared = Arc::downgrade(&slot);
        let thread = std::thread::Builder::new().name("durable-streams-sleep".to_owned()).spawn(move || {
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            if let Some(slot) = shared.upgrade()
                && let Some(waker) = lock(&slot).take()
            {
                waker.wake();
            }
        });
        // Without a thread each poll asks for the next one: dear, but neither early nor stuck.
        Self(if thread.is_ok() { slot } else { Arc::default() })
    }

    fn poll(&self, deadline: Instant, waker: &Waker) -> Poll<()> {
        let mut slot = lock(&self.0);
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        *slot = Some(waker.clone());
        if Arc::weak_count(&self.0) == 0 {
            waker.wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use tokio::runtime::Builder;

    #[test]
    fn sleep_ends_after_its_runtime_was_dropped() {
        let tokio = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let start = Instant::now();
        let mut before = runtime.sleep(Duration::from_millis(200));
        block_on(async {
            assert!(futures_lite::future::poll_once(&mut before).await.is_none());
            drop(tokio);
            runtime.sleep(Duration::from_millis(50)).await;
            before.await;
        });
        assert!(start.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn spawn_after_the_shutdown_drops_the_task() {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        drop(tokio);
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        runtime.spawn(Task::new(async move {
            let _inner = inner;
            std::future::pending::<()>().await;
        }));
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn sleep_works_without_the_time_driver() {
        let tokio = Builder::new_current_thread().build().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let start = Instant::now();
        block_on(runtime.sleep(Duration::from_millis(30)));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn outside_of_a_runtime_the_error_says_what_to_do() {
        let error = TokioRuntime::current().unwrap_err().to_string();
        assert!(error.contains("#[tokio::main]") && error.contains("TokioRuntime::new"), "{error}");
    }
}
