use super::shared::Shared;
use std::task::Waker;

/// What a task waits for.
#[derive(Clone, Copy)]
pub(super) enum Waiting {
    Room,
    Flushes,
}

/// A task's place among those who wait, given up when its future is dropped.
pub(super) struct Place<'a> {
    shared: &'a Shared,
    waiting: Waiting,
    pub(super) ticket: Option<u64>,
}

impl<'a> Place<'a> {
    pub(super) fn new(shared: &'a Shared, waiting: Waiting) -> Self {
        Self { shared, waiting, ticket: None }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let wakers = {
            let mut state = self.shared.lock();
            match self.waiting {
                Waiting::Flushes => {
                    state.flushes.leave(ticket);
                    Vec::new()
                }
                Waiting::Room => {
                    state.room.leave(ticket);
                    // It may have held up others, or have been woken in their stead.
                    state.room_wakers()
                }
            }
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}
