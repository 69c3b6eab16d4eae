//! Failures: what is tried again, for how long, and what the application has to say about it.

use super::*;
use crate::RetryConfig;

/// At most so many retries, and no jitter worth a mention.
fn bounded(live: LiveMode, max_retries: u32) -> Options {
    let retry = RetryConfig { max_retries: Some(max_retries), ..RetryConfig::default() };
    Options { retry, ..options(live) }
}

#[test]
fn the_policy_bounds_attempts_in_a_row() {
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll] {
        let mut rig = Rig::new(bounded(live, 3), JSON);
        for _ in 0..3 {
            assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
            rig.refuse(unavailable());
            assert!(matches!(rig.step(), Step::Rest(_)));
        }
        rig.request();
        rig.refuse(unavailable());
        let error = rig.fails();
        assert!(error.to_string().contains("4 attempts"), "{error}");
        assert_eq!((error.status_code(), error.offset()), (Some(503), Some(&Offset::parse("a0"))));
        assert!(matches!(rig.step(), Step::End), "one error, then the end");
    }
}

#[test]
fn what_another_attempt_cannot_help_ends_at_once() {
    for kind in [
        StreamError::NotFound { url: "http://h/s".into() },
        StreamError::Unauthorized,
        StreamError::Forbidden,
        StreamError::Redirect { reason: "a loop".into() },
    ] {
        let mut rig = Rig::new(options(LiveMode::Auto), JSON);
        rig.request();
        rig.refuse(kind);
        rig.fails();
    }
}

#[test]
fn expired_data_is_told_from_a_deleted_stream() {
    let gone = || StreamError::OffsetGone { offset: "a0".into() };
    let asked = |live| {
        let mut rig = Rig::knowing(options(live), JSON);
        rig.request();
        rig.refuse(gone());
        assert_eq!(rig.asks().0, RequestKind::Head, "{live:?}");
        rig
    };
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let mut rig = asked(live);
        rig.head(200, &[("content-type", JSON), ("stream-next-offset", "a9")]);
        let error = rig.fails();
        assert!(matches!(error.kind(), StreamError::OffsetGone { .. }), "{error}");
        let mut rig = asked(live);
        rig.refuse(StreamError::Gone { url: "http://h/s".into() });
        let error = rig.fails();
        assert!(matches!(error.kind(), StreamError::Gone { .. }), "{error}");
        assert_eq!((error.status_code(), error.offset()), (Some(410), Some(&Offset::parse("a0"))));
        // Where that cannot be asked, the first answer holds.
        let mut rig = asked(live);
        rig.refuse(StreamError::NotSupported);
        assert!(matches!(rig.fails().kind(), StreamError::OffsetGone { .. }));
    }
}

#[test]
fn retry_after_is_a_floor() {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.request();
    let hour = Duration::from_secs(3600);
    let error = Error::from(StreamError::RateLimited { retry_after: Some(hour) });
    rig.machine.on_request_failed(error.edit(|context| context.retry_after = Some(hour)), rig.now);
    assert!(matches!(rig.step(), Step::Rest(wait) if wait >= hour));
}

#[test]
fn a_live_reader_tries_for_ever_and_a_catch_up_does_not() {
    let patience = |live| {
        let mut rig = Rig::new(options(live), JSON);
        let began = rig.now;
        for attempt in 0..1000 {
            rig.request();
            rig.refuse(unavailable());
            if let Step::Fail(_) = rig.step() {
                return Some((attempt, rig.now - began));
            }
        }
        None
    };
    assert!(patience(LiveMode::Auto).is_none() && patience(LiveMode::LongPoll).is_none());
    let (attempts, elapsed) = patience(LiveMode::Off).expect("it gives up");
    assert!(attempts > 5 && elapsed <= OPERATION_BUDGET, "{attempts} in {elapsed:?}");
}

#[test]
fn only_new_bytes_renew_the_budget() {
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 2), TEXT);
    // Breaks at the same place, again and again.
    let attempt = |rig: &mut Rig, bytes: &str| {
        rig.request();
        rig.page_head("a1", &[("content-length", "99")]);
        rig.bytes(bytes);
        rig.break_off();
    };
    attempt(&mut rig, "1234");
    assert_eq!(rig.gives(), ("1234".into(), "a0,b4".into()));
    attempt(&mut rig, "1234");
    // One byte more is progress.
    attempt(&mut rig, "12345");
    assert_eq!(rig.gives(), ("5".into(), "a0,b5".into()));
    // As much as before, and less, is none.
    attempt(&mut rig, "12345");
    attempt(&mut rig, "123");
    let error = rig.fails();
    assert!(matches!(error.kind(), StreamError::Network(_)), "{error}");
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0,b5");
}

#[test]
fn data_that_nobody_vouched_for_renews_nothing() {
    let mut rig = Rig::knowing(bounded(LiveMode::Sse, 2), JSON);
    for _ in 0..3 {
        rig.request();
        rig.events();
        rig.data("[1]");
        rig.break_off();
    }
    rig.fails();
}

#[test]
fn a_quiet_tail_that_lived_renews_the_budget_if_it_said_where_it_stands() {
    for (vouched, expected) in [(true, 10), (false, 3)] {
        let mut rig = Rig::knowing(bounded(LiveMode::Sse, 2), JSON);
        let mut attempts = 0;
        while attempts < 10 {
            match rig.step() {
                Step::Rest(wait) => rig.pass(wait),
                Step::Chunk(chunk) => assert!(chunk.is_empty()),
                Step::Fail(_) => break,
                Step::Receive => {
                    rig.pass(Duration::from_secs(30));
                    rig.break_off();
                }
                Step::Send(_) => {
                    attempts += 1;
                    rig.events();
                    if vouched { rig.still_here() } else { rig.bytes(": nothing but a comment\n") }
                }
                Step::End => panic!("an end"),
            }
        }
        assert_eq!(attempts, expected, "vouched: {vouched}");
    }
}

/// A handler that answers by `action`, and how often it was asked.
/// Goes through what comes before a long-poll after a failure: a page with nothing new.
fn until_long_poll(rig: &mut Rig) {
    loop {
        match rig.step() {
            Step::Send(request) if request.kind == RequestKind::Page => rig.page("a0", UP_TO_DATE, ""),
            Step::Send(request) => return assert_eq!(request.kind, RequestKind::LongPoll),
            Step::Rest(wait) => rig.pass(wait),
            Step::Chunk(chunk) => assert!(chunk.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_proxy_that_ends_each_quiet_long_poll_wears_nothing_out() {
    let gateway = || StreamError::ServerError { status: 504, message: "gateway timeout".into() };
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 2), TEXT);
    for _ in 0..100 {
        until_long_poll(&mut rig);
        rig.pass(Duration::from_secs(60));
        rig.refuse(gateway());
        let Step::Rest(wait) = rig.step() else { panic!("no rest") };
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        rig.pass(wait);
    }
    // One that is refused at once is a failure like any other.
    until_long_poll(&mut rig);
    rig.refuse(gateway());
    until_long_poll(&mut rig);
    rig.refuse(gateway());
    assert_eq!(rig.fails().status_code(), Some(504));
}

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
fn the_application_is_asked_about_every_failure() {
    let (options, calls) = handled(options(LiveMode::LongPoll), |_, _| ErrorAction::Retry { headers: None });
    let mut rig = Rig::new(options, JSON);
    rig.request();
    rig.refuse(StreamError::Unauthorized);
    rig.request();
    rig.machine.on_request_failed(TransportError::new(TransportErrorKind::Connect).into(), rig.now);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    assert_eq!(rig.gives(), ("[1]".into(), "a0,m1".into()));
    rig.break_off();
    rig.request();
    // Silence.
    rig.page_head("a1", &[]);
    rig.is_quiet();
    rig.pass_deadline();
    rig.request();
    // An answer that breaks the protocol.
    rig.head(200, &[("content-type", JSON)]);
    rig.request();
    rig.page("a1", UP_TO_DATE, "[1,2]");
    assert_eq!(rig.gives(), ("[2]".into(), "a1".into()));
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[test]
fn new_headers_hold_until_others_replace_them() {
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
    rig.refuse(StreamError::Unauthorized);
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.refuse(unavailable());
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.page("a1", UP_TO_DATE, "[1]");
    rig.chunk();
    assert_eq!(sent(&mut rig).unwrap(), "one");
    rig.refuse(StreamError::Unauthorized);
    assert_eq!(sent(&mut rig).unwrap(), "two");
}

#[test]
fn the_application_may_stop_and_may_not_retry_for_ever() {
    let (stopping, calls) = handled(options(LiveMode::Auto), |_, _| ErrorAction::Stop);
    let mut rig = Rig::new(stopping, JSON);
    rig.request();
    rig.refuse(unavailable());
    rig.fails();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let (stubborn, calls) = handled(bounded(LiveMode::Auto, 4), |_, _| ErrorAction::Retry { headers: None });
    let mut rig = Rig::new(stubborn, JSON);
    for _ in 0..5 {
        rig.request();
        rig.refuse(StreamError::Unauthorized);
    }
    rig.fails();
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[test]
fn silence_in_a_page_is_a_failure() {
    let idle = Duration::from_secs(7);
    let options = Options { idle_timeout: idle, ..bounded(LiveMode::LongPoll, 0) };
    let mut rig = Rig::new(options, TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "9")]);
    rig.is_quiet();
    rig.pass(idle - Duration::from_secs(1));
    // Anything that arrives starts it anew.
    rig.bytes("12");
    assert_eq!(rig.gives().0, "12");
    rig.is_quiet();
    assert_eq!(rig.pass_deadline(), idle);
    let error = rig.fails();
    assert!(matches!(error.kind(), StreamError::Timeout) && error.to_string().contains("7s"), "{error}");
}

#[test]
fn time_that_the_consumer_took_is_no_silence() {
    let mut rig = Rig::new(bounded(LiveMode::LongPoll, 0), TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "9")]);
    rig.now += Duration::from_secs(3600);
    rig.machine.on_wait(rig.now);
    rig.machine.on_deadline(rig.now);
    rig.is_quiet();
}

#[test]
fn a_quiet_event_stream_is_renewed_without_harm() {
    for live in [LiveMode::Sse, LiveMode::Auto] {
        let (options, calls) = handled(bounded(live, 0), |_, _| ErrorAction::Stop);
        let mut rig = Rig::knowing(options, JSON);
        if live == LiveMode::Auto {
            rig.caught_up();
        }
        for n in 0..10 {
            assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
            rig.events();
            rig.still_here();
            if n == 0 && live == LiveMode::Sse {
                assert!(rig.chunk().up_to_date);
            }
            rig.is_quiet();
            assert_eq!(rig.pass_deadline(), Duration::from_secs(60));
            if live == LiveMode::Auto {
                // It may have been dead for a while.
                assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
                rig.page("a0", UP_TO_DATE, "[]");
            }
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0, "no failure");
    }
    // One that never said anything is another matter.
    let mut rig = Rig::knowing(bounded(LiveMode::Sse, 0), JSON);
    rig.request();
    rig.events();
    rig.is_quiet();
    rig.pass_deadline();
    assert!(matches!(rig.fails().kind(), StreamError::Timeout));
}

#[test]
fn after_a_sleep_connections_are_not_trusted() {
    let (no_retries, calls) = handled(bounded(LiveMode::LongPoll, 0), |_, _| ErrorAction::Stop);
    let mut rig = Rig::new(no_retries.clone(), JSON);
    let slept = |rig: &mut Rig| rig.machine.on_suspended(rig.now);
    // No answer yet; in mid-page; in a long-poll; while events are listened to.
    rig.request();
    slept(&mut rig);
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    assert_eq!(rig.gives(), ("[1]".into(), "a0,m1".into()));
    slept(&mut rig);
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1,2]");
    assert_eq!(rig.gives(), ("[2]".into(), "a1".into()));
    assert_eq!(rig.asks(), (RequestKind::LongPoll, "a1".into()));
    slept(&mut rig);
    assert_eq!(rig.asks(), (RequestKind::Page, "a1".into()));
    let mut rig = Rig::knowing(Options { live: LiveMode::Sse, ..no_retries }, JSON);
    rig.request();
    rig.events();
    rig.data("[1]");
    rig.is_quiet();
    slept(&mut rig);
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    assert_eq!(calls.load(Ordering::Relaxed), 0, "none of it is a failure");

    // A wait between attempts is none the shorter for it: its deadline says when it is over.
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.request();
    rig.refuse(unavailable());
    let Step::Rest(wait) = rig.step() else { panic!("no rest") };
    slept(&mut rig);
    assert!(matches!(rig.step(), Step::Rest(left) if left == wait));
}
