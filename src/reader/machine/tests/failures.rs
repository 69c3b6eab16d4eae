//! Failures: which are retried, for how long, and how the error handler decides.

use super::*;
use crate::RetryConfig;

/// Options with at most this many retries.
fn bounded(live: LiveMode, max_retries: u32) -> Options {
    let retry = RetryConfig { max_retries: Some(max_retries), ..RetryConfig::default() };
    Options { retry, ..options(live) }
}

#[test]
fn max_retries_bounds_consecutive_attempts() {
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll] {
        let mut rig = Rig::new(bounded(live, 3), JSON);
        for _ in 0..3 {
            assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
            rig.fail_request(unavailable());
            assert!(matches!(rig.step(), Step::Wait(_)));
        }
        rig.request();
        rig.fail_request(unavailable());
        let error = rig.error();
        assert!(error.to_string().contains("4 attempts"), "{error}");
        assert_eq!((error.status_code(), error.offset()), (Some(503), Some(&Offset::parse("a0"))));
        assert!(matches!(rig.step(), Step::End), "one error, then the end");
    }
}

#[test]
fn permanent_errors_end_the_reader_at_once() {
    for kind in [
        StreamError::NotFound { url: "http://h/s".into() },
        StreamError::Unauthorized,
        StreamError::Forbidden,
        StreamError::Redirect { reason: "a loop".into() },
    ] {
        let mut rig = Rig::new(options(LiveMode::Auto), JSON);
        rig.request();
        rig.fail_request(kind);
        rig.error();
    }
}

#[test]
fn head_distinguishes_expired_data_from_deleted_stream() {
    let gone = || StreamError::OffsetGone { offset: "a0".into() };
    let asked = |live| {
        let mut rig = Rig::with_known_type(options(live), JSON);
        rig.request();
        rig.fail_request(gone());
        assert_eq!(rig.requested().0, RequestKind::Head, "{live:?}");
        rig
    };
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let mut rig = asked(live);
        rig.head(200, &[("content-type", JSON), ("stream-next-offset", "a9")]);
        let error = rig.error();
        assert!(matches!(error.kind(), StreamError::OffsetGone { .. }), "{error}");
        let mut rig = asked(live);
        rig.fail_request(StreamError::Gone { url: "http://h/s".into() });
        let error = rig.error();
        assert!(matches!(error.kind(), StreamError::Gone { .. }), "{error}");
        assert_eq!((error.status_code(), error.offset()), (Some(410), Some(&Offset::parse("a0"))));
        // If HEAD is refused, the error of the first request is reported.
        let mut rig = asked(live);
        rig.fail_request(StreamError::NotSupported);
        assert!(matches!(rig.error().kind(), StreamError::OffsetGone { .. }));
    }
}

#[test]
fn retry_after_is_the_shortest_wait() {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.request();
    let fail = |rig: &mut Rig, asked: Duration| {
        let error = Error::from(StreamError::RateLimited { retry_after: Some(asked) });
        rig.machine.on_request_failed(error.edit(|context| context.retry_after = Some(asked)), rig.now);
    };
    let minutes = Duration::from_secs(240);
    fail(&mut rig, minutes);
    assert!(matches!(rig.step(), Step::Wait(wait) if wait >= minutes));
    // A date in the year 9999, for instance, is not waited for.
    rig.advance(minutes);
    rig.request();
    fail(&mut rig, Duration::from_secs(1 << 40));
    assert!(matches!(rig.step(), Step::Wait(wait) if wait <= rig.machine.options.retry.max_retry_after));
}

#[test]
fn live_reader_retries_without_end_and_catch_up_gives_up() {
    let gives_up = |live| {
        let mut rig = Rig::new(options(live), JSON);
        let began = rig.now;
        for attempt in 0..1000 {
            rig.request();
            rig.fail_request(unavailable());
            if let Step::Fail(_) = rig.step() {
                return Some((attempt, rig.now - began));
            }
        }
        None
    };
    assert!(gives_up(LiveMode::Auto).is_none() && gives_up(LiveMode::LongPoll).is_none());
    let (attempts, elapsed) = gives_up(LiveMode::Off).expect("it gives up");
    assert!(attempts > 5 && elapsed <= OPERATION_BUDGET, "{attempts} in {elapsed:?}");
}

#[test]
fn only_new_bytes_reset_the_retry_budget() {
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 2), TEXT);
    // Each attempt breaks off at the same place.
    let attempt = |rig: &mut Rig, bytes: &str| {
        rig.request();
        rig.page_head("a1", &[("content-length", "99")]);
        rig.bytes(bytes);
        rig.break_body();
    };
    attempt(&mut rig, "1234");
    assert_eq!(rig.taken(), ("1234".into(), "a0,b4".into()));
    attempt(&mut rig, "1234");
    // One byte more is progress.
    attempt(&mut rig, "12345");
    assert_eq!(rig.taken(), ("5".into(), "a0,b5".into()));
    // As many bytes as before, or fewer, are not.
    attempt(&mut rig, "12345");
    attempt(&mut rig, "123");
    let error = rig.error();
    assert!(matches!(error.kind(), StreamError::Network(_)), "{error}");
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0,b5");
}

#[test]
fn sse_data_without_control_event_does_not_reset_the_retry_budget() {
    let mut rig = Rig::with_known_type(bounded(LiveMode::Sse, 2), JSON);
    for _ in 0..3 {
        rig.request();
        rig.sse_head();
        rig.data("[1]");
        rig.break_body();
    }
    rig.error();
}

#[test]
fn healthy_sse_resets_the_retry_budget_only_after_a_control_event() {
    for (with_control, expected) in [(true, 10), (false, 3)] {
        let mut rig = Rig::with_known_type(bounded(LiveMode::Sse, 2), JSON);
        let mut attempts = 0;
        while attempts < 10 {
            match rig.step() {
                Step::Wait(wait) => rig.advance(wait),
                Step::Chunk(chunk) => assert!(chunk.is_empty()),
                Step::Fail(_) => break,
                Step::Receive => {
                    rig.advance(Duration::from_secs(30));
                    rig.break_body();
                }
                Step::Send(_) => {
                    attempts += 1;
                    rig.sse_head();
                    if with_control {
                        rig.unchanged_control()
                    } else {
                        rig.bytes(": nothing but a comment\n")
                    }
                }
                Step::End => panic!("an end"),
            }
        }
        assert_eq!(attempts, expected, "with_control: {with_control}");
    }
}

/// Answers the plain requests that come before a long-poll after a failure, with empty pages.
fn until_long_poll(rig: &mut Rig) {
    loop {
        match rig.step() {
            Step::Send(request) if request.kind == RequestKind::Page => rig.page("a0", UP_TO_DATE, ""),
            Step::Send(request) => return assert_eq!(request.kind, RequestKind::LongPoll),
            Step::Wait(wait) => rig.advance(wait),
            Step::Chunk(chunk) => assert!(chunk.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn long_polls_ended_by_a_proxy_do_not_spend_the_retry_budget() {
    let gateway = || StreamError::ServerError { status: 504, message: "gateway timeout".into() };
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 2), TEXT);
    for _ in 0..100 {
        until_long_poll(&mut rig);
        rig.advance(Duration::from_secs(60));
        rig.fail_request(gateway());
        let Step::Wait(wait) = rig.step() else { panic!("no wait") };
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        rig.advance(wait);
    }
    // A long-poll that is refused at once is an ordinary failure.
    until_long_poll(&mut rig);
    rig.fail_request(gateway());
    until_long_poll(&mut rig);
    rig.fail_request(gateway());
    assert_eq!(rig.error().status_code(), Some(504));
}

/// Options with an error handler that returns `action`, and the number of its calls.
fn handled(
    options: Options,
    action: impl Fn(usize, &StreamError) -> ErrorAction + Send + Sync + 'static,
) -> (Options, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let on_error: std::sync::Arc<crate::exchange::error_action::ErrorHandler> =
        Arc::new(move |error| action(counter.fetch_add(1, Ordering::Relaxed), error));
    (Options { on_error: Some(on_error), ..options }, calls)
}

fn token(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap())])
}

#[test]
fn error_handler_is_called_for_every_failure() {
    let (options, calls) = handled(options(LiveMode::LongPoll), |_, _| ErrorAction::Retry { headers: None });
    let mut rig = Rig::new(options, JSON);
    rig.request();
    rig.fail_request(StreamError::Unauthorized);
    rig.request();
    rig.machine.on_request_failed(TransportError::new(TransportErrorKind::Connect).into(), rig.now);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    assert_eq!(rig.taken(), ("[1]".into(), "a0,m1".into()));
    rig.break_body();
    rig.request();
    // Silence.
    rig.page_head("a1", &[]);
    rig.assert_receiving();
    rig.advance_to_deadline();
    rig.request();
    // A response without an offset.
    rig.head(200, &[("content-type", JSON)]);
    rig.request();
    rig.page("a1", UP_TO_DATE, "[1,2]");
    assert_eq!(rig.taken(), ("[2]".into(), "a1".into()));
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[test]
fn headers_of_error_handler_hold_until_replaced() {
    let (options, _) = handled(options(LiveMode::LongPoll), |nth, _| ErrorAction::Retry {
        headers: match nth {
            0 => Some(token("one")),
            1 => None,
            _ => Some(token("two")),
        },
    });
    let mut rig = Rig::new(options, JSON);
    let sent = |rig: &mut Rig| rig.request().headers.get(header::AUTHORIZATION).cloned();
    assert_eq!(sent(&mut rig), None);
    rig.fail_request(StreamError::Unauthorized);
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.fail_request(unavailable());
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.page("a1", UP_TO_DATE, "[1]");
    rig.chunk();
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.fail_request(StreamError::Unauthorized);
    assert_eq!(sent(&mut rig).unwrap(), "two");
}

#[test]
fn error_handler_can_stop_and_is_bounded_by_the_retry_policy() {
    let (stopping, calls) = handled(options(LiveMode::Auto), |_, _| ErrorAction::Stop);
    let mut rig = Rig::new(stopping, JSON);
    rig.request();
    rig.fail_request(unavailable());
    rig.error();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let (retrying, calls) = handled(bounded(LiveMode::Auto, 4), |_, _| ErrorAction::Retry { headers: None });
    let mut rig = Rig::new(retrying, JSON);
    for _ in 0..5 {
        rig.request();
        rig.fail_request(StreamError::Unauthorized);
    }
    rig.error();
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[test]
fn silence_in_a_page_is_a_timeout() {
    let idle = Duration::from_secs(7);
    let options = Options { idle_timeout: idle, ..bounded(LiveMode::LongPoll, 0) };
    let mut rig = Rig::new(options, TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "9")]);
    rig.assert_receiving();
    rig.advance(idle - Duration::from_secs(1));
    // Every byte restarts the timeout.
    rig.bytes("12");
    assert_eq!(rig.taken().0, "12");
    rig.assert_receiving();
    assert_eq!(rig.advance_to_deadline(), idle);
    let error = rig.error();
    assert!(matches!(error.kind(), StreamError::Timeout) && error.to_string().contains("7s"), "{error}");
}

#[test]
fn idle_timeout_excludes_time_spent_in_consumer() {
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 0), TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "9")]);
    rig.now += Duration::from_secs(3600);
    rig.machine.on_wait(rig.now);
    rig.machine.on_deadline(rig.now);
    rig.assert_receiving();
}

#[test]
fn quiet_event_stream_is_reopened_without_a_failure() {
    for live in [LiveMode::Sse, LiveMode::Auto] {
        let (options, calls) = handled(bounded(live, 0), |_, _| ErrorAction::Stop);
        let mut rig = Rig::with_known_type(options, JSON);
        if live == LiveMode::Auto {
            rig.catch_up();
        }
        for n in 0..10 {
            assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
            rig.sse_head();
            rig.unchanged_control();
            if n == 0 && live == LiveMode::Sse {
                assert!(rig.chunk().up_to_date);
            }
            rig.assert_receiving();
            assert_eq!(rig.advance_to_deadline(), Duration::from_secs(60));
            if live == LiveMode::Auto {
                // The connection may have been dead for a while: a plain request catches up.
                assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
                rig.page("a0", UP_TO_DATE, "[]");
            }
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0, "no failure");
    }
    // An event stream without a single byte is a failure.
    let mut rig = Rig::with_known_type(bounded(LiveMode::Sse, 0), JSON);
    rig.request();
    rig.sse_head();
    rig.assert_receiving();
    rig.advance_to_deadline();
    assert!(matches!(rig.error().kind(), StreamError::Timeout));
}

#[test]
fn connections_are_given_up_after_suspension() {
    let (no_retries, calls) = handled(bounded(LiveMode::LongPoll, 0), |_, _| ErrorAction::Stop);
    let mut rig = Rig::new(no_retries.clone(), JSON);
    let suspend = |rig: &mut Rig| rig.machine.on_suspended(rig.now);
    // Before the response; inside a page; in a long-poll; on an event stream.
    rig.request();
    suspend(&mut rig);
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    assert_eq!(rig.taken(), ("[1]".into(), "a0,m1".into()));
    suspend(&mut rig);
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1,2]");
    assert_eq!(rig.taken(), ("[2]".into(), "a1".into()));
    assert_eq!(rig.requested(), (RequestKind::LongPoll, "a1".into()));
    suspend(&mut rig);
    assert_eq!(rig.requested(), (RequestKind::Page, "a1".into()));
    let mut rig = Rig::with_known_type(Options { live: LiveMode::Sse, ..no_retries }, JSON);
    rig.request();
    rig.sse_head();
    rig.data("[1]");
    rig.assert_receiving();
    suspend(&mut rig);
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    // While a HEAD asks whether the stream is gone.
    let mut rig = Rig::with_known_type(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.fail_request(StreamError::OffsetGone { offset: "a0".into() });
    assert_eq!(rig.requested().0, RequestKind::Head);
    suspend(&mut rig);
    assert_eq!(rig.requested().0, RequestKind::Head);
    assert_eq!(calls.load(Ordering::Relaxed), 0, "none of it is a failure");

    // The delay before a retry is not shortened.
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.request();
    rig.fail_request(unavailable());
    let Step::Wait(wait) = rig.step() else { panic!("no wait") };
    suspend(&mut rig);
    assert!(matches!(rig.step(), Step::Wait(left) if left == wait));
}

#[test]
fn port_of_another_protocol_fails_the_first_connection_after_the_operation_budget() {
    let malformed = || StreamError::Network(TransportError::new(TransportErrorKind::Malformed));
    let reset = || StreamError::Network(TransportError::new(TransportErrorKind::Closed));
    for live in [LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let mut rig = Rig::new(options(live), JSON);
        let began = rig.now;
        let mut attempts = 0;
        let error = loop {
            attempts += 1;
            match rig.step() {
                // Such a server may reset a connection instead.
                Step::Send(_) if attempts % 5 == 0 => rig.fail_request(reset()),
                Step::Send(_) => rig.fail_request(malformed()),
                Step::Wait(wait) => rig.advance(wait),
                Step::Fail(error) => break error,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(error.kind(), StreamError::Network(_)), "{error}");
        let took = rig.now - began;
        assert!(took > OPERATION_BUDGET / 2 && took <= OPERATION_BUDGET, "{took:?}");
    }
    // A server that is down, or was there before, may come back.
    for is_started in [false, true] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        if is_started {
            rig.catch_up();
        }
        let began = rig.now;
        while rig.now - began < 10 * OPERATION_BUDGET {
            rig.request();
            match is_started {
                true => rig.fail_request(malformed()),
                false => rig.fail_request(unavailable()),
            }
            rig.advance(Duration::from_secs(1));
        }
    }
}

#[test]
fn event_stream_with_nothing_but_comments_is_replaced() {
    let options = Options { idle_timeout: Duration::from_secs(600), ..options(LiveMode::Sse) };
    let mut rig = Rig::with_known_type(options, JSON);
    let bound = rig.machine.options.event_timeout;
    assert_eq!(rig.request().kind, RequestKind::Sse);
    rig.sse_head();
    rig.unchanged_control();
    assert!(rig.chunk().up_to_date);
    rig.assert_receiving();
    // An event counts, even one without data.
    rig.advance(bound - Duration::from_secs(20));
    rig.unchanged_control();
    rig.assert_receiving();
    let opened = rig.now;
    while rig.now - opened < bound {
        rig.bytes(": heartbeat\n\n");
        rig.assert_receiving();
        rig.advance(Duration::from_secs(10));
        // A consumer that looks elsewhere now and then does not prolong it.
        rig.machine.on_wait(rig.now);
    }
    // Without an error, and without a delay.
    assert_eq!(rig.request().kind, RequestKind::Sse);
}

#[test]
fn event_stream_that_asks_for_a_delay_gets_it_before_the_next_connection() {
    for breaks in [false, true] {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
        rig.request();
        rig.sse_head();
        rig.bytes("retry: 2000\n\n");
        rig.data("[1]");
        rig.control("a1", "");
        assert_eq!(rig.taken().0, "[1]");
        if breaks {
            rig.break_body();
        } else {
            rig.end();
        }
        match rig.step() {
            Step::Wait(wait) => assert_eq!(wait, Duration::from_secs(2)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn outage_is_shown_until_content_or_a_whole_page() {
    let options = options(LiveMode::LongPoll);
    let status = options.connection_status.clone();
    let mut rig = Rig::new(options, JSON);
    for attempt in 1..=3 {
        rig.request();
        rig.fail_request(unavailable());
        let outage = status.outage().unwrap();
        assert_eq!(outage.failed_attempts, attempt);
        assert_eq!(outage.cause.status_code(), Some(503));
        assert!(outage.next_attempt.unwrap() >= rig.now);
    }
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1");
    rig.break_body();
    // The head alone is no end of it.
    rig.request();
    assert_eq!(status.outage().unwrap().failed_attempts, 4);
    rig.page("a1", &[], "[1]");
    assert_eq!(rig.taken().0, "[1]");
    assert!(status.outage().is_none());
}
