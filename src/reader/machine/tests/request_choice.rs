//! Which request comes next: the live modes, and how `Auto` falls back and recovers.

use super::*;

#[test]
fn auto_catches_up_then_uses_sse_where_events_are_exact() {
    for (content_type, tail) in [
        (JSON, RequestKind::Sse),
        (BINARY, RequestKind::Sse),
        (TEXT, RequestKind::LongPoll),
        ("text/html; charset=utf-8", RequestKind::LongPoll),
    ] {
        let mut rig = Rig::new(options(LiveMode::Auto), content_type);
        assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
        rig.page("a1", &[], "[1]");
        assert_eq!(rig.taken(), ("[1]".into(), "a1".into()));
        // The page did not reach the tail.
        assert_eq!(rig.requested(), (RequestKind::Page, "a1".into()));
        rig.page("a2", UP_TO_DATE, "[2]");
        assert_eq!(rig.taken(), ("[2]".into(), "a2".into()));
        assert_eq!(rig.requested(), (tail, "a2".into()), "{content_type}");
    }
}

#[test]
fn explicit_live_modes_send_their_own_kind_of_request() {
    let mut rig = Rig::new(options(LiveMode::Off), JSON);
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1]");
    rig.chunk();
    assert!(matches!(rig.step(), Step::End));

    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.catch_up();
    assert_eq!(rig.requested(), (RequestKind::LongPoll, "a0".into()));

    // An event stream does not name the type of the content.
    let mut rig = Rig::new(options(LiveMode::Sse), JSON);
    assert_eq!(rig.requested().0, RequestKind::Head);
    rig.head(200, &[("content-type", JSON), ("stream-next-offset", "a9")]);
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn offset_now_is_resolved_by_the_first_request() {
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let mut rig = Rig::starting(options(live), JSON, "now", None);
        assert_eq!(rig.requested(), (RequestKind::Tail, "now".into()));
        rig.page_head("a7", UP_TO_DATE);
        assert!(!rig.machine.is_started());
        rig.bytes("[]");
        rig.end();
        assert!(rig.machine.is_started());
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a7");
        assert!(rig.chunk().up_to_date);
        let tail = match live {
            LiveMode::Off => {
                assert!(matches!(rig.step(), Step::End));
                continue;
            }
            LiveMode::LongPoll => RequestKind::LongPoll,
            _ => RequestKind::Sse,
        };
        assert_eq!(rig.requested(), (tail, "a7".into()), "{live:?}");
        let mut rig = Rig::starting(options(live), JSON, "now", None);
        rig.request();
        let error = rig.error_of_repeated(|rig| {
            rig.page_head("a7", UP_TO_DATE);
            rig.bytes("[1]");
            rig.end();
        });
        assert!(matches!(error.kind(), StreamError::Protocol { .. }));
    }
}

#[test]
fn checkpoint_inside_a_page_is_resumed_by_a_plain_request() {
    let mut rig = Rig::starting(options(LiveMode::Sse), JSON, "a0,m2", Some(JSON.into()));
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a1", &[], "[1,2,3]");
    assert_eq!(rig.taken(), ("[3]".into(), "a1".into()));
    assert_eq!(rig.requested(), (RequestKind::Sse, "a1".into()));
}

/// A reader of JSON in `Auto` that has just requested an event stream.
fn before_sse_request() -> Rig {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.catch_up();
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    rig
}

/// Checks that the reader catches up by a plain request, then long-polls. Returns when it requests an event stream again,
/// with the time until then.
fn falls_back_to_long_poll(rig: &mut Rig) -> Duration {
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a0", UP_TO_DATE, "[]");
    let began = rig.now;
    loop {
        match rig.request().kind {
            RequestKind::LongPoll => rig.advance(Duration::from_secs(1)),
            RequestKind::Sse => return rig.now - began,
            other => panic!("{other:?}"),
        }
        assert!(rig.now - began < Duration::from_secs(3600), "no event stream within an hour");
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
    }
}

#[test]
fn auto_falls_back_where_sse_is_refused_and_retries_it_later() {
    let refusals = [
        StreamError::BadRequest { message: "no events".into() },
        StreamError::NotFound { url: "http://h/s".into() },
        StreamError::ServerError { status: 501, message: "no events".into() },
    ];
    for refusal in refusals {
        let mut rig = before_sse_request();
        rig.fail_request(refusal.clone());
        let first = falls_back_to_long_poll(&mut rig);
        assert!(first >= Duration::from_secs(59) && first < Duration::from_secs(65), "{first:?}");
        // Refused again: the cooldown is longer.
        rig.fail_request(refusal);
        assert!(falls_back_to_long_poll(&mut rig) >= Duration::from_secs(119));
        // They work now: the cooldown is over.
        rig.sse_head();
        rig.data("[1]");
        rig.control("a1", "");
        assert_eq!(rig.taken(), ("[1]".into(), "a1".into()));
        rig.end();
        assert_eq!(rig.requested(), (RequestKind::Sse, "a1".into()));
    }
}

#[test]
fn errors_that_do_not_refuse_sse_do_not_disable_it() {
    for kind in [
        unavailable(),
        StreamError::RateLimited { retry_after: None },
        StreamError::ServerError { status: 408, message: String::new() },
        StreamError::ServerError { status: 425, message: String::new() },
    ] {
        let mut rig = before_sse_request();
        rig.fail_request(kind);
        // After an outage plain requests catch up, which caches can answer.
        assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
        rig.page("a0", UP_TO_DATE, "[]");
        assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    }
    for kind in [StreamError::Unauthorized, StreamError::Forbidden] {
        let mut rig = before_sse_request();
        rig.fail_request(kind);
        rig.error();
    }
}

#[test]
fn auto_falls_back_where_the_response_is_no_event_stream() {
    let answers: [&[(&str, &str)]; 2] =
        [&[("content-type", "text/html")], &[("content-type", JSON), ("stream-next-offset", "a0")]];
    for fields in answers {
        let mut rig = before_sse_request();
        rig.head(200, fields);
        falls_back_to_long_poll(&mut rig);
    }
    // Binary content needs base64.
    let mut rig = Rig::new(options(LiveMode::Auto), BINARY);
    rig.catch_up();
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream")]);
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    // With `LiveMode::Sse` there is no fallback: it is an error.
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), BINARY);
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream")]);
    assert!(matches!(rig.error().kind(), StreamError::SseNotSupported { .. }));
    for (fields, sse_error) in answers.into_iter().zip([false, true]) {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
        rig.request();
        rig.head(200, fields);
        let kind = rig.error().into_kind();
        assert_eq!(matches!(kind, StreamError::SseNotSupported { .. }), sse_error, "{kind}");
        assert_eq!(matches!(kind, StreamError::ContentTypeMismatch { .. }), !sse_error, "{kind}");
    }
}

#[test]
fn auto_falls_back_where_sse_is_buffered() {
    let mut rig = before_sse_request();
    assert_eq!(rig.advance_to_deadline(), SSE_HEAD_TIMEOUT);
    falls_back_to_long_poll(&mut rig);
    let mut rig = before_sse_request();
    rig.sse_head();
    rig.assert_receiving();
    assert_eq!(rig.advance_to_deadline(), SSE_FIRST_BYTE_TIMEOUT);
    falls_back_to_long_poll(&mut rig);
}

#[test]
fn short_lived_event_streams_are_not_requested_in_a_loop() {
    for broken in [false, true] {
        let mut rig = before_sse_request();
        let began = rig.now;
        let mut tries = 1;
        loop {
            rig.sse_head();
            rig.unchanged_control();
            if broken {
                rig.break_body()
            } else {
                rig.end()
            }
            let mut next = rig.request().kind;
            // After a failure a plain request catches up.
            while next == RequestKind::Page {
                rig.page("a0", UP_TO_DATE, "[]");
                next = rig.request().kind;
            }
            if next == RequestKind::LongPoll {
                break;
            }
            tries += 1;
            assert!(tries < 100, "too many requests");
        }
        assert_eq!(tries, 3, "broken: {broken}");
        assert!(rig.now - began < Duration::from_secs(3));
    }
    // With `LiveMode::Sse` they are requested again, with delays.
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    let (began, mut requests) = (rig.now, 0);
    while rig.now - began < Duration::from_secs(3) {
        assert_eq!(rig.requested().0, RequestKind::Sse);
        requests += 1;
        assert!(requests < 100, "too many requests");
        rig.sse_head();
        rig.unchanged_control();
        rig.end();
        if requests == 1 {
            assert!(rig.chunk().up_to_date);
        }
    }
    assert!(requests <= 10, "{requests} requests in 3 s");
}

#[test]
fn event_stream_that_delivered_or_lived_is_healthy() {
    let mut rig = before_sse_request();
    for n in 0..20 {
        let offset = format!("a{n:02}");
        rig.sse_head();
        if n % 2 == 0 {
            rig.data("[1]");
            rig.control(&offset, ",\"upToDate\":true");
            assert_eq!(rig.taken(), ("[1]".into(), offset));
        } else {
            rig.control(&format!("a{:02}", n - 1), ",\"upToDate\":true");
            rig.assert_receiving();
            rig.advance(MIN_HEALTHY_LIFETIME);
        }
        rig.end();
        assert_eq!(rig.request().kind, RequestKind::Sse, "after {n}");
    }
}

#[test]
fn plain_request_catches_up_after_an_outage() {
    let mut rig = before_sse_request();
    rig.sse_head();
    rig.unchanged_control();
    rig.break_body();
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1]");
    assert_eq!(rig.taken(), ("[1]".into(), "a1".into()));
    assert_eq!(rig.requested(), (RequestKind::Sse, "a1".into()));
}
