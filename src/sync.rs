//! Small tools for shared state.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a thread panicked while it held the lock.
///
/// The library's critical sections leave the value consistent at every step, so the value of a poisoned lock is usable.
/// To panic instead would turn one failed task into a failure of every task that shares the client.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value that only `&mut` reaches, which makes it `Sync`.
///
/// A reader holds a response body, which is `Send` but not `Sync`. In this wrapper the reader may be borrowed across an
/// `await` in a task that moves between threads.
pub(crate) struct Exclusive<T>(Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value. Never waits: `&mut` proves that there is no other borrow.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
