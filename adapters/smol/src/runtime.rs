use async_io::Timer as IoTimer;
use durable_streams_contract::{DefaultRuntime, Executor, RuntimeError, Sleep, Task, Timer};
use std::time::{Duration, Instant};

/// smol's global executor and async-io's timers, as [`Executor`] and [`Timer`].
///
/// Both are there from anywhere: the executor's threads (one, or as many as `SMOL_THREADS` says) and the
/// reactor's start when they are first needed.
///
/// ```
/// use durable_streams_contract::Timer;
/// use durable_streams_smol::SmolRuntime;
/// use std::time::Duration;
///
/// smol::block_on(SmolRuntime::new().sleep(Duration::from_millis(1)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolRuntime(());

impl SmolRuntime {
    /// The global runtime.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl DefaultRuntime for SmolRuntime {
    fn current() -> Result<Self, RuntimeError> {
        Ok(Self::new())
    }
}

impl Executor for SmolRuntime {
    fn spawn(&self, task: Task) {
        smol::spawn(task).detach();
    }
}

impl Timer for SmolRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let timer = Instant::now().checked_add(duration).map_or_else(IoTimer::never, IoTimer::at);
        Sleep::new(async move {
            timer.await;
        })
    }
}
