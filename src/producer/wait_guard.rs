//! Removes a task from the waiters when its future is dropped.

use super::shared::Shared;
use std::task::Waker;

/// What a task waits for.
#[derive(Clone, Copy)]
pub(super) enum Waiting {
    Room,
    Flushes,
}

/// A waiting task. Dropping it removes the task from the waiters.
pub(super) struct WaitGuard<'a> {
    shared: &'a Shared,
    waiting: Waiting,
    pub(super) ticket: Option<u64>,
}

impl<'a> WaitGuard<'a> {
    pub(super) fn new(shared: &'a Shared, waiting: Waiting) -> Self {
        Self { shared, waiting, ticket: None }
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let wakers = {
            let mut state = self.shared.lock();
            // Without this, a dropped future would keep its place, and block all waiting tasks behind it.
            match self.waiting {
                Waiting::Flushes => {
                    state.flushes.leave(ticket);
                    Vec::new()
                }
                Waiting::Room => {
                    state.room.leave(ticket);
                    // It may have blocked tasks behind it, or have been woken in their place.
                    state.room_wakers()
                }
            }
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}
