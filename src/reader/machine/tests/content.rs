//! Content: what is delivered, when, and with which checkpoint.

use super::*;

/// A reader with an open event stream.
fn reading_sse(content_type: &'static str) -> Rig {
    reading_sse_with(options(LiveMode::Sse), content_type)
}

fn reading_sse_with(options: Options, content_type: &'static str) -> Rig {
    let mut rig = Rig::with_known_type(options, content_type);
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    rig.sse_head();
    rig
}

#[test]
fn sse_data_is_delivered_only_after_its_control_event() {
    for broken in [false, true] {
        let mut rig = reading_sse(JSON);
        rig.data("[1]");
        rig.assert_receiving();
        rig.data("[2,3]");
        rig.assert_receiving();
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
        // Without its control event the data is dropped.
        if broken {
            rig.break_body()
        } else {
            rig.end()
        }
        assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
        rig.sse_head();
        rig.data("[1]");
        rig.data("[2,3]");
        rig.control("a3", ",\"upToDate\":true");
        assert_eq!(rig.taken(), ("[1]".into(), "a0,m1".into()));
        let last = rig.chunk();
        assert_eq!((&last.data[..], last.checkpoint.to_string().as_str()), (&b"[2,3]"[..], "a3"));
        assert!(last.up_to_date);
        rig.assert_receiving();
    }
}

#[test]
fn event_without_blank_line_is_ignored() {
    let mut rig = reading_sse(JSON);
    rig.data("[1]");
    rig.bytes("event: control\ndata: {\"streamNextOffset\":\"a1\"}\n");
    rig.end();
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn sse_split_at_any_byte_gives_the_same_data() {
    let text = "\u{FEFF}: hello\r\nevent: data\r\ndata: [\"é\",\r\ndata: 2]\r\n\r\n\
                event: control\ndata: {\"streamNextOffset\":\"a1\"}\n\n";
    for cut in 0..text.len() {
        let mut rig = reading_sse(JSON);
        for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            rig.machine.on_bytes(Bytes::copy_from_slice(part), rig.now);
            if part.len() < text.len() && part == &text.as_bytes()[..cut] {
                rig.assert_receiving();
            }
        }
        assert_eq!(rig.taken(), ("[\"é\",2]".into(), "a1".into()), "cut at {cut}");
    }
}

#[test]
fn base64_events_are_decoded_one_by_one() {
    let mut rig = reading_sse(BINARY);
    rig.data("AQ==");
    rig.data("AgM=");
    rig.control("a1", "");
    assert_eq!(rig.taken(), ("\u{1}".into(), "a0,b1".into()));
    assert_eq!(rig.taken(), ("\u{2}\u{3}".into(), "a1".into()));
    rig.data("!");
    assert!(matches!(rig.error().kind(), StreamError::Protocol { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a1");
}

#[test]
fn text_from_events_is_split_only_at_control_events() {
    let small = Options { max_chunk_bytes: 2, ..options(LiveMode::Sse) };
    let mut rig = reading_sse_with(small, TEXT);
    rig.data("abc");
    rig.data("def");
    rig.control("a1", "");
    assert_eq!(rig.taken(), ("abcdef".into(), "a1".into()));
}

#[test]
fn page_is_delivered_as_it_arrives() {
    let small = Options { max_chunk_bytes: 4, ..options(LiveMode::Off) };
    let mut rig = Rig::new(small, TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "11"), ("stream-up-to-date", "true")]);
    rig.assert_receiving();
    rig.bytes("0123456");
    assert_eq!(rig.taken(), ("0123".into(), "a0,b4".into()));
    let second = rig.chunk();
    assert_eq!((&second.data[..], second.checkpoint.to_string()), (&b"456"[..], "a0,b7".into()));
    // The header describes the end of the page.
    assert!(!second.up_to_date && second.next_offset == Offset::parse("a0"));
    rig.assert_receiving();
    rig.bytes("789A");
    rig.end();
    let last = rig.chunk();
    assert_eq!((&last.data[..], last.checkpoint.to_string()), (&b"789A"[..], "a1".into()));
    assert!(last.up_to_date);
    assert!(matches!(rig.step(), Step::End));
}

#[test]
fn broken_page_is_not_delivered_twice() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1,2,");
    assert_eq!(rig.taken(), ("[1,2]".into(), "a0,m2".into()));
    rig.bytes("3");
    rig.break_body();
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    // The delivered part is skipped, wherever the next attempt breaks off.
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    rig.break_body();
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0,m2");
    rig.page("a1", UP_TO_DATE, "[1,2,3,4]");
    assert_eq!(rig.taken(), ("[3,4]".into(), "a1".into()));
}

/// A reader that has just received the start of an event above its limit.
fn with_oversized_event(live: LiveMode) -> Rig {
    let limited = Options { max_event_bytes: 8, ..options(live) };
    let mut rig = Rig::with_known_type(limited, JSON);
    if live == LiveMode::Auto {
        rig.catch_up();
    }
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    rig.sse_head();
    // The rest of the event is not waited for.
    rig.bytes("event: data\ndata: [1,2,3,4,5");
    rig
}

#[test]
fn oversized_event_is_fetched_by_plain_requests() {
    for live in [LiveMode::Sse, LiveMode::Auto] {
        let mut rig = with_oversized_event(live);
        assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
        rig.page("a1", &[], "[1,2,3,4]");
        assert_eq!(rig.taken(), ("[1,2,3,4]".into(), "a1".into()));
        // An event stream follows once all of the data was fetched.
        assert_eq!(rig.requested(), (RequestKind::Page, "a1".into()));
        rig.page("a2", UP_TO_DATE, "[5]");
        assert_eq!(rig.taken(), ("[5]".into(), "a2".into()));
        assert_eq!(rig.requested(), (RequestKind::Sse, "a2".into()), "{live:?}");
        // After an outage the data to catch up on may be as large: plain requests fetch it.
        rig.sse_head();
        rig.break_body();
        assert_eq!(rig.requested(), (RequestKind::Page, "a2".into()));
        rig.page("a2", UP_TO_DATE, "[]");
        assert_eq!(rig.requested(), (RequestKind::Sse, "a2".into()), "{live:?}");
    }
}

#[test]
fn oversized_event_whose_fetch_is_refused_is_too_large() {
    for refusal in [StreamError::BadRequest { message: "no".into() }, StreamError::NotSupported] {
        let mut rig = with_oversized_event(LiveMode::Sse);
        rig.request();
        rig.fail_request(refusal);
        let error = rig.error();
        let StreamError::TooLarge { option, limit, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((*option, *limit), ("max_event_bytes", 8));
    }
    // The same on a page after the first.
    let mut rig = with_oversized_event(LiveMode::Sse);
    rig.request();
    rig.page("a1", &[], "[1,2]");
    rig.chunk();
    rig.request();
    rig.fail_request(StreamError::NotSupported);
    assert!(matches!(rig.error().kind(), StreamError::TooLarge { .. }));
}

#[test]
fn event_limit_applies_to_pending_data_only() {
    let limited = Options { max_event_bytes: 40, ..options(LiveMode::Sse) };
    let mut rig = reading_sse_with(limited, JSON);
    let data = format!("[{}1]", "1,".repeat(15));
    for n in 1..10 {
        rig.data(&data);
        rig.control(&format!("a{n}"), "");
        assert_eq!(rig.taken(), (data.clone(), format!("a{n}")));
    }
    // The limit applies to all events before one control event together.
    let limited = Options { max_event_bytes: 8, ..options(LiveMode::Sse) };
    let mut rig = reading_sse_with(limited, JSON);
    rig.data("[1,2]");
    rig.assert_receiving();
    rig.data("[3,4]");
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    // A message above the limit fails by a plain request too.
    rig.page_head("a1", &[]);
    rig.bytes("[\"0123456789");
    let error = rig.error();
    assert!(matches!(error.kind(), StreamError::TooLarge { limit: 8, .. }), "{error}");
}

#[test]
fn many_small_events_without_control_event_exceed_the_limit() {
    let mut rig = reading_sse(JSON);
    let mut held = 0;
    while matches!(rig.step(), Step::Receive) && held < 100_000 {
        rig.data("[1]");
        held += 1;
    }
    assert!((5000..20_000).contains(&held), "{held} events of three bytes within 1 MiB");
}
