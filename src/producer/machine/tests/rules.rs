use super::*;

#[test]
fn the_first_batch_of_an_epoch_travels_alone() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    assert_eq!(seqs(&first), [0]);
    assert!(!rig.machine.wants_batch());
    rig.ok(&first[0]);
    // From then on each acknowledgement that found the window full widens it.
    assert_eq!(seqs(&rig.offer(1)), [1]);
    assert!(rig.machine.wants_batch());
}

#[test]
fn a_resend_is_the_same_and_its_duplicate_is_success() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(2).remove(0);
    assert!(rig.lost(&first).is_empty());
    let again = rig.wait();
    assert_eq!(again, [first]);
    rig.duplicate(&again[0], 0);
    assert_eq!(rig.stored, [0, 1]);
    assert_eq!(
        rig.machine.counters(),
        Counters { requests: 2, resent: 1, duplicates: 1, ..Counters::default() }
    );
    let ack = rig.deliveries[1].try_result().unwrap().unwrap();
    assert!(ack.duplicate);
}

#[test]
fn nothing_overtakes_a_batch_that_waits() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 3);
    assert!(rig.lost(&attempts[0]).is_empty());
    // The others could not be stored before it.
    assert!(rig.gap(&attempts[1], 1).is_empty());
    assert!(rig.lost(&attempts[2]).is_empty());
    assert!(!rig.machine.wants_batch());
    assert_eq!(seqs(&rig.wait()), [1]);
    assert_eq!(seqs(&rig.ok(&attempts[0])), [2]);
    // This one's time has come too.
    let third = rig.ok(&attempts[1]);
    assert_eq!(seqs(&third), [3]);
    rig.duplicate(&third[0], 3);
    assert_eq!(rig.stored, [1, 2, 3]);
}

/// ROBUSTNESS 30.
#[test]
fn a_late_batch_costs_its_successors_one_resend_each() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 5);
    for late in &attempts[1..] {
        assert!(rig.gap(late, 1).is_empty());
    }
    let mut next = rig.ok(&attempts[0]);
    for seq in 2..6 {
        // One at a time, so that none can overtake another again.
        assert_eq!(seqs(&next), [seq]);
        next = rig.ok(&next[0]);
    }
    assert_eq!(rig.stored, [1, 2, 3, 4, 5]);
    assert_eq!(rig.machine.counters().requests, 1 + 5 + 4);
    assert_eq!(rig.machine.window.size(), 2);
}

#[test]
fn a_gap_that_a_failure_explains_does_not_narrow_the_window() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 3);
    rig.lost(&attempts[0]);
    rig.gap(&attempts[1], 1);
    assert_eq!(rig.machine.window.size(), 3);
}

#[test]
fn a_gap_answered_after_its_predecessors_acknowledgement_is_no_error() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    rig.ok(&attempts[0]);
    let again = rig.gap(&attempts[1], 1);
    assert_eq!(again, [attempts[1].clone()]);
    rig.ok(&again[0]);
    assert_eq!(rig.stored, [1, 2]);
}

#[test]
fn a_gap_with_nothing_before_it_is_an_error() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.gap(&attempts[0], 0);
    assert!(matches!(rig.halted(), ProducerError::SequenceGap { expected: 0, received: 1 }));
    assert_eq!(rig.failed, [(1, false)]);
}

/// ROBUSTNESS 29.
#[test]
fn a_spent_budget_halts_and_sends_no_higher_number() {
    let retry = RetryConfig { max_retries: Some(2), ..RetryConfig::default() };
    let (mut rig, attempts) = Rig::in_flight(Settings { retry, ..settings() }, 2);
    rig.lost(&attempts[0]);
    rig.gap(&attempts[1], 1);
    for _ in 0..2 {
        let again = rig.wait();
        assert_eq!(seqs(&again), [1]);
        assert!(rig.lost(&again[0]).is_empty());
    }
    let ProducerError::Stream(error) = rig.halted() else { panic!("{:?}", rig.halted()) };
    assert!(error.to_string().contains("3 attempts"), "{error}");
    assert_eq!(rig.machine.deadline(), None);
    assert!(!rig.machine.wants_batch());
    assert_eq!(rig.failed, [(1, true), (2, false)]);
}

#[test]
fn an_acknowledgement_renews_the_budget() {
    let retry = RetryConfig { max_retries: Some(1), ..RetryConfig::default() };
    let (mut rig, attempts) = Rig::in_flight(Settings { retry, ..settings() }, 2);
    rig.lost(&attempts[0]);
    rig.lost(&attempts[1]);
    let again = rig.wait();
    assert_eq!(seqs(&again), [1]);
    let again = rig.ok(&again[0]);
    assert_eq!(seqs(&again), [2]);
    rig.lost(&again[0]);
    let again = rig.wait();
    rig.duplicate(&again[0], 2);
    assert_eq!(rig.stored, [1, 2]);
}

#[test]
fn what_is_under_way_when_it_halts_may_still_be_stored() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 3);
    let fatal = StreamError::Unauthorized.into();
    rig.answer(&attempts[0], Answer::Failed { error: fatal, fate: Fate::Refused, again: false });
    assert!(rig.failed.is_empty() && rig.stored.is_empty(), "the others are waited for");
    // Refused by one proxy, let through by another.
    rig.lost(&attempts[1]);
    rig.ok(&attempts[2]);
    // The server has numbers without a gap: the last one's acknowledgement speaks for all.
    assert_eq!((rig.stored.as_slice(), rig.failed.as_slice()), (&[3, 1, 2][..], &[][..]));
    assert!(matches!(rig.halted(), ProducerError::Stream(_)));
}

/// ROBUSTNESS 32.
#[test]
fn a_duplicate_that_was_never_sent_is_an_error() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    rig.duplicate(&first[0], 7);
    let error = rig.halted().to_string();
    assert!(error.contains("used before") && error.contains("repeats requests"), "{error}");
    assert_eq!(rig.failed, [(0, true)]);

    // Neither was it sent if each attempt was refused.
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    rig.gap(&attempts[1], 1);
    let again = rig.ok(&attempts[0]);
    rig.duplicate(&again[0], 2);
    assert!(matches!(rig.halted(), ProducerError::UnexpectedDuplicate { epoch: 0, seq: 2 }));

    let mut rig = Rig::new(Settings { accept_duplicates: true, ..settings() });
    let first = rig.offer(1);
    rig.duplicate(&first[0], 7);
    assert_eq!(rig.stored, [0]);
}

#[test]
fn an_echo_from_beyond_what_was_sent_is_somebody_elses() {
    // The server has more of this epoch than we ever sent: whose is the number that it knows?
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.duplicate(&again[0], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!(rig.failed, [(0, true)]);
}

/// ROBUSTNESS 33.
#[test]
fn a_closed_stream_ends_it_and_says_what_is_not_known() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    let closed = || Answer::Closed {
        error: StreamError::StreamClosed { final_offset: None }.into(),
        final_offset: None,
    };
    rig.lost(&attempts[0]);
    rig.answer(&attempts[1], closed());
    assert_eq!(rig.failed, [(1, true), (2, false)]);
    let outcomes: Vec<_> = rig.deliveries[1..].iter().map(|d| d.try_result().unwrap().unwrap_err()).collect();
    assert!(matches!(outcomes[0], ProducerError::OutcomeUnknown { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[1].stream_error(), Some(StreamError::StreamClosed { .. })), "{outcomes:?}");
}

#[test]
fn the_end_of_the_stream_waits_for_all_and_is_exempt() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    let receipt = rig.queue.end(None, Instant::now);
    let Some(Sealed::Ready(end)) = rig.queue.pop(rig.now) else { panic!("no end") };
    rig.machine.window = Window::opened(5, 5);
    rig.machine.offer(end);
    assert!(rig.attempts().is_empty());
    let end = rig.ok(&attempts[0]);
    assert!(end[0].closing && end[0].body.is_empty() && end[0].seq == 2);
    assert!(!rig.machine.wants_batch());
    // A first close is answered 204 too.
    rig.duplicate(&end[0], 2);
    let ack = Delivery::new(receipt, 0).try_result().unwrap().unwrap();
    assert!(!ack.duplicate && rig.machine.is_idle());
}

#[test]
fn retry_after_is_waited_for() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    let error = StreamError::RateLimited { retry_after: Some(Duration::from_secs(7)) }.into();
    rig.answer(&first[0], Answer::Failed { error, fate: Fate::Refused, again: true });
    assert_eq!(rig.machine.deadline(), Some(rig.now + Duration::from_secs(7)));
    assert!(rig.attempts().is_empty());
    let again = rig.wait();
    // Whoever said so may have passed it on nevertheless.
    rig.duplicate(&again[0], 0);
    assert_eq!(rig.stored, [0]);
}

#[test]
fn giving_up_fails_what_is_under_way() {
    let (mut rig, _) = Rig::in_flight(settings(), 2);
    rig.machine.abort(ProducerError::RuntimeGone);
    rig.collect();
    assert_eq!(rig.failed, [(1, true), (2, true)]);
    assert!(rig.machine.is_idle());
}

/// Where an application has to look for what a halt leaves in doubt.
#[test]
fn it_is_known_from_where_to_look_for_the_unsent() {
    let at = |offset: &str| Some(Offset::parse(offset));
    let stored = |offset: &str| Answer::Stored { offset: at(offset), duplicate: false, highest: None };
    let mut rig = Rig::new(claiming());
    assert_eq!(rig.machine.unsent_from(), None);
    rig.machine.set_tail_before(at("0_1"));
    assert_eq!(rig.machine.unsent_from().cloned(), at("0_1"));

    // The answer to the first tells a tail behind which the second, on its way by then, may be already.
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.answer(&attempts[0], stored("0_2"));
    rig.machine.window = Window::opened(2, 5);
    let attempts: Vec<Attempt> = (0..2).flat_map(|_| rig.offer(1)).collect();
    rig.answer(&attempts[0], stored("0_4"));
    rig.answer(&attempts[1], Answer::Failed { error: server_error(), fate: Fate::Unknown, again: false });
    assert_eq!(rig.failed, [(3, true)]);
    assert_eq!(rig.machine.unsent_from().cloned(), at("0_2"));

    // What is known not to be stored need not be looked for.
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.answer(&attempts[0], stored("0_2"));
    let next = rig.offer(1);
    rig.stale(&next[0], 3);
    assert_eq!((rig.failed.clone(), rig.machine.unsent_from().cloned()), (vec![(2, false)], at("0_2")));
}

/// A slow uplink carries one body in time where it does not carry five.
#[test]
fn fewer_travel_after_one_did_not_arrive_in_time() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 5);
    let late = |rig: &mut Rig, attempt: &Attempt| {
        rig.answer(
            attempt,
            Answer::Failed { error: StreamError::Timeout.into(), fate: Fate::Unknown, again: true },
        )
    };
    for attempt in &attempts {
        assert!(late(&mut rig, attempt).is_empty());
    }
    // Once for all that were too late together.
    assert_eq!(rig.machine.window.size(), 2);
    let again = rig.wait();
    late(&mut rig, &again[0]);
    assert_eq!(rig.machine.window.size(), 1);
    let mut again = rig.wait();
    for _ in 0..5 {
        // One after the other.
        assert_eq!(again.len(), 1);
        again = match rig.ok(&again[0]) {
            none if none.is_empty() && rig.machine.deadline().is_some() => rig.wait(),
            next => next,
        };
    }
    assert_eq!(rig.stored, [1, 2, 3, 4, 5]);
}
