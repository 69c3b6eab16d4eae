//! Tasks that wait for something of the producer, in the order in which they came.

use std::collections::BTreeMap;
use std::task::Waker;

/// Each task waits with a value that says for what.
#[derive(Debug)]
pub(super) struct Waiters<V> {
    waiting: BTreeMap<u64, (V, Waker)>,
    next: u64,
}

impl<V> Default for Waiters<V> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<V> Waiters<V> {
    /// Waits on, at the place that `ticket` holds, or at the end with a new one.
    pub(super) fn wait(&mut self, ticket: &mut Option<u64>, value: V, waker: &Waker) {
        let place = *ticket.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.waiting.insert(place, (value, waker.clone()));
    }

    /// Whether nobody waits who came before the holder of `ticket`.
    pub(super) fn is_turn(&self, ticket: Option<u64>) -> bool {
        match (self.waiting.first_key_value(), ticket) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((first, _)), Some(ticket)) => *first >= ticket,
        }
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
    }

    /// Takes those to be woken: from the first on, as long as `ready` says so.
    pub(super) fn take_while(&mut self, mut ready: impl FnMut(&V) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if !ready(&first.get().0) {
                break;
            }
            wakers.push(first.remove().1);
        }
        wakers
    }

    /// Takes all for which `ready` says so.
    pub(super) fn take_if(&mut self, mut ready: impl FnMut(&V) -> bool) -> Vec<Waker> {
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
    fn nobody_overtakes_and_nobody_who_left_is_in_the_way() {
        let mut waiters = Waiters::default();
        let (mut a, mut b) = (None, None);
        assert!(waiters.is_turn(None));
        waiters.wait(&mut a, 10, Waker::noop());
        waiters.wait(&mut b, 1, Waker::noop());
        assert!(!waiters.is_turn(None) && waiters.is_turn(a) && !waiters.is_turn(b));
        // The first needs more than there is: the second is not woken in its stead.
        assert!(waiters.take_while(|size| *size < 5).is_empty());
        waiters.leave(a.unwrap());
        assert!(waiters.is_turn(b));
        assert_eq!(waiters.take_while(|size| *size < 5).len(), 1);
        // A woken one that was too late takes its old place.
        waiters.wait(&mut a, 10, Waker::noop());
        waiters.wait(&mut b, 1, Waker::noop());
        assert!(!waiters.is_turn(b));
        assert_eq!(waiters.take_if(|size| *size < 5).len(), 1);
        assert!(waiters.is_turn(a));
    }
}
