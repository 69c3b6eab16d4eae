use crate::protocol::json::batch;
use bytes::Bytes;

#[test]
fn messages_are_framed_as_an_array() {
    let mut array = Vec::new();
    let ends = [
        batch::push_validated(&mut array, br#"{"a":1}"#),
        batch::push_validated(&mut array, b"[1, 2]"),
        batch::push_validated(&mut array, b"\"text\""),
        batch::push_validated(&mut array, b"7"),
    ];
    batch::close(&mut array);
    let array = Bytes::from(array);
    assert_eq!(array, r#"[{"a":1},[1, 2],"text",7]"#);
    let starts = [0, ends[0], ends[1], ends[2]];
    let messages: Vec<Bytes> =
        starts.iter().zip(ends).map(|(start, end)| batch::message(&array, *start, end)).collect();
    assert_eq!(messages, [r#"{"a":1}"#, "[1, 2]", "\"text\"", "7"]);
    assert_eq!(array.len(), ends[3] + 1);
}

#[test]
fn raw_text_is_validated() {
    for text in [
        &b""[..],
        b" ",
        b"{",
        b"1 2",
        b"[1],",
        b"tru",
        b"\"\xFF\"",
        b"\"a\nb\"",
        b"'a'",
        b"01",
        b"\xEF\xBB\xBF1",
    ] {
        assert!(batch::validate(text).is_err(), "{text:?}");
    }
    for (text, trimmed) in [(" 1\r\n", "1"), ("[ ]", "[ ]"), ("\t\"é \"", "\"é \""), ("null", "null")] {
        assert_eq!(batch::validate(text.as_bytes()).unwrap(), trimmed.as_bytes());
    }
    let error = batch::validate(b"\"ab\xFF\"").unwrap_err().to_string();
    assert_eq!(error, "invalid UTF-8 after 3 bytes");
}

#[test]
fn closed_batch_splits_between_messages() {
    let mut array = Vec::new();
    let ends: Vec<usize> =
        ["10", "[11]", "12"].map(|text| batch::push_validated(&mut array, text.as_bytes())).into();
    batch::close(&mut array);
    let array = Bytes::from(array);
    let cut = |at: usize| batch::split_closed(&array, ends[at]);
    assert_eq!(cut(0), (Bytes::from("[10]"), Bytes::from("[[11],12]")));
    assert_eq!(cut(1), (Bytes::from("[10,[11]]"), Bytes::from("[12]")));
}

#[test]
fn empty_batch_stays_empty_and_lines_end_with_a_line_feed() {
    let mut empty = Vec::new();
    batch::close(&mut empty);
    assert!(empty.is_empty());
    let mut lines = Vec::new();
    assert_eq!(batch::push_validated_line(&mut lines, b"[]"), 3);
    assert_eq!(lines, b"[]\n");
}

#[test]
fn record_of_a_million_brackets_does_not_overflow_the_stack() {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(super::validate(open.as_bytes()).is_err());
    // Whether a depth is allowed is the server's decision.
    let _ = super::validate(format!("{open}{close}").as_bytes());
}
