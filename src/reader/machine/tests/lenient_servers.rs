//! Responses outside of the protocol: which are tolerated, and how the others are reported.

use super::*;

#[test]
fn immediate_204_counts_as_response() {
    // The handle knows the content type. The response has none, or that of a proxy's default.
    for fields in [&[][..], &[("content-type", "text/html")]] {
        let mut rig = Rig::with_known_type(options(LiveMode::Off), JSON);
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
fn early_204_does_not_end_the_reader() {
    let mut rig = Rig::with_known_type(options(LiveMode::Off), TEXT);
    rig.request();
    rig.head(204, &[("stream-next-offset", "a9"), ("stream-up-to-date", "true"), ("stream-closed", "true")]);
    rig.end();
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a9", CLOSED, "rest");
    assert_eq!(rig.taken(), ("rest".into(), "a9".into()));
    assert!(matches!(rig.step(), Step::End));
    // A second one in a row is an error.
    for live in [LiveMode::Off, LiveMode::LongPoll] {
        let mut rig = Rig::with_known_type(options(live), TEXT);
        for _ in 0..2 {
            assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
            rig.head(204, &[("stream-next-offset", "a9")]);
            rig.end();
        }
        let error = rig.error();
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains("a9"), "{error}");
    }
}

#[test]
fn numeric_cursor_is_sent_back_as_digits() {
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.catch_up();
    rig.request();
    rig.sse_head();
    rig.data("[1]");
    rig.control("a1", ",\"streamCursor\":17,\"upToDate\":true");
    assert_eq!(rig.chunk().cursor.as_deref(), Some("17"));
    rig.end();
    let request = rig.request();
    assert_eq!((request.kind, request.cursor.as_deref()), (RequestKind::Sse, Some("17")));
    rig.fail_request(StreamError::BadRequest { message: "no events any more".into() });
    let request = rig.request();
    assert_eq!((request.kind, request.cursor), (RequestKind::Page, None));
    rig.page("a1", UP_TO_DATE, "[]");
    let request = rig.request();
    assert_eq!((request.kind, request.cursor.as_deref()), (RequestKind::LongPoll, Some("17")));
}

#[test]
fn sse_starts_with_a_plain_request_where_head_is_refused() {
    for body in ["[1]", "[]"] {
        let mut rig = Rig::new(options(LiveMode::Sse), JSON);
        assert_eq!(rig.requested(), (RequestKind::Head, "a0".into()));
        rig.fail_request(StreamError::NotSupported);
        assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
        let next = if body == "[]" { "a0" } else { "a1" };
        rig.page(next, UP_TO_DATE, body);
        assert_eq!(rig.taken(), (body.into(), next.into()));
        assert_eq!(rig.requested(), (RequestKind::Sse, next.into()));
        rig.sse_head();
        rig.data("[2]");
        rig.control("a2", "");
        assert_eq!(rig.taken(), ("[2]".into(), "a2".into()));
    }
    // Without any content type the stream is one of bytes, and the reader does not ask again.
    let mut rig = Rig::new(options(LiveMode::Sse), BINARY);
    rig.request();
    rig.fail_request(StreamError::NotSupported);
    rig.request();
    rig.head(200, &[("stream-next-offset", "a0"), ("content-length", "0")]);
    rig.end();
    assert!(rig.chunk().up_to_date);
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn sse_in_unknown_encoding_is_refused() {
    for content_type in [JSON, TEXT, BINARY] {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), content_type);
        rig.request();
        rig.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", "hex")]);
        let error = rig.error();
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains("\"hex\"") && error.to_string().contains("LongPoll"), "{error}");
    }
    let mut rig = Rig::new(options(LiveMode::Auto), JSON);
    rig.catch_up();
    rig.request();
    rig.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", "hex")]);
    assert_eq!(rig.requested(), (RequestKind::Page, "a0".into()));
    rig.page("a0", UP_TO_DATE, "[]");
    assert_eq!(rig.requested(), (RequestKind::LongPoll, "a0".into()));
}

#[test]
fn not_modified_without_entity_tag_is_explained() {
    let tagged = Options { if_none_match: Some(HeaderValue::from_static("\"e\"")), ..options(LiveMode::Off) };
    for (options, compared) in
        [(tagged, true), (options(LiveMode::Off), false), (options(LiveMode::Sse), false)]
    {
        let mut rig = Rig::with_known_type(options, JSON);
        rig.request();
        rig.fail_request(StreamError::NotModified);
        let error = rig.error();
        assert!(matches!(error.kind(), StreamError::NotModified), "{error}");
        assert_eq!(error.to_string().contains("the reader sent no entity tag"), !compared, "{error}");
    }
}

#[test]
fn content_in_response_to_offset_now_fails_before_it_ends() {
    let mut rig = Rig::starting(options(LiveMode::LongPoll), TEXT, "now", None);
    assert_eq!(rig.requested(), (RequestKind::Tail, "now".into()));
    let error = rig.error_of_repeated(|rig| {
        rig.page_head("a9", UP_TO_DATE);
        rig.bytes("a stream of many gigabytes");
    });
    assert!(error.to_string().contains("offset=now"), "{error}");
    // White space is not content.
    let mut rig = Rig::starting(options(LiveMode::LongPoll), JSON, "now", None);
    rig.request();
    rig.page("a9", UP_TO_DATE, "[]                       ");
    assert_eq!(rig.taken(), ("[]".into(), "a9".into()));
}

#[test]
fn long_values_are_truncated_in_errors() {
    let long = "9".repeat(100_000);
    let reading_sse = || {
        let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
        rig.request();
        rig
    };
    let mut offset = reading_sse();
    offset.sse_head();
    offset.control(&long, "");
    let mut encoding = reading_sse();
    encoding.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", &long)]);
    let mut answered = reading_sse();
    answered.head(200, &[("content-type", &long)]);
    let mut changed = Rig::new(options(LiveMode::LongPoll), JSON);
    changed.catch_up();
    changed.request();
    changed.head(200, &[("content-type", &long), ("stream-next-offset", "a1")]);
    for mut rig in [offset, encoding, answered, changed] {
        let error = rig.error().to_string();
        assert!(error.len() < 600 && error.contains("(100000 bytes)"), "{error}");
    }
}

#[test]
fn closed_204_in_place_of_sse_ends_the_reader() {
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    rig.request();
    rig.head(204, &[&[("stream-next-offset", "a0")], CLOSED].concat());
    rig.end();
    let chunk = rig.chunk();
    assert!(chunk.closed && chunk.up_to_date && chunk.is_empty());
    assert!(matches!(rig.step(), Step::End));
    // If data lies before the end, it is requested. A 204 without the closed flag is refused.
    let mut rig = Rig::with_known_type(options(LiveMode::Sse), JSON);
    rig.request();
    rig.head(204, &[&[("stream-next-offset", "a9")], CLOSED].concat());
    rig.end();
    assert_eq!(rig.requested(), (RequestKind::Sse, "a0".into()));
    rig.head(204, &[("stream-next-offset", "a0")]);
    assert!(matches!(rig.error().kind(), StreamError::SseNotSupported { .. }));
}
