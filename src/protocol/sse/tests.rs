use super::reference::reference;
use super::*;
use crate::offset::Offset;
use crate::protocol::testing::{Random, all_cuts};
use bytes::Bytes;

const LIMIT: usize = 1 << 20;

fn event(event: EventName, data: impl Into<Bytes>) -> SseEvent {
    SseEvent { event, data: data.into() }
}

fn data(text: &'static str) -> SseEvent {
    event(EventName::Data, text)
}

fn parse(pieces: Vec<Bytes>) -> Vec<SseEvent> {
    let mut parser = SseParser::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece);
        while let Some(event) = parser.next_event() {
            events.push(event.unwrap());
        }
    }
    events
}

#[track_caller]
fn check(input: &[u8], expected: &[SseEvent]) {
    for pieces in all_cuts(input) {
        let shown = format!("{pieces:?}");
        assert_eq!(parse(pieces), expected, "{shown}");
    }
}

#[test]
fn typical_server_output_is_parsed() {
    check(
        b"event: data\ndata:[{\"a\":1}]\n\nevent: control\ndata: {\"streamNextOffset\":\"1\"}\n\n",
        &[data("[{\"a\":1}]"), event(EventName::Control, "{\"streamNextOffset\":\"1\"}")],
    );
}

#[test]
fn multi_byte_characters_survive_a_cut_at_every_byte() {
    check("event: data\ndata: aé€😀z\ndata: 日本\n\n".as_bytes(), &[data("aé€😀z\n日本")]);
}

#[test]
fn every_line_end_survives_a_cut_at_every_byte() {
    for end in ["\n", "\r\n", "\r"] {
        let input = ["event: data", "data: a", "data: b", "", "event: data", "data: c", "", ""].join(end);
        check(input.as_bytes(), &[data("a\nb"), data("c")]);
    }
    check(
        b"event: data\rdata: a\n\r\ndata: b\r\r\n\ndata: c\n\r",
        &[data("a"), event(EventName::Other, "b"), event(EventName::Other, "c")],
    );
}

#[test]
fn event_is_yielded_at_its_last_cr_before_a_line_feed_arrives() {
    let mut parser = SseParser::new(LIMIT);
    parser.push(Bytes::from_static(b"event: data\r\ndata: a\r\n\r"));
    assert_eq!(parser.next_event(), Some(Ok(data("a"))));
    parser.push(Bytes::from_static(b"\nevent: data\r\ndata: b\r\n\r"));
    assert_eq!(parser.next_event(), Some(Ok(data("b"))));
    assert_eq!(parser.next_event(), None);
}

#[test]
fn byte_order_mark_is_skipped_at_the_start_only() {
    check(b"\xEF\xBB\xBFevent: data\ndata: a\n\n", &[data("a")]);
    check(
        b"event: data\ndata: a\n\n\xEF\xBB\xBFevent: data\ndata: b\n\n",
        &[data("a"), event(EventName::Other, "b")],
    );
    check(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: lost\ndata: a\n\n", &[event(EventName::Other, "a")]);
    check(b"\xEF\xBBdata: lost\ndata: a\n\n", &[event(EventName::Other, "a")]);
    check(b"\xEF\n\ndata: a\n\n", &[event(EventName::Other, "a")]);
    check(b"data: \xEF\xBB\xBFa\n\n", &[event(EventName::Other, &b"\xEF\xBB\xBFa"[..])]);
}

#[test]
fn comments_and_unused_fields_are_ignored() {
    check(
        b": comment\n:\nid: 7\nretry: 10\nid\nretry:x\nevent: data\nfoo: bar\nfoo\ndata: a\n: data: x\n\n:ping\n\n",
        &[data("a")],
    );
    check(b"Data: a\nDATA: a\n data: a\ndata : a\nxdata: a\ndatas: a\ndat: a\n\n", &[]);
}

#[test]
fn one_leading_space_of_a_value_is_removed() {
    check(
        b"event:data\ndata:a\ndata: a\ndata:  a\ndata:\ta\ndata: \ndata:  \n\n",
        &[data("a\na\n a\n\ta\n\n ")],
    );
    check(b"event:  data\ndata: a\n\n", &[event(EventName::Other, "a")]);
}

#[test]
fn data_without_a_colon_is_an_empty_line() {
    check(b"event: data\ndata\n\n", &[data("")]);
    check(b"event: data\ndata\ndata\n\n", &[data("\n")]);
    check(b"event: data\ndata:\ndata\ndata: \n\n", &[data("\n\n")]);
    check(b"event: data\ndata\ndata: a\ndata\n\n", &[data("\na\n")]);
    check(b"event: data\ndata: a: b:c\n\n", &[data("a: b:c")]);
}

#[test]
fn blank_line_without_data_resets_the_type_and_yields_nothing() {
    check(b"event: data\n\ndata: a\n\n", &[event(EventName::Other, "a")]);
    check(b"\n\n\nevent: data\nid: 1\n\n\n", &[]);
}

#[test]
fn last_type_of_an_event_is_used() {
    check(b"event: control\nevent: data\ndata: a\n\n", &[data("a")]);
    check(b"data: a\nevent: control\n\n", &[event(EventName::Control, "a")]);
    check(b"event: data\nevent\ndata: a\n\n", &[event(EventName::Other, "a")]);
    for name in ["", "message", "datum", "dat", "data ", "Data", "controls", "control-and-more", "data:"] {
        check(format!("event: {name}\ndata: a\n\n").as_bytes(), &[event(EventName::Other, "a")]);
    }
}

#[test]
fn event_without_its_blank_line_is_discarded() {
    check(b"event: data\ndata: a\n\nevent: data\ndata: b\n", &[data("a")]);
    check(b"event: data\ndata: a\n\nevent: data\ndata: b", &[data("a")]);
    check(b"event: data\ndata: a", &[]);
}

#[test]
fn invalid_utf8_in_data_is_yielded_unchanged() {
    check(b"event: data\ndata: \xFF\xC3\x28\0\n\n", &[event(EventName::Data, &b"\xFF\xC3\x28\0"[..])]);
}

#[test]
fn line_in_one_buffer_is_not_copied() {
    let input = Bytes::from(b"event: data\ndata: abc\n\nevent: data\ndata: def\n\n".to_vec());
    let range = input.as_ptr_range();
    let mut parser = SseParser::new(LIMIT);
    parser.push(input);
    for text in ["abc", "def"] {
        let event = parser.next_event().unwrap().unwrap();
        assert_eq!(event.data, text);
        assert!(range.contains(&event.data.as_ptr()));
    }
    assert_eq!(parser.data.joined.copied, 0);
}

#[test]
fn random_input_parses_like_the_reference_at_any_cut() {
    const PARTS: [&str; 26] = [
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\r\n\r\n",
        "data",
        "data:",
        "data: ",
        "data:  x",
        "event",
        "event:",
        "event: data",
        "event:control",
        "control",
        ":",
        ": c",
        " ",
        "id: 1",
        "retry: 2",
        "é€😀",
        "\u{FEFF}",
        "\0",
        "x",
        "data: abc\n",
        "event: data\n",
        "event: control\ndata: {}\n\n",
    ];
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let mut input = Vec::new();
        for _ in 0..random.below(60) {
            let mut part = random.pick(&PARTS).as_bytes();
            if random.below(20) == 0 {
                part = &part[..random.below(part.len() + 1)];
            }
            input.extend_from_slice(part);
        }
        let expected = reference(&input);
        assert_eq!(parse(vec![Bytes::from(input.clone())]), expected, "{seed}");
        assert_eq!(parse(random.cut(&input)), expected, "{seed}");
    }
}

/// Bytes copied while parsing `input` in pieces of `size`, all events counted and measured.
fn copied(input: &Bytes, size: usize, limit: usize, events: usize, length: usize) -> usize {
    let mut parser = SseParser::new(limit);
    let (mut count, mut sum) = (0, 0);
    for at in (0..input.len()).step_by(size) {
        parser.push(input.slice(at..(at + size).min(input.len())));
        while let Some(event) = parser.next_event() {
            count += 1;
            sum += event.unwrap().data.len();
        }
    }
    assert_eq!((count, sum), (events, length));
    parser.data.joined.copied
}

#[test]
fn copying_is_linear_in_the_size_of_an_event() {
    for size in [1 << 20, 1 << 24] {
        let mut one_line = b"event: data\ndata: ".to_vec();
        one_line.resize(one_line.len() + size, b'x');
        one_line.extend_from_slice(b"\n\n");
        let one_line = Bytes::from(one_line);
        assert_eq!(copied(&one_line, one_line.len(), size, 1, size), 0, "one buffer");
        assert!(copied(&one_line, 8192, size, 1, size) < 3 * size, "8 KB pieces");

        let line = [&b"data: "[..], &[b'x'; 94], b"\n"].concat();
        let lines = size / 101;
        let many_lines = Bytes::from([b"event: data\n", &line.repeat(lines)[..], b"\n"].concat());
        let length = lines * 95 - 1;
        assert!(copied(&many_lines, many_lines.len(), size, 1, length) < 3 * size, "many lines");
        assert!(copied(&many_lines, 8192, size, 1, length) < 3 * size, "many lines in pieces");
    }
}

#[test]
fn many_events_in_one_buffer_are_copied_no_more_than_in_pieces() {
    let one = b"event: data\ndata: [1,2,3]\n\n";
    let input = Bytes::from(one.repeat(100_000));
    assert_eq!(copied(&input, input.len(), LIMIT, 100_000, 700_000), 0);
    // In pieces only what lies across a cut is copied.
    let cuts = input.len() / 65_536 + 1;
    assert!(copied(&input, 65_536, LIMIT, 100_000, 700_000) <= cuts * 2 * one.len());
}

#[test]
fn event_above_the_limit_ends_the_parser() {
    let limit = 1000;
    for line in [&b"data: 0123456789\n"[..], b"data: 0123456789", b"data\n", b"data:\n"] {
        for size in [1, 7, 64, 100_000] {
            let input = Bytes::from([&b"event: data\ndata: ok\n\n"[..], &line.repeat(4000)[..]].concat());
            let mut parser = SseParser::new(limit);
            let mut results = Vec::new();
            for at in (0..input.len()).step_by(size) {
                parser.push(input.slice(at..(at + size).min(input.len())));
                results.extend(std::iter::from_fn(|| parser.next_event()));
                assert!(parser.data.joined.capacity() <= limit + 1, "{}", parser.data.joined.capacity());
            }
            assert_eq!(results, [Ok(data("ok")), Err(EventTooLarge { limit })]);
            parser.push(Bytes::from_static(b"\n\nevent: data\ndata: a\n\n"));
            assert_eq!(parser.next_event(), None);
        }
    }
}

#[test]
fn event_of_exactly_the_limit_is_yielded() {
    for (input, length) in [(&b"data: 0123\n\n"[..], 4), (b"data: 0\ndata: 1\n\n", 3), (b"data\ndata\n\n", 1)]
    {
        for pieces in all_cuts(input) {
            let mut exact = SseParser::new(length);
            let mut small = SseParser::new(length - 1);
            for piece in pieces {
                exact.push(piece.clone());
                small.push(piece);
                // Not drained between the pushes: that is allowed, too.
            }
            assert_eq!(exact.next_event().unwrap().unwrap().data.len(), length);
            assert_eq!(small.next_event(), Some(Err(EventTooLarge { limit: length - 1 })));
        }
    }
}

#[test]
fn endless_comments_and_names_use_no_memory() {
    for prefix in [&b":"[..], b"", b"event: ", b"id: "] {
        let mut parser = SseParser::new(16);
        parser.push(Bytes::copy_from_slice(prefix));
        for _ in 0..100 {
            parser.push(Bytes::from_static(&[b'x'; 4096]));
            assert_eq!(parser.next_event(), None);
        }
        parser.push(Bytes::from_static(b"\ndata: a\n\n"));
        assert_eq!(parser.next_event(), Some(Ok(event(EventName::Other, "a"))));
        assert_eq!(parser.data.joined.copied, 0);
    }
}

mod control {
    use super::*;

    fn offset(text: &str) -> Result<String, ControlError> {
        Control::parse(text.as_bytes()).map(|control| control.next_offset.to_string())
    }

    #[test]
    fn control_event_has_every_field() {
        let control = Control::parse(
            br#"{"streamNextOffset":"12_34","streamCursor":"abc","upToDate":true,"streamClosed":false}"#,
        );
        assert_eq!(
            control,
            Ok(Control {
                next_offset: Offset::parse("12_34"),
                cursor: Some("abc".into()),
                up_to_date: true,
                closed: false
            })
        );
    }

    #[test]
    fn offset_is_the_only_required_field() {
        for text in [
            r#"{"streamNextOffset":"1"}"#,
            " {\n\"streamNextOffset\" :\n\t\"1\" } \n",
            r#"{"streamNextOffset":"1","streamCursor":null,"upToDate":null,"streamClosed":null}"#,
            r#"{"a":{"streamNextOffset":"2","b":[[{}],"}\""]},"streamNextOffset":"1","c":1e9}"#,
            r#"{"\u0073treamNextOffset":"\u0031"}"#,
        ] {
            let expected =
                Control { next_offset: Offset::parse("1"), cursor: None, up_to_date: false, closed: false };
            assert_eq!(Control::parse(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn deep_or_long_fields_are_bounded() {
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(offset(&format!("{{\"x\":{open}{close},\"streamNextOffset\":\"1\"}}")), Ok("1".into()));
        for field in ["streamCursor", "upToDate", "streamNextOffset"] {
            let error = offset(&format!("{{\"{field}\":{open}{close}}}")).unwrap_err().to_string();
            assert!(error.len() < 500, "{field}: {}", error.len());
        }
        let long = "a".repeat(1 << 20);
        for field in ["upToDate", "streamNextOffset"] {
            let error = offset(&format!("{{\"{field}\":\"{long}\"}}")).unwrap_err().to_string();
            assert!(error.len() < 500, "{field}: {}", error.len());
        }
        let cursor = |length: usize| {
            let cursor = &long[..length];
            let text = format!("{{\"streamNextOffset\":\"1\",\"streamCursor\":\"{cursor}\"}}");
            Control::parse(text.as_bytes()).unwrap().cursor
        };
        assert_eq!((cursor(4096).map(|cursor| cursor.len()), cursor(4097)), (Some(4096), None));
    }

    #[test]
    fn closed_implies_up_to_date() {
        let control = Control::parse(br#"{"streamNextOffset":"1","streamClosed":true}"#).unwrap();
        assert!(control.closed && control.up_to_date);
    }

    #[test]
    fn missing_offset_is_an_error() {
        for text in ["{}", r#"{"streamNextOffset":null}"#, r#"{"upToDate":true,"streamCursor":"1"}"#] {
            assert_eq!(offset(text), Err(ControlError::MissingOffset), "{text}");
        }
    }

    #[test]
    fn invalid_offset_is_an_error() {
        for token in ["", "-1", "now", "1,2", "1=2", "1/2", "1?2", "1&2", "a\\nb", "a\\u0000"] {
            let text = format!(r#"{{"streamNextOffset":"{token}"}}"#);
            assert!(matches!(offset(&text), Err(ControlError::InvalidOffset { .. })), "{text}");
        }
        for token in ["-1a", "now1", "0", "1+:;@é"] {
            assert_eq!(offset(&format!(r#"{{"streamNextOffset":"{token}"}}"#)).as_deref(), Ok(token));
        }
    }

    #[test]
    fn malformed_control_event_is_an_error() {
        for text in [
            "",
            " ",
            "null",
            "[]",
            "\"x\"",
            "{",
            r#"{"streamNextOffset":"1""#,
            r#"{"streamNextOffset":"1"}x"#,
            r#"{"streamNextOffset":1}"#,
            r#"{"streamNextOffset":"1","upToDate":1}"#,
            r#"{"streamNextOffset":"1","upToDate":"yes"}"#,
            r#"{"streamNextOffset":"1","streamClosed":[]}"#,
            "<html>",
        ] {
            assert!(matches!(offset(text), Err(ControlError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn cursor_that_cannot_be_sent_back_is_dropped() {
        for (cursor, expected) in [
            ("\"abc\"", Some("abc")),
            ("7", Some("7")),
            ("-7", Some("-7")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("18446744073709551616", None),
            ("1.5", None),
            ("\"\"", None),
            ("null", None),
            ("true", None),
            (r#"[1,{"a":[]}]"#, None),
            (r#"{"streamNextOffset":"2","a":[1]}"#, None),
        ] {
            let text = format!(r#"{{"streamCursor":{cursor},"streamNextOffset":"1","upToDate":true}}"#);
            let control = Control::parse(text.as_bytes()).unwrap();
            assert_eq!(control.cursor.as_deref(), expected, "{cursor}");
            assert!(control.next_offset == Offset::parse("1") && control.up_to_date, "{cursor}");
        }
    }

    #[test]
    fn flags_may_be_words_in_quotes() {
        for (flag, expected) in [(r#""true""#, true), (r#""TRUE""#, true), (r#""false""#, false)] {
            let text = format!(r#"{{"streamNextOffset":"1","upToDate":{flag},"streamClosed":{flag}}}"#);
            let control = Control::parse(text.as_bytes()).unwrap();
            assert_eq!((control.up_to_date, control.closed), (expected, expected), "{flag}");
        }
    }

    #[test]
    fn error_messages_are_cut() {
        let text = format!(r#"{{"upToDate":"{}"}}"#, "é".repeat(1 << 20));
        assert!(offset(&text).unwrap_err().to_string().len() < 400);
        let text = format!(r#"{{"streamNextOffset":"{},"}}"#, "é".repeat(1 << 20));
        assert!(offset(&text).unwrap_err().to_string().len() < 400);
    }
}

#[test]
fn retry_field_is_the_reconnection_time_if_it_is_a_number() {
    let time = |text: &str, size: usize| {
        let mut parser = SseParser::new(100);
        for piece in text.as_bytes().chunks(size) {
            parser.push(Bytes::copy_from_slice(piece));
            while let Some(event) = parser.next_event() {
                assert!(event.is_ok());
            }
        }
        parser.reconnection_time().map(|time| time.as_millis())
    };
    for size in [1, 3, 100] {
        for (text, expected) in [
            ("retry: 2000\n\n", Some(2000)),
            ("retry:2000\r\ndata: x\r\n\r\n", Some(2000)),
            ("retry: 1\nretry: 2\n", Some(2)),
            ("retry: 7\nretry: soon\nretry\nretry:\n", Some(7)),
            ("retry: 2.5\nretry: -1\nretry: 1 \n", None),
            ("retry: 20", None),
            ("retry: 99999999999999999999999\n", Some(u128::from(u64::MAX))),
        ] {
            assert_eq!(time(text, size), expected, "{text:?} by {size}");
        }
    }
}
