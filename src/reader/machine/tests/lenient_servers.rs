//! What servers should not say but may: what can be lived with is, the rest is told by name.

use super::*;

#[test]
fn no_content_at_once_is_an_answer_too() {
    // The handle knows what the stream is, the answer does not say it, or says what some proxy makes of nothing.
    for fields in [&[][..], &[("content-type", "text/html")]] {
        let mut rig = Rig::knowing(options(LiveMode::Off), JSON);
        rig.request();
        rig.head(204, &[fields, &[("stream-next-offset", "a0")]].concat());
        rig.end();
        let chunk = rig.chunk();
        assert_eq!((&chunk.data[..], chunk.up_to_date), (&b"[]"[..], true));
        assert_eq!(rig.machine.content_type(), Some(JSON));
        assert!(matches!(rig.step(), Step::End));
    }
}

#[test]
fn no_content_before_the_tail_is_not_the_end_of_it() {
    let mut rig = Rig::knowing(options(LiveMode::Off), TEXT);
    rig.request();
    rig.head(204, &[("stream-next-offset", "a9"), ("stream-up-to-date", "true"), ("stream-closed", "true")]);
    rig.end();
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a9", CLOSED, "rest");
    assert_eq!(rig.gives(), ("rest".into(), "a9".into()));
    assert!(matches!(rig.step(), Step::End));
    // Nor is it asked for again and again.
    for live in [LiveMode::Off, LiveMode::LongPoll] {
        let mut rig = Rig::knowing(options(live), TEXT);
        for _ in 0..2 {
            assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
            rig.head(204, &[("stream-next-offset", "a9")]);
            rig.end();
        }
        let error = rig.fails();
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains("a9"), "{error}");
    }
}

#[test]
fn a_numeric_cursor_is_sent_back_as_its_digits() {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.caught_up();
    rig.request();
    rig.events();
    rig.data("[1]");
    rig.control("a1", ",\"streamCursor\":17,\"upToDate\":true");
    assert_eq!(rig.chunk().cursor.as_deref(), Some("17"));
    rig.end();
    let request = rig.request();
    assert_eq!((request.kind, request.cursor.as_deref()), (RequestKind::Sse, Some("17")));
    rig.refuse(StreamError::BadRequest { message: "no events any more".into() });
    let request = rig.request();
    assert_eq!((request.kind, request.cursor), (RequestKind::Page, None));
    rig.page("a1", UP_TO_DATE, "[]");
    let request = rig.request();
    assert_eq!((request.kind, request.cursor.as_deref()), (RequestKind::LongPoll, Some("17")));
}

#[test]
fn events_do_without_metadata_where_the_server_has_none() {
    for body in ["[1]", "[]"] {
        let mut rig = Rig::new(options(LiveMode::Sse), JSON);
        assert_eq!(rig.asks(), (RequestKind::Head, "a0".into()));
        rig.refuse(StreamError::NotSupported);
        assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
        let next = if body == "[]" { "a0" } else { "a1" };
        rig.page(next, UP_TO_DATE, body);
        assert_eq!(rig.gives(), (body.into(), next.into()));
        assert_eq!(rig.asks(), (RequestKind::Sse, next.into()));
        rig.events();
        rig.data("[2]");
        rig.control("a2", "");
        assert_eq!(rig.gives(), ("[2]".into(), "a2".into()));
    }
    // Nobody says what it is: then it is bytes, and the question is not asked for ever.
    let mut rig = Rig::new(options(LiveMode::Sse), BINARY);
    rig.request();
    rig.refuse(StreamError::NotSupported);
    rig.request();
    rig.head(200, &[("stream-next-offset", "a0"), ("content-length", "0")]);
    rig.end();
    assert!(rig.chunk().up_to_date);
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn events_in_an_unknown_encoding_are_not_read_as_they_are() {
    for content_type in [JSON, TEXT, BINARY] {
        let mut rig = Rig::knowing(options(LiveMode::Sse), content_type);
        rig.request();
        rig.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", "hex")]);
        let error = rig.fails();
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains("\"hex\"") && error.to_string().contains("LongPoll"), "{error}");
    }
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.caught_up();
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", "hex")]);
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    rig.page("a0", UP_TO_DATE, "[]");
    assert_eq!(rig.asks(), (RequestKind::LongPoll, "a0".into()));
}

#[test]
fn not_modified_says_whether_anything_was_compared() {
    let tagged = Options { if_none_match: Some(HeaderValue::from_static("\"e\"")), ..options(LiveMode::Off) };
    for (options, compared) in
        [(tagged, true), (options(LiveMode::Off), false), (options(LiveMode::Sse), false)]
    {
        let mut rig = Rig::knowing(options, JSON);
        rig.request();
        rig.refuse(StreamError::NotModified);
        let error = rig.fails();
        assert!(matches!(error.kind(), StreamError::NotModified), "{error}");
        assert_eq!(error.to_string().contains("the reader sent no entity tag"), !compared, "{error}");
    }
}

#[test]
fn a_tail_that_turns_out_to_be_the_whole_stream_is_not_waited_for() {
    let mut rig = Rig::starting(options(LiveMode::LongPoll), TEXT, "now", None);
    assert_eq!(rig.asks(), (RequestKind::Tail, "now".into()));
    rig.page_head("a9", UP_TO_DATE);
    rig.bytes("a stream of many gigabytes");
    let error = rig.fails();
    assert!(error.to_string().contains("offset=now"), "{error}");
    // Room to breathe is none of its content.
    let mut rig = Rig::starting(options(LiveMode::LongPoll), JSON, "now", None);
    rig.request();
    rig.page("a9", UP_TO_DATE, "[]                       ");
    assert_eq!(rig.gives(), ("[]".into(), "a9".into()));
}

#[test]
fn what_is_wrong_is_shown_in_short() {
    let long = "9".repeat(100_000);
    let listening = || {
        let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
        rig.request();
        rig
    };
    let mut offset = listening();
    offset.events();
    offset.control(&long, "");
    let mut encoding = listening();
    encoding.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", &long)]);
    let mut answered = listening();
    answered.head(200, &[("content-type", &long)]);
    let mut changed = Rig::new(options(LiveMode::LongPoll), JSON);
    changed.caught_up();
    changed.request();
    changed.head(200, &[("content-type", &long), ("stream-next-offset", "a1")]);
    for mut rig in [offset, encoding, answered, changed] {
        let error = rig.fails().to_string();
        assert!(error.len() < 600 && error.contains("(100000 bytes)"), "{error}");
    }
}

#[test]
fn no_events_from_a_closed_stream_is_its_end() {
    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    rig.request();
    rig.head(204, &[&[("stream-next-offset", "a0")], CLOSED].concat());
    rig.end();
    let chunk = rig.chunk();
    assert!(chunk.closed && chunk.up_to_date && chunk.is_empty());
    assert!(matches!(rig.step(), Step::End));
    // Where something lies before the end, that is asked for; and without the end it is no answer at all.
    let mut rig = Rig::knowing(options(LiveMode::Sse), JSON);
    rig.request();
    rig.head(204, &[&[("stream-next-offset", "a9")], CLOSED].concat());
    rig.end();
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    rig.head(204, &[("stream-next-offset", "a0")]);
    assert!(matches!(rig.fails().kind(), StreamError::SseNotSupported { .. }));
}
