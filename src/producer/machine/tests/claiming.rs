use super::*;

/// Guarantee 31.
#[test]
fn batches_in_flight_are_renumbered_under_one_new_epoch() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 4);
    // In any order, and some as gaps; nothing is sent before the last of them.
    assert!(rig.stale(&attempts[2], 3).is_empty());
    assert!(rig.gap(&attempts[3], 1).is_empty());
    assert!(rig.stale(&attempts[0], 7).is_empty());
    assert!(!rig.machine.wants_batch());
    let mut next = rig.stale(&attempts[1], 7);
    assert_eq!(rig.machine.epoch(), 8);
    // The first of the new epoch alone, then in order.
    for (seq, number) in (0..4u64).zip(1u32..) {
        assert_eq!((next[0].epoch, next[0].seq), (8, seq));
        assert_eq!(next[0].body.as_ref(), number.to_be_bytes());
        assert!(seq > 0 || next.len() == 1);
        let rest = next.split_off(1);
        let more = rig.ok(&next[0]);
        next = rest.into_iter().chain(more).collect();
    }
    assert_eq!(rig.stored, [1, 2, 3, 4]);
    assert_eq!(rig.machine.counters().claims, 1);
    let acks: Vec<_> = rig.deliveries[1..].iter().map(|d| d.try_result().unwrap().unwrap()).collect();
    assert!(acks.iter().all(|ack| ack.epoch == 8 && !ack.duplicate));
}

#[test]
fn stale_epoch_without_auto_claim_fails_every_batch() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    rig.stale(&attempts[0], 3);
    rig.stale(&attempts[1], 3);
    assert!(matches!(rig.halted(), ProducerError::StaleEpoch { server_epoch: 3, our_epoch: 0 }));
    for delivery in &rig.deliveries[1..] {
        assert!(matches!(delivery.try_result(), Some(Err(ProducerError::StaleEpoch { .. }))));
    }
    assert_eq!(rig.failed, [(1, false), (2, false)]);
}

#[test]
fn attempt_in_doubt_prevents_a_claim() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    rig.lost(&attempts[0]);
    rig.stale(&attempts[1], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!(rig.failed, [(1, true), (2, false)]);
    assert_eq!(rig.machine.epoch(), 0);

    // A later refusal does not show the fate of the attempt before it.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.stale(&again[0], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
}

#[test]
fn later_acknowledgement_settles_an_attempt_in_doubt() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 3);
    rig.lost(&attempts[0]);
    rig.ok(&attempts[1]);
    let next = rig.stale(&attempts[2], 3);
    // The first one is known to be stored; only the third is left.
    assert_eq!(rig.stored, [2, 1]);
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].epoch, next[0].seq, next[0].body.as_ref()), (4, 0, &3u32.to_be_bytes()[..]));
}

/// Another producer's batch has the number of ours, and the one after it is ours: that it is stored does not imply that the
/// first is.
#[test]
fn acknowledgement_in_a_shared_epoch_does_not_settle_earlier_numbers() {
    for (settings, unanswered) in [(claiming(), false), (settings(), false), (claiming(), true)] {
        let (mut rig, attempts) = Rig::in_flight(settings, 2);
        rig.ok(&attempts[1]);
        assert_eq!(rig.stored, [2]);
        if unanswered {
            rig.lost(&attempts[0]);
            let again = rig.wait();
            // Beyond what was ever sent: another one is at work in this epoch.
            rig.duplicate(&again[0], 3);
            assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
        } else {
            rig.duplicate(&attempts[0], 2);
            assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { epoch: 0, seq: 1 }));
        }
        assert_eq!((rig.stored, rig.failed), (vec![2], vec![(1, true)]));
    }
    // Fenced, it is sent again.
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    rig.ok(&attempts[1]);
    let next = rig.duplicate(&attempts[0], 3);
    assert_eq!((next[0].epoch, next[0].seq, next[0].body.as_ref()), (1, 0, &1u32.to_be_bytes()[..]));
}

/// A duplicate without a known tail does not make the next duplicate expected.
#[test]
fn unexpected_duplicate_does_not_settle_earlier_batches() {
    let mut rig = Rig::new(claiming());
    rig.machine.on_metadata(Offset::parse("0_5"));
    let first = rig.offer(1);
    rig.answer(&first[0], AttemptResult::Failed { error: server_error(), fate: Fate::NoEffect, retry: true });
    let again = rig.wait();
    let offset = Some(Offset::parse("0_9"));
    rig.answer(&again[0], AttemptResult::Stored { offset, duplicate: true, highest: Some(0) });
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { epoch: 0, seq: 0 }));
    assert_eq!(rig.failed, [(0, true)]);
}

#[test]
fn restart_at_epoch_0_claims_a_higher_epoch() {
    // An earlier run got further than anything that was sent.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    let next = rig.duplicate(&first[0], 41);
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));
    rig.ok(&next[0]);
    assert_eq!(rig.stored, [0]);
}

#[test]
fn unmoved_tail_proves_an_earlier_run_of_one_batch() {
    let duplicate = |tail: &str| AttemptResult::Stored {
        offset: Some(Offset::parse(tail)),
        duplicate: true,
        highest: Some(0),
    };
    let before = || Some(Offset::parse("0_5"));

    let mut rig = Rig::new(claiming());
    rig.machine.on_metadata(before().unwrap());
    let first = rig.offer(1);
    let next = rig.answer(&first[0], duplicate("0_5"));
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));

    // Also where the first attempt went unanswered: had it been applied, the tail would have moved.
    for highest in [0, 7] {
        let mut rig = Rig::new(claiming());
        rig.machine.on_metadata(before().unwrap());
        let first = rig.offer(1);
        assert!(rig.lost(&first[0]).is_empty());
        rig.now += Duration::from_secs(1);
        let again = rig.attempts();
        let offset = Some(Offset::parse("0_5"));
        let answer = AttemptResult::Stored { offset, duplicate: true, highest: Some(highest) };
        let next = rig.answer(&again[0], answer);
        assert_eq!((next[0].epoch, next[0].seq), (1, 0));
        rig.ok(&next[0]);
        assert_eq!(rig.stored, [0]);
    }

    // The tail has moved: it may be our own record, repeated by something between.
    let mut rig = Rig::new(claiming());
    rig.machine.on_metadata(before().unwrap());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_9"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));

    // The tail is not known, or auto_claim is off.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_5"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));
    let mut rig = Rig::new(settings());
    rig.machine.on_metadata(before().unwrap());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_5"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));
}

#[test]
fn claims_are_limited_and_a_pause_resets_the_limit() {
    let mut rig = Rig::new(claiming());
    let mut next = rig.offer(1);
    for claim in 0..5 {
        assert_eq!(next[0].epoch, 2 * claim);
        next = rig.stale(&next[0], 2 * claim + 1);
    }
    rig.now += Duration::from_secs(61);
    for claim in 5..10 {
        assert_eq!(next[0].epoch, 2 * claim);
        next = rig.stale(&next[0], 2 * claim + 1);
    }
    rig.stale(&next[0], 21);
    assert!(matches!(rig.halted(), ProducerError::StaleEpoch { server_epoch: 21, our_epoch: 20 }));
}

#[test]
fn epoch_without_sequence_numbers_halts() {
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.stale(&first[0], MAX_NUMBER);
    assert!(matches!(rig.halted(), ProducerError::StaleEpoch { server_epoch: MAX_NUMBER, .. }));

    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.stale(&first[0], 0);
    assert!(matches!(rig.halted().stream_error(), Some(StreamError::Protocol { .. })));
}

fn at(tail: &str) -> Option<Offset> {
    Some(Offset::parse(tail))
}

/// A producer whose first batch ends at 0_5, and a server that has lost its state.
fn after_state_loss(settings: Settings, unanswered: bool) -> Rig {
    let mut rig = Rig::new(settings);
    let first = rig.offer(1);
    rig.answer(&first[0], AttemptResult::Stored { offset: at("0_5"), duplicate: false, highest: Some(0) });
    let mut next = rig.offer(1);
    if unanswered {
        rig.lost(&next[0]);
        next = rig.wait();
    }
    assert!(rig.gap(&next[0], 0).is_empty());
    rig
}

#[test]
fn state_loss_with_a_tail_that_shows_what_is_stored_starts_a_new_epoch() {
    // Nothing came behind the last acknowledgement: nothing of ours can be there.
    for (unanswered, tail) in [(false, "0_5"), (true, "0_5"), (false, "0_9")] {
        let mut rig = after_state_loss(claiming(), unanswered);
        assert!(rig.machine.begin_tail_check(rig.now) && rig.machine.deadline().is_none());
        rig.machine.on_tail(at(tail).as_ref(), rig.now);
        let next = rig.attempts();
        assert_eq!((next[0].epoch, next[0].seq), (1, 0), "{unanswered} {tail}");
        rig.ok(&next[0]);
        assert_eq!(rig.stored, [0, 1]);
    }
}

#[test]
fn state_loss_with_a_batch_in_doubt_halts() {
    let halted = |unanswered, tail: Option<&str>| {
        let mut rig = after_state_loss(claiming(), unanswered);
        rig.machine.on_tail(tail.and_then(at).as_ref(), rig.now);
        rig.collect();
        assert_eq!(rig.failed, [(1, unanswered)]);
        rig.halted().clone()
    };
    // Our own batch may have moved the tail; or the tail is not reported.
    assert!(matches!(halted(true, Some("0_9")), ProducerError::OutcomeUnknown { .. }));
    assert!(matches!(halted(true, None), ProducerError::OutcomeUnknown { .. }));
    assert!(matches!(halted(false, None), ProducerError::SequenceGap { expected: 0, received: 1 }));
    // What was acknowledged is gone.
    assert!(matches!(halted(false, Some("0_2")), ProducerError::SequenceGap { .. }));
    // Without leave to claim nothing is asked.
    let mut rig = after_state_loss(settings(), false);
    assert!(
        matches!(rig.halted(), ProducerError::SequenceGap { .. }) && !rig.machine.begin_tail_check(rig.now)
    );
}

/// A server that was restored from a backup: that a later batch was acknowledged does not prove an earlier one any more.
#[test]
fn batch_in_doubt_before_an_acknowledged_one_fails_when_the_tail_shows_lost_data() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    rig.lost(&attempts[0]);
    rig.answer(&attempts[1], AttemptResult::Stored { offset: at("0_9"), duplicate: false, highest: Some(2) });
    let again = rig.wait();
    assert!(rig.gap(&again[0], 0).is_empty());
    rig.machine.on_tail(at("0_2").as_ref(), rig.now);
    rig.collect();
    assert!(matches!(rig.halted(), ProducerError::SequenceGap { .. }), "{:?}", rig.halted());
    assert_eq!((rig.stored, rig.failed), (vec![2], vec![(1, true)]));
}

#[test]
fn tail_check_begins_once() {
    let mut rig = after_state_loss(claiming(), false);
    assert!(rig.machine.begin_tail_check(rig.now));
    assert!(!rig.machine.begin_tail_check(rig.now));
}

#[test]
fn refusal_with_400_after_an_acknowledgement_is_a_state_loss() {
    let bad_request = || {
        let error = StreamError::BadRequest { message: "new epoch must start with 0".into() };
        AttemptResult::Failed { error: error.into(), fate: Fate::Refused, retry: false }
    };
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    assert!(rig.answer(&attempts[1], bad_request()).is_empty());
    assert!(rig.answer(&attempts[0], bad_request()).is_empty());
    rig.machine.on_tail(at("0_9").as_ref(), rig.now);
    let next = rig.attempts();
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));
    // If it is refused as a first one too, then for another reason.
    rig.answer(&next[0], bad_request());
    assert!(matches!(rig.halted().stream_error(), Some(StreamError::BadRequest { .. })));
}

#[test]
fn epoch_above_the_largest_number_is_not_claimed() {
    for server_epoch in [MAX_NUMBER, u64::MAX] {
        let mut rig = Rig::new(claiming());
        let first = rig.offer(1);
        assert!(rig.stale(&first[0], server_epoch).is_empty());
        assert!(matches!(rig.halted(), ProducerError::StaleEpoch { our_epoch: 0, .. }), "{:?}", rig.halted());
    }
}

/// A response has the tail of its own time: the response to the first of two batches may have the tail behind both.
#[test]
fn tail_reported_after_a_batch_was_sent_proves_nothing_about_it() {
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.answer(&first[0], AttemptResult::Stored { offset: at("0_5"), duplicate: false, highest: Some(0) });
    rig.machine.window = Window::opened(2, 5);
    let attempts: Vec<Attempt> = (0..2).flat_map(|_| rig.offer(1)).collect();
    rig.answer(&attempts[0], AttemptResult::Stored { offset: at("0_9"), duplicate: false, highest: Some(1) });
    rig.lost(&attempts[1]);
    let again = rig.wait();
    assert!(rig.gap(&again[0], 0).is_empty());
    rig.machine.on_tail(at("0_9").as_ref(), rig.now);
    rig.collect();
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!((rig.failed.clone(), rig.machine.unacked_from().cloned()), (vec![(2, true)], at("0_5")));
}

/// A server that lost its state once may lose it again, including the first batch of the new epoch.
#[test]
fn first_batch_after_a_state_loss_is_not_resent_without_a_tail_check() {
    for (tail, stored) in [("0_5", false), ("0_9", true)] {
        let mut rig = after_state_loss(claiming(), false);
        rig.machine.on_tail(at("0_5").as_ref(), rig.now);
        let next = rig.attempts();
        // A server that fails is not asked anything at once.
        assert!(rig.lost(&next[0]).is_empty() && !rig.machine.begin_tail_check(rig.now));
        assert!(
            rig.wait().is_empty()
                && rig.machine.begin_tail_check(rig.now)
                && rig.machine.deadline().is_none()
        );
        rig.machine.on_tail(at(tail).as_ref(), rig.now);
        rig.collect();
        match stored {
            false => {
                let next = rig.attempts();
                assert_eq!((next[0].epoch, next[0].seq), (2, 0));
                rig.answer(
                    &next[0],
                    AttemptResult::Stored { offset: at("0_9"), duplicate: false, highest: Some(0) },
                );
                // From here on an unanswered attempt is repeated as any other.
                let next = rig.offer(1);
                assert!(rig.lost(&next[0]).is_empty() && !rig.machine.begin_tail_check(rig.now));
            }
            true => {
                assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
                assert_eq!(rig.failed, [(1, true)]);
            }
        }
    }
}

/// There is no other producer, so the error must not be `StaleEpoch`.
#[test]
fn repeated_state_loss_is_not_reported_as_another_producer() {
    for unanswered in [false, true] {
        let mut rig = after_state_loss(claiming(), false);
        for epoch in 1..=5 {
            rig.machine.on_tail(at("0_5").as_ref(), rig.now);
            let next = rig.attempts();
            assert_eq!((next[0].epoch, next[0].seq), (epoch, 0));
            if unanswered {
                rig.lost(&next[0]);
            } else {
                rig.gap(&next[0], 0);
            }
        }
        rig.machine.on_tail(at("0_5").as_ref(), rig.now);
        rig.collect();
        match rig.halted() {
            ProducerError::SequenceGap { .. } => assert!(!unanswered),
            error => {
                assert!(unanswered && matches!(error.stream_error(), Some(StreamError::Protocol { .. })));
                let text = error.to_string();
                assert!(
                    text.contains("lost this producer's state more than 5 times") && text.contains("busy"),
                    "{text}"
                );
            }
        }
        assert_eq!(rig.failed, [(1, unanswered)]);
    }
}

/// Only a 400 may mean that the epoch is unknown.
#[test]
fn refusal_with_another_status_claims_nothing() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 1);
    let error = StreamError::BadRequest { message: "pay first".into() };
    let error = Error::from(error).edit(|context| context.status = Some(http::StatusCode::PAYMENT_REQUIRED));
    rig.answer(&attempts[0], AttemptResult::Failed { error, fate: Fate::Refused, retry: false });
    assert!(matches!(rig.halted().stream_error(), Some(StreamError::BadRequest { .. })));
    assert!(!rig.machine.begin_tail_check(rig.now));
}

/// Restarted at epoch 0, a producer closes with its first batch. The number is that of a batch of the run before.
#[test]
fn duplicate_of_a_closing_batch_on_an_open_stream_shows_another_append() {
    for (settings, is_claimed) in [(claiming(), true), (settings(), false)] {
        let mut rig = Rig::new(settings);
        let first = rig.offer(1);
        // Also after an attempt in doubt: applied, it would have closed the stream.
        rig.lost(&first[0]);
        let again = rig.wait();
        let next = rig.answer(&again[0], AttemptResult::NumberTaken);
        if is_claimed {
            assert_eq!((next[0].epoch, next[0].seq), (1, 0));
            rig.ok(&next[0]);
            assert_eq!(rig.stored, [0]);
        } else {
            assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { epoch: 0, seq: 0 }));
            assert_eq!(rig.failed, [(0, false)]);
        }
    }
}
