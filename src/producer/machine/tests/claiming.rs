use super::*;

/// ROBUSTNESS 31.
#[test]
fn all_that_is_in_flight_is_renumbered_under_one_new_epoch() {
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
fn without_auto_claim_the_epoch_is_stale_everywhere() {
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
fn an_unanswered_attempt_of_the_old_epoch_cannot_be_claimed() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    rig.lost(&attempts[0]);
    rig.stale(&attempts[1], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!(rig.failed, [(1, true), (2, false)]);
    assert_eq!(rig.machine.epoch(), 0);

    // A later refusal does not tell what became of the attempt before it.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.stale(&again[0], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }));
}

#[test]
fn a_later_acknowledgement_speaks_for_an_unanswered_one() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 3);
    rig.lost(&attempts[0]);
    rig.ok(&attempts[1]);
    let next = rig.stale(&attempts[2], 3);
    // The first one is known to be stored; only the third is left.
    assert_eq!(rig.stored, [2, 1]);
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].epoch, next[0].seq, next[0].body.as_ref()), (4, 0, &3u32.to_be_bytes()[..]));
}

/// Somebody else's batch has the number of ours, and the one after it is ours: that it is stored says nothing of the other.
#[test]
fn an_acknowledgement_does_not_speak_for_a_number_that_is_not_ours() {
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

/// A duplicate of which the tail could not be asked is no reason to take the next one for an echo.
#[test]
fn a_duplicate_that_was_not_explained_explains_nothing() {
    let mut rig = Rig::new(claiming());
    rig.machine.set_tail_before(Some(Offset::parse("0_5")));
    let first = rig.offer(1);
    rig.answer(&first[0], Answer::Failed { error: server_error(), fate: Fate::NotSent, again: true });
    let again = rig.wait();
    let offset = Some(Offset::parse("0_9"));
    rig.answer(&again[0], Answer::Stored { offset, duplicate: true, highest: Some(0) });
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { epoch: 0, seq: 0 }));
    assert_eq!(rig.failed, [(0, true)]);
}

#[test]
fn a_restart_at_epoch_0_recovers() {
    // An earlier run got further than anything that was sent.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    let next = rig.duplicate(&first[0], 41);
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));
    rig.ok(&next[0]);
    assert_eq!(rig.stored, [0]);
}

#[test]
fn an_earlier_run_of_one_batch_shows_by_the_tail() {
    let duplicate =
        |tail: &str| Answer::Stored { offset: Some(Offset::parse(tail)), duplicate: true, highest: Some(0) };
    let before = || Some(Offset::parse("0_5"));

    let mut rig = Rig::new(claiming());
    rig.machine.set_tail_before(before());
    let first = rig.offer(1);
    let next = rig.answer(&first[0], duplicate("0_5"));
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));

    // Also where the first attempt went unanswered: had it been applied, the tail would have moved.
    for highest in [0, 7] {
        let mut rig = Rig::new(claiming());
        rig.machine.set_tail_before(before());
        let first = rig.offer(1);
        assert!(rig.lost(&first[0]).is_empty());
        rig.now += Duration::from_secs(1);
        let again = rig.attempts();
        let offset = Some(Offset::parse("0_5"));
        let answer = Answer::Stored { offset, duplicate: true, highest: Some(highest) };
        let next = rig.answer(&again[0], answer);
        assert_eq!((next[0].epoch, next[0].seq), (1, 0));
        rig.ok(&next[0]);
        assert_eq!(rig.stored, [0]);
    }

    // The tail has moved: it may be our own record, repeated by something between.
    let mut rig = Rig::new(claiming());
    rig.machine.set_tail_before(before());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_9"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));

    // Nobody asked for the tail; or the claim was not allowed.
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_5"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));
    let mut rig = Rig::new(settings());
    rig.machine.set_tail_before(before());
    let first = rig.offer(1);
    rig.answer(&first[0], duplicate("0_5"));
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { .. }));
}

#[test]
fn claims_are_bounded_but_for_a_time_of_peace() {
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
fn epochs_come_to_an_end() {
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

/// A producer whose first batch ends at 0_5, and a server that has forgotten it.
fn forgotten(settings: Settings, unanswered: bool) -> Rig {
    let mut rig = Rig::new(settings);
    let first = rig.offer(1);
    rig.answer(&first[0], Answer::Stored { offset: at("0_5"), duplicate: false, highest: Some(0) });
    let mut next = rig.offer(1);
    if unanswered {
        rig.lost(&next[0]);
        next = rig.wait();
    }
    assert!(rig.gap(&next[0], 0).is_empty());
    rig
}

#[test]
fn a_forgotten_producer_claims_where_the_tail_shows_what_is_stored() {
    // Nothing came behind the last acknowledgement: nothing of ours can be there.
    for (unanswered, tail) in [(false, "0_5"), (true, "0_5"), (false, "0_9")] {
        let mut rig = forgotten(claiming(), unanswered);
        assert!(rig.machine.asks_tail(rig.now) && rig.machine.deadline().is_none());
        rig.machine.tail(at(tail).as_ref(), rig.now);
        let next = rig.attempts();
        assert_eq!((next[0].epoch, next[0].seq), (1, 0), "{unanswered} {tail}");
        rig.ok(&next[0]);
        assert_eq!(rig.stored, [0, 1]);
    }
}

#[test]
fn a_forgotten_producer_ends_where_nobody_can_tell() {
    let halted = |unanswered, tail: Option<&str>| {
        let mut rig = forgotten(claiming(), unanswered);
        rig.machine.tail(tail.and_then(at).as_ref(), rig.now);
        rig.collect();
        assert_eq!(rig.failed, [(1, unanswered)]);
        rig.halted().clone()
    };
    // It may be ours that moved the tail; or the tail is not told.
    assert!(matches!(halted(true, Some("0_9")), ProducerError::OutcomeUnknown { .. }));
    assert!(matches!(halted(true, None), ProducerError::OutcomeUnknown { .. }));
    assert!(matches!(halted(false, None), ProducerError::SequenceGap { expected: 0, received: 1 }));
    // What was acknowledged is gone.
    assert!(matches!(halted(false, Some("0_2")), ProducerError::SequenceGap { .. }));
    // Without leave to claim nothing is asked.
    let mut rig = forgotten(settings(), false);
    assert!(matches!(rig.halted(), ProducerError::SequenceGap { .. }) && !rig.machine.asks_tail(rig.now));
}

#[test]
fn a_server_that_forgot_a_later_epoch_says_so_in_its_own_way() {
    let bad_request = || {
        let error = StreamError::BadRequest { message: "new epoch must start with 0".into() };
        Answer::Failed { error: error.into(), fate: Fate::Refused, again: false }
    };
    let (mut rig, attempts) = Rig::in_flight(claiming(), 2);
    assert!(rig.answer(&attempts[1], bad_request()).is_empty());
    assert!(rig.answer(&attempts[0], bad_request()).is_empty());
    rig.machine.tail(at("0_9").as_ref(), rig.now);
    let next = rig.attempts();
    assert_eq!((next[0].epoch, next[0].seq), (1, 0));
    // If it is refused as a first one too, then for another reason.
    rig.answer(&next[0], bad_request());
    assert!(matches!(rig.halted().stream_error(), Some(StreamError::BadRequest { .. })));
}

#[test]
fn an_epoch_beyond_all_numbers_is_not_claimed() {
    for server_epoch in [MAX_NUMBER, u64::MAX] {
        let mut rig = Rig::new(claiming());
        let first = rig.offer(1);
        assert!(rig.stale(&first[0], server_epoch).is_empty());
        assert!(matches!(rig.halted(), ProducerError::StaleEpoch { our_epoch: 0, .. }), "{:?}", rig.halted());
    }
}

/// An answer tells the tail of its own moment: of two that travelled together, the first one's may be behind the second.
#[test]
fn a_tail_that_was_told_late_proves_nothing() {
    let mut rig = Rig::new(claiming());
    let first = rig.offer(1);
    rig.answer(&first[0], Answer::Stored { offset: at("0_5"), duplicate: false, highest: Some(0) });
    rig.machine.window = Window::opened(2, 5);
    let attempts: Vec<Attempt> = (0..2).flat_map(|_| rig.offer(1)).collect();
    rig.answer(&attempts[0], Answer::Stored { offset: at("0_9"), duplicate: false, highest: Some(1) });
    rig.lost(&attempts[1]);
    let again = rig.wait();
    assert!(rig.gap(&again[0], 0).is_empty());
    rig.machine.tail(at("0_9").as_ref(), rig.now);
    rig.collect();
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!((rig.failed.clone(), rig.machine.unsent_from().cloned()), (vec![(2, true)], at("0_5")));
}

/// A server that has forgotten once may forget again, even the first batch of the epoch that was claimed from it.
#[test]
fn the_first_batch_after_a_loss_is_not_sent_twice_blindly() {
    for (tail, stored) in [("0_5", false), ("0_9", true)] {
        let mut rig = forgotten(claiming(), false);
        rig.machine.tail(at("0_5").as_ref(), rig.now);
        let next = rig.attempts();
        // A server that fails is not asked anything at once.
        assert!(rig.lost(&next[0]).is_empty() && !rig.machine.asks_tail(rig.now));
        assert!(rig.wait().is_empty() && rig.machine.asks_tail(rig.now) && rig.machine.deadline().is_none());
        rig.machine.tail(at(tail).as_ref(), rig.now);
        rig.collect();
        match stored {
            false => {
                let next = rig.attempts();
                assert_eq!((next[0].epoch, next[0].seq), (2, 0));
                rig.answer(
                    &next[0],
                    Answer::Stored { offset: at("0_9"), duplicate: false, highest: Some(0) },
                );
                // From here on an unanswered attempt is repeated as any other.
                let next = rig.offer(1);
                assert!(rig.lost(&next[0]).is_empty() && !rig.machine.asks_tail(rig.now));
            }
            true => {
                assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
                assert_eq!(rig.failed, [(1, true)]);
            }
        }
    }
}

/// Nobody else was there: another producer is not what it may end with.
#[test]
fn a_server_that_keeps_forgetting_is_not_another_producer() {
    for unanswered in [false, true] {
        let mut rig = forgotten(claiming(), false);
        for epoch in 1..=5 {
            rig.machine.tail(at("0_5").as_ref(), rig.now);
            let next = rig.attempts();
            assert_eq!((next[0].epoch, next[0].seq), (epoch, 0));
            if unanswered {
                rig.lost(&next[0]);
            } else {
                rig.gap(&next[0], 0);
            }
        }
        rig.machine.tail(at("0_5").as_ref(), rig.now);
        rig.collect();
        match rig.halted() {
            ProducerError::SequenceGap { .. } => assert!(!unanswered),
            error => {
                assert!(unanswered && matches!(error.stream_error(), Some(StreamError::Protocol { .. })));
                let text = error.to_string();
                assert!(text.contains("forgot this producer 5 times") && text.contains("busy"), "{text}");
            }
        }
        assert_eq!(rig.failed, [(1, unanswered)]);
    }
}

/// Only a 400 may mean that the epoch is unknown.
#[test]
fn a_refusal_of_another_kind_claims_nothing() {
    let (mut rig, attempts) = Rig::in_flight(claiming(), 1);
    let error = StreamError::BadRequest { message: "pay first".into() };
    let error = Error::from(error).edit(|context| context.status = Some(http::StatusCode::PAYMENT_REQUIRED));
    rig.answer(&attempts[0], Answer::Failed { error, fate: Fate::Refused, again: false });
    assert!(matches!(rig.halted().stream_error(), Some(StreamError::BadRequest { .. })));
    assert!(!rig.machine.asks_tail(rig.now));
}
