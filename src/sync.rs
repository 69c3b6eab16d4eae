//! What only its owner reaches.

use std::sync::{Mutex, PoisonError};

/// A value that a shared reference to it cannot reach. So a reader may be borrowed across an `await` of a task
/// that moves between threads, though the body in it could not be shared.
pub(crate) struct Exclusive<T>(Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Never waits: the borrow shows that nobody else is there.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
