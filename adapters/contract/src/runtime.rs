use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// A unit of work for an [`Executor`]: a future without a result, which runs on its own.
#[must_use = "a task does nothing until it is polled"]
pub struct Task(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Task {
    /// A task that runs `future`.
    pub fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// A future that is ready once its time has come. Dropping it cancels the timer.
#[must_use = "a sleep does nothing until it is polled"]
pub struct Sleep(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Sleep {
    /// A sleep that ends when `future` does.
    pub fn new(future: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}

/// Runs tasks in the background.
///
/// The client spawns one task for each producer and for each prefetching reader, nothing else.
///
/// # What an implementation must do
///
/// - The task runs to its end, detached: no handle is kept. Where the runtime shuts down, it is
///   dropped.
/// - `spawn` may be called from any thread, inside the runtime's context or not, and never panics.
pub trait Executor: Send + Sync + 'static {
    /// Starts `task`.
    fn spawn(&self, task: Task);

    /// 64 random bits, for jitter; they need not be secret. A simulated world overrides this with its seed.
    fn random(&self) -> u64 {
        // Each `RandomState` has a key of its own, and its seed comes from the operating system.
        RandomState::new().hash_one(())
    }
}

/// Tells and waits for time.
///
/// # What an implementation must do
///
/// - `sleep` may be called from any thread, inside the runtime's context or not, and never panics; so
///   may the future be polled.
/// - It is ready no earlier than `duration` from now, and a duration too long to count never ends.
/// - A waker that it calls may ask for the time: no lock is held then that `now` or `wall_time` takes.
pub trait Timer: Send + Sync + 'static {
    /// A future that is ready after `duration`.
    fn sleep(&self, duration: Duration) -> Sleep;

    /// The monotonic clock.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// The wall clock, to which a server's dates are compared.
    fn wall_time(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// An [`Executor`] that is a [`Timer`] too. Implemented for every type that is both.
pub trait Runtime: Executor + Timer {}

impl<R: Executor + Timer + ?Sized> Runtime for R {}

/// A runtime that can be found from where the code runs: what `Client::builder()` uses.
#[diagnostic::on_unimplemented(
    message = "a client cannot find `{Self}` by itself",
    note = "name a stack: `durable_streams::tokio::Client::builder()`, or the one of `async_std` or `smol`, with its feature enabled",
    note = "or bring your own transport and runtime: `ClientBuilder::new(transport, runtime)`"
)]
pub trait DefaultRuntime: Runtime + Sized {
    /// The runtime of the code that calls this.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if there is none, with what to do about it.
    fn current() -> Result<Self, RuntimeError>;
}

/// No runtime was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeError(String);

impl RuntimeError {
    /// An error that says what is missing and how to provide it.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for RuntimeError {}

/// Any runtime, as a trait object: the default type parameter of the client's types.
#[derive(Clone)]
pub struct AnyRuntime(Arc<dyn Runtime>);

impl AnyRuntime {
    /// Erases the type of `runtime`.
    pub fn new(runtime: impl Runtime) -> Self {
        Self(Arc::new(runtime))
    }
}

impl fmt::Debug for AnyRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyRuntime")
    }
}

impl Executor for AnyRuntime {
    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

impl Timer for AnyRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall_time(&self) -> SystemTime {
        self.0.wall_time()
    }
}

impl<X: Executor + ?Sized> Executor for Arc<X> {
    fn spawn(&self, task: Task) {
        (**self).spawn(task);
    }

    fn random(&self) -> u64 {
        (**self).random()
    }
}

impl<X: Timer + ?Sized> Timer for Arc<X> {
    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }

    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wall_time(&self) -> SystemTime {
        (**self).wall_time()
    }
}
