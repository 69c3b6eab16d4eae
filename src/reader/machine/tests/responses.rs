//! What answers are worth: offsets, cursors, ends, and answers that say nothing.

use super::*;

#[test]
fn an_offset_that_goes_back_is_another_stream() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page("Z9", UP_TO_DATE, "[1]");
    assert!(matches!(rig.fails().kind(), StreamError::Recreated { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");

    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    rig.request();
    rig.events();
    rig.data("[1]");
    rig.control("Z9", "");
    assert!(matches!(rig.fails().kind(), StreamError::Recreated { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
}

#[test]
fn another_content_type_is_another_stream() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.caught_up();
    rig.request();
    rig.content_type = TEXT;
    rig.page("a1", &[], "x");
    assert!(matches!(rig.fails().kind(), StreamError::Recreated { .. }));
    // Parameters and case do not make it another.
    let mut rig = Rig::new(options(LiveMode::LongPoll), "text/plain; charset=utf-8");
    rig.caught_up();
    rig.request();
    rig.content_type = "Text/Plain;charset=UTF-8";
    rig.page("a1", &[], "x");
    assert_eq!(rig.gives(), ("x".into(), "a1".into()));
}

#[test]
fn data_that_moves_nothing_is_an_error_and_no_loop() {
    for content_type in [JSON, TEXT] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), content_type);
        rig.request();
        rig.page("a0", &[], "[1]");
        assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }), "{content_type}");
    }
    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    rig.request();
    rig.events();
    rig.data("[1]");
    rig.control("a0", "");
    assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
}

#[test]
fn a_success_must_say_where_it_ends() {
    for fields in [&[("content-type", JSON)][..], &[("content-type", JSON), ("stream-next-offset", "-1")]] {
        let mut rig = Rig::new(options(LiveMode::Auto), JSON);
        rig.request();
        rig.head(200, fields);
        assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
    }
    for control in ["{}", "no JSON", r#"{"streamNextOffset":"-1"}"#, r#"{"streamNextOffset":""}"#] {
        let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
        rig.request();
        rig.events();
        rig.data("[1]");
        rig.bytes(&format!("event: control\ndata: {control}\n\n"));
        assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }), "{control}");
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
    }
}

#[test]
fn the_last_cursor_goes_back_with_a_long_poll_and_nothing_else() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    assert_eq!(rig.request().cursor, None);
    rig.page("a1", &[("stream-cursor", "c1")], "[1]");
    assert_eq!(rig.chunk().cursor.as_deref(), Some("c1"));
    assert_eq!(rig.request().cursor, None, "a plain request");
    rig.page("a1", UP_TO_DATE, "[]");
    assert!(rig.chunk().up_to_date);
    let request = rig.request();
    assert_eq!((request.kind, request.cursor.as_deref()), (RequestKind::LongPoll, Some("c1")));
    rig.page("a2", &[("stream-cursor", "c2"), ("stream-up-to-date", "true")], "[2]");
    rig.chunk();
    assert_eq!(rig.request().cursor.as_deref(), Some("c2"));
    // One without a cursor changes nothing.
    rig.page("a3", UP_TO_DATE, "[3]");
    rig.chunk();
    assert_eq!(rig.request().cursor.as_deref(), Some("c2"));
}

#[test]
fn a_closed_stream_ends_once_in_every_mode() {
    let ends = |mut rig: Rig, data: &str| {
        let last = rig.chunk();
        assert!(last.closed && last.up_to_date && last.data == data, "{last:?}");
        for _ in 0..3 {
            assert!(matches!(rig.step(), Step::End));
            rig.pass(Duration::from_secs(3600));
        }
    };
    for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll] {
        for body in ["[1]", "[]"] {
            let mut rig = Rig::new(options(live), JSON);
            rig.request();
            rig.page(if body == "[]" { "a0" } else { "a1" }, CLOSED, body);
            ends(rig, body);
        }
    }
    // In the tail: with its last data, without, and without a body.
    for (next, status, body) in [("a1", 200, "[1]"), ("a0", 200, "[]"), ("a0", 204, "")] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        rig.caught_up();
        rig.request();
        rig.head(status, &[&[("stream-next-offset", next), ("content-type", JSON)][..], CLOSED].concat());
        if !body.is_empty() {
            rig.bytes(body);
        }
        rig.end();
        ends(rig, if body.is_empty() { "[]" } else { body });
    }
    for data in ["[1]", ""] {
        let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
        rig.request();
        rig.events();
        if !data.is_empty() {
            rig.data(data);
        }
        rig.control(if data.is_empty() { "a0" } else { "a1" }, ",\"streamClosed\":true");
        ends(rig, if data.is_empty() { "[]" } else { data });
    }
}

#[test]
fn what_lies_before_the_end_is_read_first() {
    // Closed further on: this answer was made before the last data, or without it.
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.caught_up();
    rig.request();
    rig.head(204, &[("stream-next-offset", "a5"), ("stream-closed", "true")]);
    rig.end();
    let chunk = rig.chunk();
    assert!(!chunk.closed && !chunk.up_to_date && chunk.is_empty());
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
}

#[test]
fn being_up_to_date_is_told_when_it_changes() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.caught_up();
    for _ in 0..3 {
        assert_eq!(rig.request().kind, RequestKind::LongPoll);
        rig.pass(Duration::from_secs(30));
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
    }
    rig.request();
    rig.page("a1", UP_TO_DATE, "[1]");
    assert!(rig.chunk().up_to_date);
}

#[test]
fn answers_that_come_at_once_with_nothing_are_spaced() {
    for status in [200, 204] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        rig.caught_up();
        let (began, mut requests) = (rig.now, 1);
        while rig.now - began < Duration::from_secs(3) {
            rig.request();
            requests += 1;
            assert!(requests < 100, "a storm");
            if status == 200 {
                rig.page("a0", UP_TO_DATE, "[]");
            } else {
                rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
                rig.end();
            }
        }
        assert!((5..=10).contains(&requests), "{requests} requests in 3 s");
        // One that was held, as it should be, is followed by the next at once.
        rig.request();
        rig.pass(Duration::from_secs(30));
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
        assert!(matches!(rig.step(), Step::Send(_)));
    }
}

/// Responds to the due request with an empty page before the tail, the `n`th.
fn empty_page(rig: &mut Rig, n: u32) {
    rig.request();
    rig.page(&format!("a{n:09}"), &[], "");
}

#[test]
fn reader_fails_at_the_first_empty_page_above_the_limit() {
    let mut rig = Rig::new(options(LiveMode::Off), TEXT);
    for n in 0..MAX_EMPTY_PAGES {
        empty_page(&mut rig, n);
    }
    empty_page(&mut rig, MAX_EMPTY_PAGES);
    let error = rig.fails();
    assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("more than 100 responses"), "{error}");
    // A failed request neither counts nor resets the count.
    let mut rig = Rig::new(options(LiveMode::LongPoll), TEXT);
    for n in 0..MAX_EMPTY_PAGES {
        empty_page(&mut rig, n);
        rig.request();
        rig.refuse(unavailable());
    }
    empty_page(&mut rig, MAX_EMPTY_PAGES);
    assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
}

#[test]
fn content_or_the_tail_resets_the_count_of_empty_pages() {
    for (flags, body) in [(&[][..], "x"), (UP_TO_DATE, "")] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), TEXT);
        for n in 0..MAX_EMPTY_PAGES {
            empty_page(&mut rig, n);
        }
        rig.request();
        rig.page("b", flags, body);
        rig.chunk();
        for n in 0..MAX_EMPTY_PAGES {
            rig.request();
            rig.page(&format!("b{n:09}"), &[], "");
            // The stream is no longer up to date, which the consumer sees as an empty chunk.
            if n == 0 && body.is_empty() {
                assert!(rig.chunk().is_empty());
            }
        }
        rig.request();
    }
}

#[test]
fn response_between_two_early_204s_resets_their_count() {
    let early_204 = |rig: &mut Rig| {
        rig.request();
        rig.head(204, &[("stream-next-offset", "b")]);
        rig.end();
    };
    let mut rig = Rig::new(options(LiveMode::Off), TEXT);
    for n in 0..5 {
        early_204(&mut rig);
        empty_page(&mut rig, n);
    }
    early_204(&mut rig);
    early_204(&mut rig);
    let error = rig.fails();
    assert!(error.to_string().contains("204 No Content"), "{error}");
}

#[test]
fn next_action_before_content_is_taken_asks_to_take_it() {
    for (content_type, body) in [(TEXT, "ab"), (JSON, "[1,2]"), (JSON, "[]"), (TEXT, "")] {
        let mut rig = Rig::new(options(LiveMode::Off), content_type);
        rig.request();
        rig.page("a1", UP_TO_DATE, body);
        for _ in 0..3 {
            let action = rig.machine.next_action(rig.now);
            assert!(matches!(action, Action::Take), "{action:?}");
        }
        assert_eq!(rig.gives(), (body.into(), "a1".into()));
        assert!(matches!(rig.step(), Step::End));
    }
}

#[test]
fn less_than_was_read_before_is_asked_for_past_caches() {
    let mut rig = Rig::starting(options(LiveMode::LongPoll), JSON, "a0,m5", None);
    let first = rig.request();
    assert!(first.headers.is_empty());
    rig.page("a1", UP_TO_DATE, "[1,2]");
    rig.request();
    rig.page("a1", UP_TO_DATE, "[]");
    let past = rig.request();
    assert_eq!(past.headers.get("cache-control").unwrap(), "no-cache");
    rig.page("a1", UP_TO_DATE, "[]");
    assert!(matches!(rig.fails().kind(), StreamError::Recreated { .. }));
}

#[test]
fn an_answer_that_goes_on_after_its_end_is_an_error() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1]");
    assert_eq!(rig.gives().0, "[1]");
    rig.is_quiet();
    rig.bytes("[2]");
    assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
}

#[test]
fn a_body_that_never_ends_is_not_waited_for() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1]");
    assert_eq!(rig.gives().1, "a1");
    rig.is_quiet();
    assert_eq!(rig.pass_deadline(), MAX_DRAIN_TIME);
    assert_eq!(rig.asks(), (RequestKind::Page, "a1".into()));
}
