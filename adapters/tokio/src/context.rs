use durable_streams_contract::RuntimeError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// A handle to a runtime, and whether that runtime is still there.
///
/// tokio's timers and sockets panic when they are touched after the shutdown, and tokio does not report
/// that it has happened. A task that does nothing finds out: it is dropped before the drivers go.
#[derive(Clone, Debug)]
pub(crate) struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: Handle,
    lost: Arc<AtomicBool>,
    watcher: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

struct Watcher(Arc<AtomicBool>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Context {
    pub(crate) fn new(handle: Handle) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let watcher = Watcher(Arc::clone(&lost));
        let watcher = handle.spawn(async move {
            let _watcher = watcher;
            std::future::pending::<()>().await;
        });
        Self(Arc::new(Inner { watcher: watcher.abort_handle(), handle, lost }))
    }

    pub(crate) fn current() -> Result<Self, RuntimeError> {
        Handle::try_current().map(Self::new).map_err(|_| {
            RuntimeError::new(
                "there is no tokio runtime here: call this inside `#[tokio::main]`, `Runtime::block_on` or a spawned \
                 task, or pass a handle: `TokioRuntime::new(runtime.handle().clone())`",
            )
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// Whether the runtime has shut down, or lacks a driver.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }

    /// Runs `f` in the runtime's context; `None` where the runtime is not there, or cannot do it.
    pub(crate) fn run<X>(&self, f: impl FnOnce() -> X) -> Option<X> {
        if self.is_lost() {
            return None;
        }
        let _guard = self.0.handle.enter();
        // Reached by a shutdown in this very moment, or by a runtime without the driver that `f`
        // needs. What `f` worked on is given up by the caller.
        catch_unwind(AssertUnwindSafe(f)).ok()
    }
}
