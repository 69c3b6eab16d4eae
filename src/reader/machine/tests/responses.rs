//! Responses: offsets, cursors, ends, and responses without content.

use super::*;

#[test]
fn offset_that_goes_back_means_recreated() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    let error = rig.error_of_repeated(|rig| rig.page("Z9", UP_TO_DATE, "[1]"));
    assert!(matches!(error.kind(), StreamError::Recreated { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");

    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    rig.request();
    let error = rig.error_of_repeated(|rig| {
        rig.sse_head();
        rig.data("[1]");
        rig.control("Z9", "");
    });
    assert!(matches!(error.kind(), StreamError::Recreated { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
}

#[test]
fn changed_content_type_means_recreated() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.catch_up();
    rig.request();
    rig.content_type = TEXT;
    rig.page("a1", &[], "x");
    assert!(matches!(rig.error().kind(), StreamError::Recreated { .. }));
    // Parameters and case are ignored.
    let mut rig = Rig::new(options(LiveMode::LongPoll), "text/plain; charset=utf-8");
    rig.catch_up();
    rig.request();
    rig.content_type = "Text/Plain;charset=UTF-8";
    rig.page("a1", &[], "x");
    assert_eq!(rig.taken(), ("x".into(), "a1".into()));
}

#[test]
fn data_without_advance_is_a_protocol_error() {
    for content_type in [JSON, TEXT] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), content_type);
        rig.request();
        let error = rig.error_of_repeated(|rig| rig.page("a0", &[], "[1]"));
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{content_type}");
    }
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    rig.request();
    let error = rig.error_of_repeated(|rig| {
        rig.sse_head();
        rig.data("[1]");
        rig.control("a0", "");
    });
    assert!(matches!(error.kind(), StreamError::Protocol { .. }));
}

#[test]
fn response_that_a_cache_mixed_up_is_requested_again_past_caches() {
    for (next, body) in [("Z9", "[9]"), ("a0", "[9]"), ("a1", "")] {
        for length in [true, false] {
            let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
            rig.request();
            if length {
                rig.page(next, &[], body);
            } else {
                rig.page_head(next, &[("transfer-encoding", "chunked")]);
                if !body.is_empty() {
                    rig.bytes(body);
                }
                rig.end();
            }
            let again = rig.request();
            assert_eq!(again.headers.get("cache-control").unwrap(), "no-cache");
            assert_eq!((again.kind, again.offset.to_string()), (RequestKind::Page, "a0".into()));
            rig.page("a1", &[], "[1]");
            assert_eq!(rig.taken(), ("[1]".into(), "a1".into()));
            // Content shows that the way is right again.
            assert!(rig.request().headers.is_empty());
        }
    }
}

#[test]
fn body_that_a_proxy_dropped_is_an_error_behind_an_offset_of_the_servers() {
    for content_type in [JSON, TEXT] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), content_type);
        rig.request();
        let error = rig.error_of_repeated(|rig| rig.page("a1", UP_TO_DATE, ""));
        assert!(error.to_string().contains("no content"), "{error}");
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
        // At the beginning it cannot be told from an empty stream.
        let mut rig = Rig::starting(options(LiveMode::Off), content_type, "-1", None);
        rig.request();
        rig.page("a1", UP_TO_DATE, "");
        assert_eq!(rig.chunk().checkpoint.to_string(), "a1");
        // A part of it was delivered before: it is not empty.
        let start = if content_type == JSON { "-1,m2" } else { "-1,b2" };
        let mut rig = Rig::starting(options(LiveMode::Off), content_type, start, None);
        rig.request();
        let error = rig.error_of_repeated(|rig| rig.page("a1", &[], ""));
        assert!(error.to_string().contains("no content"), "{error}");
        assert_eq!(rig.machine.status().checkpoint.to_string(), start);
        // A body of unknown length shows at its end that it is empty.
        for start in ["a0", start] {
            let mut rig = Rig::starting(options(LiveMode::Off), content_type, start, None);
            rig.request();
            let error = rig.error_of_repeated(|rig| {
                rig.page_head("a1", &[("transfer-encoding", "chunked")]);
                rig.end();
            });
            assert!(error.to_string().contains("no content"), "{error}");
            assert_eq!(rig.machine.status().checkpoint.to_string(), start);
        }
    }
    // An empty array says itself that there is nothing.
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page("a1", UP_TO_DATE, "[]");
    assert_eq!(rig.taken(), ("[]".into(), "a1".into()));
}

#[test]
fn success_without_valid_next_offset_is_a_protocol_error() {
    for fields in [&[("content-type", JSON)][..], &[("content-type", JSON), ("stream-next-offset", "-1")]] {
        let mut rig = Rig::new(options(LiveMode::Auto), JSON);
        rig.request();
        rig.head(200, fields);
        assert!(matches!(rig.error().kind(), StreamError::Protocol { .. }));
    }
    for control in ["{}", "no JSON", r#"{"streamNextOffset":"-1"}"#, r#"{"streamNextOffset":""}"#] {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
        rig.request();
        rig.sse_head();
        rig.data("[1]");
        rig.bytes(&format!("event: control\ndata: {control}\n\n"));
        assert!(matches!(rig.error().kind(), StreamError::Protocol { .. }), "{control}");
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
    }
}

#[test]
fn cursor_is_sent_back_with_long_polls_only() {
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
    // A response without a cursor keeps the last one.
    rig.page("a3", UP_TO_DATE, "[3]");
    rig.chunk();
    assert_eq!(rig.request().cursor.as_deref(), Some("c2"));
}

#[test]
fn closed_stream_ends_the_reader_once_in_every_mode() {
    let ends = |mut rig: Rig, data: &str| {
        let last = rig.chunk();
        assert!(last.closed && last.up_to_date && last.data == data, "{last:?}");
        for _ in 0..3 {
            assert!(matches!(rig.step(), Step::End));
            rig.advance(Duration::from_secs(3600));
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
    // At the tail: with the last data, without data, and without a body.
    for (next, status, body) in [("a1", 200, "[1]"), ("a0", 200, "[]"), ("a0", 204, "")] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        rig.catch_up();
        rig.request();
        rig.head(status, &[&[("stream-next-offset", next), ("content-type", JSON)][..], CLOSED].concat());
        if !body.is_empty() {
            rig.bytes(body);
        }
        rig.end();
        ends(rig, if body.is_empty() { "[]" } else { body });
    }
    for data in ["[1]", ""] {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
        rig.request();
        rig.sse_head();
        if !data.is_empty() {
            rig.data(data);
        }
        rig.control(if data.is_empty() { "a0" } else { "a1" }, ",\"streamClosed\":true");
        ends(rig, if data.is_empty() { "[]" } else { data });
    }
}

#[test]
fn data_before_the_end_is_read_before_closed_is_reported() {
    // The stream is closed further on: the response does not have the last data.
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.catch_up();
    rig.request();
    rig.head(204, &[("stream-next-offset", "a5"), ("stream-closed", "true")]);
    rig.end();
    let chunk = rig.chunk();
    assert!(!chunk.closed && !chunk.up_to_date && chunk.is_empty());
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
}

#[test]
fn up_to_date_is_reported_when_it_changes() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.catch_up();
    for _ in 0..3 {
        assert_eq!(rig.request().kind, RequestKind::LongPoll);
        rig.advance(Duration::from_secs(30));
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
    }
    rig.request();
    rig.page("a1", UP_TO_DATE, "[1]");
    assert!(rig.chunk().up_to_date);
}

#[test]
fn immediate_empty_long_polls_are_spaced() {
    for status in [200, 204] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        rig.catch_up();
        let (began, mut requests) = (rig.now, 1);
        while rig.now - began < Duration::from_secs(3) {
            rig.request();
            requests += 1;
            assert!(requests < 100, "too many requests");
            if status == 200 {
                rig.page("a0", UP_TO_DATE, "[]");
            } else {
                rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
                rig.end();
            }
        }
        assert!((5..=10).contains(&requests), "{requests} requests in 3 s");
        // A long-poll that was held is followed by the next without a delay.
        rig.request();
        rig.advance(Duration::from_secs(30));
        rig.head(204, &[("stream-next-offset", "a0"), ("stream-up-to-date", "true")]);
        rig.end();
        assert!(matches!(rig.step(), Step::Send(_)));
    }
}

/// Responds to the due request with an empty page before the tail, the `n`th.
fn empty_page(rig: &mut Rig, n: u32) {
    rig.request();
    rig.page(&format!("a{n:09}"), &[], "[]");
}

#[test]
fn reader_fails_at_the_first_empty_page_above_the_limit() {
    let mut rig = Rig::new(options(LiveMode::Off), JSON);
    for n in 0..MAX_EMPTY_PAGES {
        empty_page(&mut rig, n);
    }
    empty_page(&mut rig, MAX_EMPTY_PAGES);
    let error = rig.error();
    assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("more than 100 responses"), "{error}");
    // It names the offset that was asked for, not the next one.
    assert!(error.to_string().contains("a000000099"), "{error}");
    // A failed request neither counts nor resets the count.
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    for n in 0..MAX_EMPTY_PAGES {
        empty_page(&mut rig, n);
        rig.request();
        rig.fail_request(unavailable());
    }
    empty_page(&mut rig, MAX_EMPTY_PAGES);
    assert!(matches!(rig.error().kind(), StreamError::Protocol { .. }));
}

#[test]
fn content_or_the_tail_resets_the_count_of_empty_pages() {
    for (flags, body) in [(&[][..], "[1]"), (UP_TO_DATE, "[]")] {
        let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
        for n in 0..MAX_EMPTY_PAGES {
            empty_page(&mut rig, n);
        }
        rig.request();
        rig.page("b", flags, body);
        rig.chunk();
        for n in 0..MAX_EMPTY_PAGES {
            rig.request();
            rig.page(&format!("b{n:09}"), &[], "[]");
            // The stream is no longer up to date, which the consumer sees as an empty chunk.
            if n == 0 && body == "[]" {
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
    let mut rig = Rig::new(options(LiveMode::Off), JSON);
    for n in 0..5 {
        early_204(&mut rig);
        empty_page(&mut rig, n);
    }
    early_204(&mut rig);
    early_204(&mut rig);
    let error = rig.error();
    assert!(error.to_string().contains("204 No Content"), "{error}");
}

#[test]
fn next_action_before_content_is_taken_asks_to_take_it() {
    for (content_type, body) in [(TEXT, "ab"), (JSON, "[1,2]"), (JSON, "[]")] {
        let mut rig = Rig::new(options(LiveMode::Off), content_type);
        rig.request();
        rig.page("a1", UP_TO_DATE, body);
        for _ in 0..3 {
            let action = rig.machine.next_action(rig.now);
            assert!(matches!(action, Action::Take), "{action:?}");
        }
        assert_eq!(rig.taken(), (body.into(), "a1".into()));
        assert!(matches!(rig.step(), Step::End));
    }
}

#[test]
fn shorter_page_is_requested_again_bypassing_caches() {
    let mut rig = Rig::starting(options(LiveMode::LongPoll), JSON, "a0,m5", None);
    let first = rig.request();
    assert!(first.headers.is_empty());
    rig.page("a1", UP_TO_DATE, "[1,2]");
    rig.request();
    rig.page("a1", UP_TO_DATE, "[]");
    let past = rig.request();
    assert_eq!(past.headers.get("cache-control").unwrap(), "no-cache");
    rig.page("a1", UP_TO_DATE, "[]");
    assert!(matches!(rig.error().kind(), StreamError::Recreated { .. }));
}

#[test]
fn content_after_the_end_of_the_array_is_an_error() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1]");
    assert_eq!(rig.taken().0, "[1]");
    rig.assert_receiving();
    rig.bytes("[2]");
    assert!(matches!(rig.error().kind(), StreamError::Protocol { .. }));
}

#[test]
fn body_without_end_is_given_up_after_the_drain_time() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1]");
    assert_eq!(rig.taken().1, "a1");
    rig.assert_receiving();
    assert_eq!(rig.advance_to_deadline(), MAX_DRAIN_TIME);
    assert_eq!(rig.requested(), (RequestKind::Page, "a1".into()));
}
