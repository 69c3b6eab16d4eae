use crate::core::Core;
use crate::sync::locked;
use durable_streams_contract::{Executor, Sleep, Task, Timer};
use futures_lite::future::poll_fn;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// The runtime of a simulated process: spawning, time, and chance by the world's seed.
///
/// Cheap to clone. A client that was given it works until the process is killed.
#[derive(Clone)]
pub struct SimRuntime {
    core: Arc<Core>,
    process: usize,
}

impl SimRuntime {
    pub(crate) fn new(core: Arc<Core>, process: usize) -> Self {
        Self { core, process }
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.core.now()
    }

    /// Spawns `future` on this runtime, and returns a handle to its output.
    pub fn start<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Spawned<T> {
        let state = Arc::new(Mutex::new(Completion::Running(None)));
        let report = Report(state.clone());
        self.core.spawn(
            self.process,
            Box::pin(async move {
                let output = future.await;
                report.settle(Completion::Done(output));
            }),
        );
        Spawned(state)
    }

    /// Runs `future` for at most `duration`; `None` if it was not ready by then, and is dropped.
    ///
    /// # Cancel safety
    ///
    /// As `future` is.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.core.sleep(Some(self.process), duration));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Adds a line to the world's trace, if it keeps one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.core.note(|| format!("[{}] {}", self.core.process_name(self.process), line()));
    }
}

impl Executor for SimRuntime {
    fn spawn(&self, task: Task) {
        self.core.spawn(self.process, Box::pin(task));
    }

    fn random(&self) -> u64 {
        self.core.random(self.process)
    }
}

impl Timer for SimRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.core.sleep(Some(self.process), duration))
    }

    fn now(&self) -> Instant {
        self.core.drift();
        self.core.instant()
    }

    fn wall_time(&self) -> SystemTime {
        self.core.wall()
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimRuntime(process {})", self.process)
    }
}

/// A process of the simulated world: an application that can crash, or whose computer can sleep.
///
/// Everything that runs on its [`runtime`](Self::runtime) belongs to it: a client's background tasks too.
///
/// ```
/// use durable_streams_sim::World;
/// use std::time::Duration;
///
/// let mut world = World::new(1);
/// let app = world.process("app");
/// let work = app.spawn(std::future::pending::<()>());
/// world.run(async {
///     app.kill();
///     assert!(work.await.is_err());
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Process(SimRuntime);

impl Process {
    pub(crate) fn new(runtime: SimRuntime) -> Self {
        Self(runtime)
    }

    /// What a client in this process runs on.
    #[must_use]
    pub fn runtime(&self) -> SimRuntime {
        self.0.clone()
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.core.process_name(self.0.process)
    }

    /// Starts `future` in this process.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Spawned<T> {
        self.0.start(future)
    }

    /// Ends it at once, as `kill -9` would: every task is dropped where it stands. Requests that have left
    /// may still arrive. A killed process never runs again; its successor is another one.
    pub fn kill(&self) {
        self.0.core.note(|| format!("[{}] is killed", self.name()));
        self.0.core.kill(self.0.process);
    }

    /// Whether it has not been killed.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.core.alive(self.0.process)
    }

    /// Its machine sleeps: nothing in it runs for `duration`, and when it wakes both clocks have jumped.
    pub fn freeze(&self, duration: Duration) {
        self.0.core.note(|| format!("[{}] sleeps for {duration:?}", self.name()));
        self.0.core.freeze(self.0.process, duration);
    }
}

/// The process was killed before its task came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated process was killed")
    }
}

impl std::error::Error for Killed {}

/// What a task comes to that [`Process::spawn`] or [`SimRuntime::start`] started. Dropping it does not cancel the task.
#[must_use = "the task's result is lost; drop it on purpose with `drop`"]
pub struct Spawned<T>(Arc<Mutex<Completion<T>>>);

enum Completion<T> {
    Running(Option<Waker>),
    Done(T),
    Killed,
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, Killed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = locked(&self.0);
        if let Completion::Running(waker) = &mut *state {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut *state, Completion::Killed) {
            Completion::Done(output) => Ok(output),
            _ => Err(Killed),
        })
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*locked(&self.0) {
            Completion::Running(_) => "Spawned(running)",
            Completion::Done(_) => "Spawned(done)",
            Completion::Killed => "Spawned(killed)",
        })
    }
}

/// Tells a [`Spawned`] how its task ended, also where it is dropped half-way.
struct Report<T>(Arc<Mutex<Completion<T>>>);

impl<T> Report<T> {
    fn settle(&self, outcome: Completion<T>) {
        let mut state = locked(&self.0);
        if let Completion::Running(waker) = &mut *state {
            let waker = waker.take();
            *state = outcome;
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        self.settle(Completion::Killed);
    }
}
