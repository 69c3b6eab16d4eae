use async_std::task;
use durable_streams_contract::{DefaultRuntime, Executor, RuntimeError, Sleep, Task, Timer};
use std::time::{Duration, Instant};

/// async-std's global executor and timers, as [`Executor`] and [`Timer`].
///
/// They are there from anywhere: the executor's threads start when they are first needed.
///
/// ```
/// use durable_streams_async_std::AsyncStdRuntime;
/// use durable_streams_contract::Timer;
/// use std::time::Duration;
///
/// async_std::task::block_on(AsyncStdRuntime::new().sleep(Duration::from_millis(1)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStdRuntime(());

impl AsyncStdRuntime {
    /// The global runtime.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl DefaultRuntime for AsyncStdRuntime {
    fn current() -> Result<Self, RuntimeError> {
        Ok(Self::new())
    }
}

impl Executor for AsyncStdRuntime {
    fn spawn(&self, task: Task) {
        // Detached by dropping the join handle.
        drop(task::spawn(task));
    }
}

impl Timer for AsyncStdRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        match Instant::now().checked_add(duration) {
            // async-std counts from the first poll.
            Some(deadline) => Sleep::new(async move {
                task::sleep(deadline.saturating_duration_since(Instant::now())).await;
            }),
            None => Sleep::new(std::future::pending()),
        }
    }
}
