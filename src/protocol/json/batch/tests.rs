use crate::protocol::json::batch;
use bytes::Bytes;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fails after it has written something.
struct Broken;

impl serde::Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("written", "before")?;
        map.serialize_entry(&[1], "a key that is no string")?;
        map.end()
    }
}

struct Panics;

impl serde::Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..10).map(|n| if n < 5 { n } else { panic!("in a user's code") }))
    }
}

#[test]
fn values_and_raw_texts_mix() {
    let mut array = Vec::new();
    let ends = [
        batch::push_value(&mut array, &json!({"a": 1})).unwrap(),
        batch::push_raw(&mut array, b" [1, 2]\n").unwrap(),
        batch::push_value(&mut array, "text").unwrap(),
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
fn a_value_that_does_not_serialise_leaves_no_trace() {
    let mut array = Vec::new();
    batch::push_value(&mut array, &Broken).unwrap_err();
    assert_eq!(array, b"");
    batch::push_value(&mut array, &1).unwrap();
    batch::push_value(&mut array, &Broken).unwrap_err();
    batch::push_raw(&mut array, b"{").unwrap_err();
    catch_unwind(AssertUnwindSafe(|| batch::push_value(&mut array, &Panics))).unwrap_err();
    batch::push_value(&mut array, &2).unwrap();
    assert_eq!(array, b"[1,2");

    let mut lines = Vec::new();
    batch::push_line(&mut lines, &Broken).unwrap_err();
    batch::push_line(&mut lines, &json!({"a": 1})).unwrap();
    batch::push_line(&mut lines, &Broken).unwrap_err();
    assert_eq!(batch::push_validated_line(&mut lines, b"[]"), lines.len());
    assert_eq!(lines, b"{\"a\":1}\n[]\n");
}

#[test]
fn raw_texts_are_validated() {
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
fn batches_are_cut_between_messages() {
    for at in 0..4 {
        let mut open = Vec::new();
        let ends: Vec<usize> =
            (10..14).map(|value| batch::push_value(&mut open, &[value]).unwrap()).collect();
        let mut closed = open.clone();
        batch::close(&mut closed);
        let end = if at == 0 { 0 } else { ends[at - 1] };

        let mut tail = batch::split_off(&mut open, end);
        batch::close(&mut open);
        batch::close(&mut tail);
        let values = |bytes: &[u8]| -> Vec<[u32; 1]> {
            if bytes.is_empty() { Vec::new() } else { serde_json::from_slice(bytes).unwrap() }
        };
        let expected: Vec<[u32; 1]> = (10..14).map(|value| [value]).collect();
        assert_eq!((values(&open), values(&tail)), (expected[..at].to_vec(), expected[at..].to_vec()));
        if at > 0 {
            let (head, tail) = batch::split_closed(&Bytes::from(closed), end);
            assert_eq!((values(&head), values(&tail)), (expected[..at].to_vec(), expected[at..].to_vec()));
        }
    }
    let mut all = vec![b'['];
    assert!(batch::split_off(&mut all, 1).is_empty());
}

#[test]
fn frames_messages_again() {
    assert_eq!(batch::frame_array::<Bytes>(&[]), "[]");
    assert_eq!(batch::frame_array(&["1"]), "[1]");
    assert_eq!(batch::frame_array(&["1", "[2]", "{}"]), "[1,[2],{}]");
    let mut empty = Vec::new();
    batch::close(&mut empty);
    assert!(empty.is_empty());
}
