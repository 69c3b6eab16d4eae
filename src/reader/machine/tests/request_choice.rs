//! Which request comes next: the modes, and how `Auto` goes from one to the other and back.

use super::*;

#[test]
fn auto_catches_up_first_and_takes_events_where_they_are_exact() {
    for (content_type, tail) in [
        (JSON, RequestKind::Sse),
        (BINARY, RequestKind::Sse),
        (TEXT, RequestKind::LongPoll),
        ("text/html; charset=utf-8", RequestKind::LongPoll),
    ] {
        let mut rig = Rig::new(options(LiveMode::Auto), content_type);
        assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
        rig.page("a1", &[], "[1]");
        assert_eq!(rig.gives(), ("[1]".into(), "a1".into()));
        // Not the end yet.
        assert_eq!(rig.asks(), (RequestKind::Page, "a1".into()));
        rig.page("a2", UP_TO_DATE, "[2]");
        assert_eq!(rig.gives(), ("[2]".into(), "a2".into()));
        assert_eq!(rig.asks(), (tail, "a2".into()), "{content_type}");
    }
}

#[test]
fn the_explicit_modes_do_what_they_say() {
    let mut rig = Rig::new(options(LiveMode::Off), JSON);
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1]");
    rig.chunk();
    assert!(matches!(rig.step(), Step::End));

    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.caught_up();
    assert_eq!(rig.asks(), (RequestKind::LongPoll, "a0".into()));

    // Events do not say what the stream is made of.
    let mut rig = Rig::new(options(LiveMode::Sse), JSON);
    assert_eq!(rig.asks().0, RequestKind::Head);
    rig.head(200, &[("content-type", JSON), ("stream-next-offset", "a9")]);
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn now_is_resolved_before_anything_else() {
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let mut rig = Rig::starting(options(live), JSON, "now", None);
        assert_eq!(rig.asks(), (RequestKind::Tail, "now".into()));
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
        assert_eq!(rig.asks(), (tail, "a7".into()), "{live:?}");
        let mut rig = Rig::starting(options(live), JSON, "now", None);
        rig.request();
        rig.page_head("a7", UP_TO_DATE);
        rig.bytes("[1]");
        rig.end();
        assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
    }
}

#[test]
fn from_inside_a_page_it_is_read_by_a_plain_request_first() {
    let mut rig = Rig::starting(options(LiveMode::Sse), JSON, "a0,m2", Some(JSON.into()));
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a1", &[], "[1,2,3]");
    assert_eq!(rig.gives(), ("[3]".into(), "a1".into()));
    assert_eq!(rig.asks(), (RequestKind::Sse, "a1".into()));
}

/// A tail of JSON in `Auto` whose next request is one for events.
fn about_to_listen() -> Rig {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.caught_up();
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    rig
}

/// Asks what was missed by a plain request, then goes on by long-poll, until events are tried again.
fn goes_on_by_long_poll(rig: &mut Rig) -> Duration {
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a0", UP_TO_DATE, "[]");
    let began = rig.now;
    loop {
        match rig.request().kind {
            RequestKind::LongPoll => rig.pass(Duration::from_secs(1)),
            RequestKind::Sse => return rig.now - began,
            other => panic!("{other:?}"),
        }
        assert!(rig.now - began < Duration::from_secs(3600), "never again");
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
    }
}

#[test]
fn auto_goes_on_where_events_are_refused_and_comes_back() {
    let refusals = [
        StreamError::BadRequest { message: "no events".into() },
        StreamError::NotFound { url: "http://h/s".into() },
        StreamError::ServerError { status: 501, message: "no events".into() },
    ];
    for refusal in refusals {
        let mut rig = about_to_listen();
        rig.refuse(refusal.clone());
        let first = goes_on_by_long_poll(&mut rig);
        assert!(first >= Duration::from_secs(59) && first < Duration::from_secs(65), "{first:?}");
        // Refused again: tried less often.
        rig.refuse(refusal);
        assert!(goes_on_by_long_poll(&mut rig) >= Duration::from_secs(119));
        // They work by now, and are trusted again.
        rig.events();
        rig.data("[1]");
        rig.control("a1", "");
        assert_eq!(rig.gives(), ("[1]".into(), "a1".into()));
        rig.end();
        assert_eq!(rig.asks(), (RequestKind::Sse, "a1".into()));
    }
}

#[test]
fn what_is_no_refusal_of_events_is_no_reason_to_give_them_up() {
    for kind in [
        unavailable(),
        StreamError::RateLimited { retry_after: None },
        StreamError::ServerError { status: 408, message: String::new() },
        StreamError::ServerError { status: 425, message: String::new() },
    ] {
        let mut rig = about_to_listen();
        rig.refuse(kind);
        // After an outage what was missed comes by plain requests, which caches can answer.
        assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
        rig.page("a0", UP_TO_DATE, "[]");
        assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    }
    for kind in [StreamError::Unauthorized, StreamError::Forbidden] {
        let mut rig = about_to_listen();
        rig.refuse(kind);
        rig.fails();
    }
}

#[test]
fn auto_goes_on_where_something_else_comes_for_events() {
    let answers: [&[(&str, &str)]; 2] =
        [&[("content-type", "text/html")], &[("content-type", JSON), ("stream-next-offset", "a0")]];
    for fields in answers {
        let mut rig = about_to_listen();
        rig.head(200, fields);
        goes_on_by_long_poll(&mut rig);
    }
    // Binary content that is not base64 would not survive.
    let mut rig = Rig::new(options(LiveMode::Auto), BINARY);
    rig.caught_up();
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream")]);
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    // Who asked for events, and nothing else, is told.
    let mut rig = Rig::knowing(options(LiveMode::Sse), BINARY);
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream")]);
    assert!(matches!(rig.fails().kind(), StreamError::SseNotSupported { .. }));
    for (fields, sse_error) in answers.into_iter().zip([false, true]) {
        let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
        rig.request();
        rig.head(200, fields);
        let kind = rig.fails().into_kind();
        assert_eq!(matches!(kind, StreamError::SseNotSupported { .. }), sse_error, "{kind}");
        assert_eq!(matches!(kind, StreamError::ContentTypeMismatch { .. }), !sse_error, "{kind}");
    }
}

#[test]
fn auto_goes_on_where_events_are_held_back() {
    let mut rig = about_to_listen();
    assert_eq!(rig.pass_deadline(), SSE_HEAD_TIMEOUT);
    goes_on_by_long_poll(&mut rig);
    let mut rig = about_to_listen();
    rig.events();
    rig.is_quiet();
    assert_eq!(rig.pass_deadline(), SSE_FIRST_BYTE_TIMEOUT);
    goes_on_by_long_poll(&mut rig);
}

#[test]
fn event_streams_that_end_at_once_are_not_asked_for_without_end() {
    for broken in [false, true] {
        let mut rig = about_to_listen();
        let began = rig.now;
        let mut tries = 1;
        loop {
            rig.events();
            rig.still_here();
            if broken {
                rig.break_off()
            } else {
                rig.end()
            }
            let mut next = rig.request().kind;
            // After a failure a plain request looks for what was missed.
            while next == RequestKind::Page {
                rig.page("a0", UP_TO_DATE, "[]");
                next = rig.request().kind;
            }
            if next == RequestKind::LongPoll {
                break;
            }
            tries += 1;
            assert!(tries < 100, "a storm");
        }
        assert_eq!(tries, 3, "broken: {broken}");
        assert!(rig.now - began < Duration::from_secs(3));
    }
    // Who asked for events gets them, but not in a storm.
    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    let (began, mut requests) = (rig.now, 0);
    while rig.now - began < Duration::from_secs(3) {
        assert_eq!(rig.asks().0, RequestKind::Sse);
        requests += 1;
        assert!(requests < 100, "a storm");
        rig.events();
        rig.still_here();
        rig.end();
        if requests == 1 {
            assert!(rig.chunk().up_to_date);
        }
    }
    assert!(requests <= 10, "{requests} requests in 3 s");
}

#[test]
fn one_that_brought_something_or_lived_did_its_work() {
    let mut rig = about_to_listen();
    for n in 0..20 {
        let offset = format!("a{n:02}");
        rig.events();
        if n % 2 == 0 {
            rig.data("[1]");
            rig.control(&offset, ",\"upToDate\":true");
            assert_eq!(rig.gives(), ("[1]".into(), offset));
        } else {
            rig.control(&format!("a{:02}", n - 1), ",\"upToDate\":true");
            rig.is_quiet();
            rig.pass(MIN_HEALTHY_LIFETIME);
        }
        rig.end();
        assert_eq!(rig.request().kind, RequestKind::Sse, "after {n}");
    }
}

#[test]
fn after_an_outage_plain_requests_come_first() {
    let mut rig = about_to_listen();
    rig.events();
    rig.still_here();
    rig.break_off();
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a1", UP_TO_DATE, "[1]");
    assert_eq!(rig.gives(), ("[1]".into(), "a1".into()));
    assert_eq!(rig.asks(), (RequestKind::Sse, "a1".into()));
}
