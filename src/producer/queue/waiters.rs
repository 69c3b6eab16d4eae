//! Tasks that wait for the producer, in the order in which they came.

use std::collections::BTreeMap;
use std::task::Waker;

/// Waiting tasks, each with a value that says what it waits for.
#[derive(Debug)]
pub(in crate::producer) struct Waiters<V> {
    waiting: BTreeMap<u64, (V, Waker)>,
    next: u64,
}

impl<V> Default for Waiters<V> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<V> Waiters<V> {
    /// Waits with `ticket`, or with a new one behind all others.
    pub(in crate::producer) fn wait(&mut self, ticket: &mut Option<u64>, value: V, waker: &Waker) {
        // A task that is polled again keeps its place.
        let ticket = *ticket.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.waiting.insert(ticket, (value, waker.clone()));
    }

    /// Whether no task waits that came before the holder of `ticket`.
    pub(in crate::producer) fn is_turn(&self, ticket: Option<u64>) -> bool {
        match (self.waiting.first_key_value(), ticket) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((first, _)), Some(ticket)) => *first >= ticket,
        }
    }

    pub(in crate::producer) fn leave(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
    }

    /// Removes tasks from the first on while `ready` is true. Returns their wakers.
    pub(in crate::producer) fn take_while(&mut self, mut ready: impl FnMut(&V) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            // Later ones must not overtake it, even if they need less.
            if !ready(&first.get().0) {
                break;
            }
            wakers.push(first.remove().1);
        }
        wakers
    }

    /// Removes all tasks for which `ready` is true. Returns their wakers.
    pub(in crate::producer) fn take_if(&mut self, mut ready: impl FnMut(&V) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.waiting.retain(|_, (value, waker)| {
            let ready = ready(value);
            if ready {
                wakers.push(waker.clone());
            }
            !ready
        });
        wakers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_served_in_order_and_those_that_left_are_skipped() {
        let mut waiters = Waiters::default();
        let (mut a, mut b) = (None, None);
        assert!(waiters.is_turn(None));
        waiters.wait(&mut a, 10, Waker::noop());
        waiters.wait(&mut b, 1, Waker::noop());
        assert!(!waiters.is_turn(None) && waiters.is_turn(a) && !waiters.is_turn(b));
        // The first needs more room than there is. The second is not woken before it.
        assert!(waiters.take_while(|size| *size < 5).is_empty());
        waiters.leave(a.unwrap());
        assert!(waiters.is_turn(b));
        assert_eq!(waiters.take_while(|size| *size < 5).len(), 1);
        // A task that was woken too late waits again with its old ticket.
        waiters.wait(&mut a, 10, Waker::noop());
        waiters.wait(&mut b, 1, Waker::noop());
        assert!(!waiters.is_turn(b));
        assert_eq!(waiters.take_if(|size| *size < 5).len(), 1);
        assert!(waiters.is_turn(a));
    }
}
