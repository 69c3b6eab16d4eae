use super::*;

#[test]
fn first_batch_of_an_epoch_is_sent_alone() {
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
fn resend_is_identical_and_its_duplicate_is_success() {
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
fn batch_that_waits_for_its_retry_is_not_overtaken() {
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

/// Guarantee 30.
#[test]
fn late_batch_costs_each_successor_one_resend() {
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
fn gap_after_a_failure_does_not_shrink_the_window() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 3);
    rig.lost(&attempts[0]);
    rig.gap(&attempts[1], 1);
    assert_eq!(rig.machine.window.size(), 3);
}

#[test]
fn gap_reported_after_the_predecessor_was_acknowledged_is_resent() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    rig.ok(&attempts[0]);
    let again = rig.gap(&attempts[1], 1);
    assert_eq!(again, [attempts[1].clone()]);
    rig.ok(&again[0]);
    assert_eq!(rig.stored, [1, 2]);
}

#[test]
fn gap_of_the_oldest_batch_halts() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.gap(&attempts[0], 0);
    assert!(matches!(rig.halted(), ProducerError::SequenceGap { expected: 0, received: 1 }));
    assert_eq!(rig.failed, [(1, false)]);
}

/// Guarantee 29.
#[test]
fn spent_retry_budget_halts_and_sends_no_higher_number() {
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
fn acknowledgement_restores_the_retry_budget() {
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
fn batch_in_flight_at_a_halt_may_still_be_acknowledged() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 3);
    let fatal = StreamError::Unauthorized.into();
    rig.answer(&attempts[0], AttemptResult::Failed { error: fatal, fate: Fate::Refused, retry: false });
    assert!(rig.failed.is_empty() && rig.stored.is_empty(), "the others are waited for");
    // Refused by one proxy, let through by another.
    rig.lost(&attempts[1]);
    rig.ok(&attempts[2]);
    // The server has numbers without a gap: the last one's acknowledgement speaks for all.
    assert_eq!((rig.stored.as_slice(), rig.failed.as_slice()), (&[3, 1, 2][..], &[][..]));
    assert!(matches!(rig.halted(), ProducerError::Stream(_)));
}

/// Guarantee 32.
#[test]
fn duplicate_of_a_first_attempt_halts() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    rig.duplicate(&first[0], 7);
    let error = rig.halted().to_string();
    assert!(error.contains("same epoch before") && error.contains("repeats requests"), "{error}");
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
fn duplicate_above_sent_seq_means_other_producer() {
    // The server has more of this epoch than we ever sent: whose is the number that it knows?
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    rig.lost(&first[0]);
    let again = rig.wait();
    rig.duplicate(&again[0], 3);
    assert!(matches!(rig.halted(), ProducerError::OutcomeUnknown { .. }), "{:?}", rig.halted());
    assert_eq!(rig.failed, [(0, true)]);
}

/// Guarantee 33.
#[test]
fn closed_stream_halts_and_reports_batches_in_doubt() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 2);
    let closed = || AttemptResult::Closed {
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
fn close_waits_for_all_batches_and_may_be_repeated() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    let receipt = rig.queue.push_close(None, Instant::now);
    let Some(Sealed::Ready(end)) = rig.queue.pop(rig.now) else { panic!("no end") };
    rig.machine.window = Window::opened(5, 5);
    rig.machine.push_batch(end);
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
fn retry_after_delays_the_resend() {
    let mut rig = Rig::new(settings());
    let first = rig.offer(1);
    let error = StreamError::RateLimited { retry_after: Some(Duration::from_secs(7)) }.into();
    rig.answer(&first[0], AttemptResult::Failed { error, fate: Fate::Refused, retry: true });
    assert_eq!(rig.machine.deadline(), Some(rig.now + Duration::from_secs(7)));
    assert!(rig.attempts().is_empty());
    let again = rig.wait();
    // The proxy that refused it may have passed it on nevertheless.
    rig.duplicate(&again[0], 0);
    assert_eq!(rig.stored, [0]);
}

#[test]
fn abort_fails_batches_in_flight() {
    let (mut rig, _) = Rig::in_flight(settings(), 2);
    rig.machine.abort(ProducerError::RuntimeGone);
    rig.collect();
    assert_eq!(rig.failed, [(1, true), (2, true)]);
    assert!(rig.machine.is_idle());
}

/// Where an application has to look for what a halt leaves in doubt.
#[test]
fn unacked_from_is_the_tail_before_the_oldest_batch_in_doubt() {
    let at = |offset: &str| Some(Offset::parse(offset));
    let stored = |offset: &str| AttemptResult::Stored { offset: at(offset), duplicate: false, highest: None };
    let mut rig = Rig::new(claiming());
    rig.machine.on_metadata(Offset::parse("0_1"));
    assert_eq!(rig.machine.unacked_from(), None);
    rig.machine.halt(ProducerError::Closed);
    assert_eq!(rig.machine.unacked_from().cloned(), at("0_1"));

    // The response to the first has a tail that may lie behind the second, which is in flight.
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.answer(&attempts[0], stored("0_2"));
    rig.machine.window = Window::opened(2, 5);
    let attempts: Vec<Attempt> = (0..2).flat_map(|_| rig.offer(1)).collect();
    rig.answer(&attempts[0], stored("0_4"));
    rig.answer(
        &attempts[1],
        AttemptResult::Failed { error: server_error(), fate: Fate::Unknown, retry: false },
    );
    assert_eq!(rig.failed, [(3, true)]);
    assert_eq!(rig.machine.unacked_from().cloned(), at("0_2"));

    // What is known not to be stored need not be looked for.
    let (mut rig, attempts) = Rig::in_flight(settings(), 1);
    rig.answer(&attempts[0], stored("0_2"));
    let next = rig.offer(1);
    rig.stale(&next[0], 3);
    assert_eq!((rig.failed.clone(), rig.machine.unacked_from().cloned()), (vec![(2, false)], at("0_2")));
}

/// A slow uplink carries one body in time where it does not carry five.
#[test]
fn timeout_shrinks_the_window() {
    let (mut rig, attempts) = Rig::in_flight(settings(), 5);
    let late = |rig: &mut Rig, attempt: &Attempt| {
        rig.answer(
            attempt,
            AttemptResult::Failed { error: StreamError::Timeout.into(), fate: Fate::Unknown, retry: true },
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
