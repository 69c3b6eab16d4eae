use super::*;

/// Guarantee 36.
#[test]
fn batch_above_the_servers_limit_is_split_and_renumbered() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.machine.window = Window::opened(5, 5);
    let large = rig.offer(4).remove(0);
    let after = rig.offer(1).remove(0);
    assert_eq!((large.seq, after.seq), (2, 3));
    // Only once every batch in flight has a result.
    assert!(rig.too_large(&large).is_empty());
    assert!(rig.gap(&after, 2).is_empty());
    let next = rig.ok(&attempts[0]);
    assert_eq!(seqs(&next), [2, 3, 4]);
    let bodies: Vec<_> = next.iter().map(|attempt| attempt.body.len()).collect();
    assert_eq!(bodies, [8, 8, 4]);
    for attempt in &next {
        rig.ok(attempt);
    }
    assert_eq!(rig.stored, [1, 2, 3, 4, 5, 6]);
    assert!(rig.deliveries.iter().all(|delivery| matches!(delivery.try_result(), Some(Ok(_)))));
}

#[test]
fn single_record_above_the_servers_limit_fails_alone() {
    let mut rig = Rig::new(settings());
    let mut next = rig.offer(2);
    next = rig.too_large(&next[0]);
    assert_eq!((next.len(), next[0].seq), (1, 0));
    next = rig.too_large(&next[0]);
    // Its number goes to the one behind it.
    assert_eq!((next[0].seq, next[0].body.as_ref()), (0, &1u32.to_be_bytes()[..]));
    rig.ok(&next[0]);
    assert!(rig.machine.halted().is_none());
    assert_eq!((rig.failed.as_slice(), rig.stored.as_slice()), (&[(0, false)][..], &[1][..]));
    let error = rig.deliveries[0].try_result().unwrap().unwrap_err();
    assert!(matches!(error.stream_error(), Some(StreamError::PayloadTooLarge { .. })), "{error}");
}

#[test]
fn split_before_a_batch_in_doubt_starts_a_new_epoch() {
    for auto_claim in [false, true] {
        let (mut rig, attempts) = Rig::in_flight(Settings { auto_claim, ..settings() }, 2);
        rig.too_large(&attempts[0]);
        let next = rig.lost(&attempts[1]);
        if auto_claim {
            // Behind a refused one it cannot have been applied; under a new epoch it never will be.
            assert_eq!((next[0].epoch, next[0].seq, next[0].body.as_ref()), (1, 0, &2u32.to_be_bytes()[..]));
            rig.ok(&next[0]);
            assert_eq!((rig.failed.as_slice(), rig.stored.as_slice()), (&[(1, false)][..], &[2][..]));
        } else {
            assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
            assert_eq!(rig.failed, [(1, false), (2, true)]);
        }
    }
}

#[test]
fn batch_in_doubt_is_not_split() {
    let mut rig = Rig::new(claiming());
    let first = rig.offer(2);
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.too_large(&again[0]);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
    assert_eq!(rig.failed, [(0, true), (1, true)]);
}

/// That it cannot be split any more has nothing to do with another producer.
#[test]
fn too_many_epochs_for_splits_halt_with_outcome_unknown() {
    let (mut rig, mut attempts) = Rig::in_flight(claiming(), 2);
    for epoch in 1..=6 {
        rig.too_large(&attempts[0]);
        let next = rig.lost(&attempts[1]);
        if epoch == 6 {
            break;
        }
        assert_eq!((rig.machine.epoch(), next.len()), (epoch, 1));
        // The first of an epoch goes alone; then there are two again.
        rig.ok(&next[0]);
        attempts = (0..2).flat_map(|_| rig.offer(1)).collect();
        assert_eq!(attempts.len(), 2);
    }
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!(rig.failed.last(), Some(&(rig.next - 1, true)));
}
