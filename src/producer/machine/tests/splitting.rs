use super::*;
use crate::producer::machine::state::Phase;

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

/// The first part keeps the number, so that the server stores it or the whole, and not both.
#[test]
fn batch_in_doubt_that_the_server_finds_too_large_is_split_under_its_number() {
    for whole_was_stored in [false, true] {
        let mut rig = Rig::new(claiming());
        let first = rig.offer(2);
        rig.lost(&first[0]);
        let again = rig.wait();
        let part = rig.too_large(&again[0]);
        assert_eq!((part.len(), part[0].seq, part[0].body.len()), (1, 0, 4));
        if whole_was_stored {
            assert!(rig.duplicate(&part[0], 0).is_empty());
        } else {
            let rest = rig.ok(&part[0]);
            assert_eq!((rest.len(), rest[0].seq, rest[0].body.len()), (1, 1, 4));
            rig.ok(&rest[0]);
        }
        assert_eq!(rig.stored, [0, 1]);
        let next = rig.offer(1);
        assert_eq!(next[0].seq, if whole_was_stored { 1 } else { 2 });
    }
}

#[test]
fn closing_batch_in_doubt_is_not_split() {
    let mut rig = Rig::new(claiming());
    for _ in 0..2 {
        rig.queue.push(RecordKind::Bytes, &rig.next.to_be_bytes(), || rig.now);
        rig.next += 1;
    }
    rig.queue.push_close(Some((RecordKind::Bytes, &rig.next.to_be_bytes())), || rig.now);
    let Some(Sealed::Ready(mut batch)) = rig.queue.pop(rig.now) else { panic!("no batch") };
    batch.closing = true;
    rig.machine.push_batch(batch);
    let first = rig.attempts();
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.too_large(&again[0]);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
    assert_eq!(rig.failed, [(0, true), (1, true)]);
}

/// A gateway responds 504 to large bodies, and does not pass them on.
struct Gateway {
    rig: Rig,
    /// The batch, after its second failure.
    whole: Attempt,
}

const LARGE: u32 = 50_000;

fn behind_gateway() -> Gateway {
    let mut rig = Rig::new(settings());
    let whole = rig.offer(LARGE).remove(0);
    assert!(rig.gateway_timeout(&whole).is_empty());
    let again = rig.wait().remove(0);
    assert_eq!(again.body, whole.body);
    assert!(rig.gateway_timeout(&again).is_empty());
    assert!(rig.wait().is_empty(), "the tail check comes first");
    assert!(rig.machine.begin_tail_check(rig.now));
    Gateway { rig, whole }
}

impl Rig {
    fn gateway_timeout(&mut self, attempt: &Attempt) -> Vec<Attempt> {
        let error = StreamError::ServerError { status: 504, message: String::new() }.into();
        self.answer(attempt, AttemptResult::Failed { error, fate: Fate::Unknown, retry: true })
    }

    fn stored_at(&mut self, attempt: &Attempt, offset: &str) -> Vec<Attempt> {
        let (offset, highest) = (Some(Offset::parse(offset)), Some(attempt.seq));
        self.answer(attempt, AttemptResult::Stored { offset, duplicate: false, highest })
    }

    fn tail(&mut self, tail: Option<&str>) -> Vec<Attempt> {
        self.machine.on_tail(tail.map(Offset::parse).as_ref(), self.now);
        self.collect();
        self.attempts()
    }

    /// Acknowledges everything, in order. Returns the sizes of the bodies.
    fn store_all(&mut self, mut attempts: Vec<Attempt>) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !attempts.is_empty() {
            let attempt = attempts.remove(0);
            sizes.push(attempt.body.len());
            attempts.extend(self.ok(&attempt));
        }
        sizes
    }
}

#[test]
fn batch_that_a_gateway_does_not_pass_on_is_split_and_later_ones_are_small() {
    let Gateway { mut rig, whole } = behind_gateway();
    let parts = rig.tail(None);
    assert_eq!((parts.len(), parts[0].seq), (1, whole.seq), "the first part alone, under the same number");
    let sizes = rig.store_all(parts);
    assert!(sizes.len() >= 8 && sizes.iter().all(|size| *size <= whole.body.len() / 8), "{sizes:?}");
    assert_eq!(rig.stored, (0..LARGE).collect::<Vec<_>>());
    // The size that was learnt is kept.
    let next = rig.offer(LARGE);
    assert!(next.iter().all(|attempt| attempt.body.len() <= whole.body.len() / 8));
    rig.store_all(next);
    assert_eq!(rig.stored.len(), 2 * LARGE as usize);
}

#[test]
fn batch_that_was_stored_behind_a_gateway_timeout_is_settled_by_a_duplicate_of_its_part() {
    let Gateway { mut rig, whole } = behind_gateway();
    let parts = rig.tail(None);
    assert!(rig.duplicate(&parts[0], 0).is_empty());
    assert_eq!(rig.stored, (0..LARGE).collect::<Vec<_>>());
    assert_eq!(rig.offer(1)[0].seq, whole.seq + 1);
}

#[test]
fn duplicate_that_may_be_the_whole_or_its_part_halts() {
    let Gateway { mut rig, .. } = behind_gateway();
    let parts = rig.tail(None);
    rig.lost(&parts[0]);
    let again = rig.wait();
    rig.duplicate(&again[0], 0);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    // Every record may be stored: the whole may be.
    assert!(rig.failed.len() == LARGE as usize && rig.failed.iter().all(|(_, may_be_stored)| *may_be_stored));
}

/// Two large batches are in flight, and neither gets through. Returns the first part of the first one.
fn two_behind_gateway() -> (Rig, Attempt) {
    let mut rig = Rig::new(settings());
    let small = rig.offer(1).remove(0);
    rig.stored_at(&small, "a1");
    rig.machine.window = Window::opened(2, 5);
    let mut whole = rig.offer(LARGE).remove(0);
    let later = rig.offer(LARGE).remove(0);
    assert!(rig.gateway_timeout(&later).is_empty());
    let began = rig.now;
    assert!(rig.gateway_timeout(&whole).is_empty());
    whole = rig.wait().remove(0);
    assert!(rig.gateway_timeout(&whole).is_empty());
    assert!(rig.wait().is_empty());
    // Until then the later batch's attempt could arrive, and take the number of a part.
    assert_eq!((rig.now - began).as_secs(), 5);
    assert!(rig.machine.begin_tail_check(rig.now));
    let parts = rig.tail(None);
    assert_eq!((parts.len(), parts[0].seq), (1, 1));
    rig.stored.clear();
    (rig, parts.into_iter().next().unwrap())
}

#[test]
fn batch_is_not_split_when_a_later_one_gets_in_doubt_before_the_tail_check() {
    let mut rig = Rig::new(settings());
    let small = rig.offer(1).remove(0);
    rig.ok(&small);
    rig.machine.window = Window::opened(2, 5);
    let whole = rig.offer(LARGE).remove(0);
    let later = rig.offer(LARGE).remove(0);
    rig.gateway_timeout(&whole);
    let again = rig.wait().remove(0);
    rig.gateway_timeout(&again);
    rig.gateway_timeout(&later);
    rig.wait();
    assert!(rig.machine.begin_tail_check(rig.now));
    let next = rig.tail(None);
    assert_eq!((next.len(), next[0].seq, &next[0].body), (1, 1, &whole.body));
}

#[test]
fn batch_before_one_in_doubt_is_split_and_a_part_with_its_number_goes_alone() {
    let (mut rig, part) = two_behind_gateway();
    let second = rig.ok(&part);
    assert_eq!(seqs(&second), [2], "the later batch was sent as 2");
    let rest = rig.ok(&second[0]);
    assert_eq!(seqs(&rest), [3, 4]);
    rig.store_all(rest);
    assert_eq!(rig.stored, (1..=2 * LARGE).collect::<Vec<_>>());
}

#[test]
fn duplicate_under_the_number_of_a_later_batch_in_doubt_halts() {
    let (mut rig, part) = two_behind_gateway();
    let second = rig.ok(&part);
    rig.duplicate(&second[0], 2);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    // The part and the later batch may be stored, and what was between them is not.
    let may_be_stored = |number: u32| rig.failed.iter().find(|(failed, _)| *failed == number).unwrap().1;
    let first_of_part = 1 + rig.stored.len() as u32;
    assert!(may_be_stored(first_of_part) && may_be_stored(2 * LARGE) && !may_be_stored(LARGE));
}

#[test]
fn unacked_from_lies_before_a_later_batch_that_has_another_number_now() {
    let (mut rig, part) = two_behind_gateway();
    let second = rig.stored_at(&part, "a2");
    rig.duplicate(&second[0], 2);
    let Phase::Halted { unacked_from, .. } = &rig.machine.phase else { panic!("it has not halted") };
    assert_eq!(unacked_from, &Some(Offset::parse("a1")));
}

#[test]
fn later_batch_is_not_in_doubt_once_a_part_with_its_number_is_stored() {
    let (mut rig, part) = two_behind_gateway();
    let second = rig.ok(&part);
    let rest = rig.ok(&second[0]);
    let refused = StreamError::Unauthorized.into();
    rig.answer(&rest[0], AttemptResult::Failed { error: refused, fate: Fate::Refused, retry: false });
    rig.answer(&rest[1], AttemptResult::Gap { expected: rest[0].seq, received: rest[1].seq });
    assert!(!rig.failed.is_empty() && rig.failed.iter().all(|(_, may_be_stored)| !may_be_stored));
}

#[test]
fn later_batch_in_doubt_has_its_number_again_when_the_one_before_it_was_stored_whole() {
    let (mut rig, part) = two_behind_gateway();
    let later = rig.duplicate(&part, 1);
    assert_eq!((rig.stored.len(), seqs(&later)), (LARGE as usize, vec![2]));
    rig.duplicate(&later[0], 2);
    assert_eq!(rig.stored.len(), 2 * LARGE as usize);
}

#[test]
fn batch_is_sent_again_as_it_is_when_the_tail_has_moved() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    let offset = Some(Offset::parse("a1"));
    rig.answer(&first[0], AttemptResult::Stored { offset, duplicate: false, highest: Some(0) });
    let whole = rig.offer(LARGE).remove(0);
    rig.gateway_timeout(&whole);
    let again = rig.wait().remove(0);
    rig.gateway_timeout(&again);
    rig.wait();
    assert!(rig.machine.begin_tail_check(rig.now));
    let next = rig.tail(Some("a2"));
    assert_eq!(next[0].body, whole.body);
    rig.duplicate(&next[0], 1);
    assert_eq!(rig.stored.len(), 1 + LARGE as usize);
}

#[test]
fn batch_whose_upload_was_cut_off_is_split_and_is_not_in_doubt() {
    let mut rig = Rig::new(settings());
    let whole = rig.offer(LARGE).remove(0);
    assert!(rig.answer(&whole, AttemptResult::CutOff(StreamError::Timeout.into())).is_empty());
    let parts = rig.wait();
    assert!(parts.len() == 1 && parts[0].body.len() <= whole.body.len() / 4);
    // It was not applied: a duplicate would be another producer's.
    rig.store_all(parts);
    assert_eq!(rig.stored, (0..LARGE).collect::<Vec<_>>());
}

#[test]
fn batch_without_a_response_keeps_its_bytes_and_gets_more_time() {
    let mut rig = Rig::new(settings());
    let mut attempt = rig.offer(LARGE).remove(0);
    for patience in [1, 4, 16, 64] {
        assert_eq!((attempt.patience, attempt.body.len()), (patience, 4 * LARGE as usize));
        let failed =
            AttemptResult::Failed { error: StreamError::Timeout.into(), fate: Fate::Unknown, retry: true };
        rig.answer(&attempt, failed);
        attempt = rig.wait().remove(0);
    }
    rig.ok(&attempt);
    assert!(rig.offer(LARGE).iter().all(|attempt| attempt.body.len() <= LARGE as usize));
}

/// A body between 16 KiB and 64 KiB takes long on a slow uplink as well, but a server that is gone is asked again soon.
#[test]
fn small_batch_without_a_response_gets_a_little_more_time() {
    for (records, most) in [(4 * 1024 - 1, 1), (4 * 1024, 4)] {
        let mut rig = Rig::new(settings());
        let mut attempt = rig.offer(records).remove(0);
        for patience in [1, most, most] {
            assert_eq!((attempt.patience, attempt.body.len()), (patience, 4 * records as usize));
            let failed = AttemptResult::Failed {
                error: StreamError::Timeout.into(),
                fate: Fate::Unknown,
                retry: true,
            };
            rig.answer(&attempt, failed);
            attempt = rig.wait().remove(0);
        }
        rig.ok(&attempt);
        let next = rig.offer(records).remove(0);
        assert_eq!((next.patience, next.body.len()), (1, 4 * records as usize));
    }
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
