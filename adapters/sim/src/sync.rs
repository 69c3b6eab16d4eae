//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. A world is one thread: a poisoned lock means that a task panicked, which the caller of
/// `run` is being told.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
