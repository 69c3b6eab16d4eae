//! Splitting of JSON bodies into messages and typed values.

use crate::{Case, group};
use bytes::Bytes;
use durable_streams::__internals::{Framing, JsonSplitter};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

const TOTAL: usize = 48 << 20;
const PIECE: usize = 64 << 10;

/// A record of about 95 bytes of JSON.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) user: String,
    pub(crate) action: String,
    pub(crate) value: f64,
    pub(crate) ok: bool,
}

impl Record {
    pub(crate) fn new(id: usize) -> Self {
        Self {
            id: 1_000_000_000 + id as u64,
            user: format!("user-{:08}", id % 1000),
            action: "page.viewed".to_owned(),
            value: 0.5 + (id % 1000) as f64,
            ok: id.is_multiple_of(3),
        }
    }
}

/// Feeds `input` to a splitter in pieces. Returns how many values `next` gave, and their sum.
fn drive(
    framing: Framing,
    input: &Bytes,
    piece: usize,
    mut next: impl FnMut(&mut JsonSplitter) -> Option<u64>,
) -> (usize, u64) {
    let mut splitter = JsonSplitter::new(framing, 16 << 20);
    let (mut count, mut sum) = (0, 0u64);
    for at in (0..input.len()).step_by(piece) {
        splitter.push(input.slice(at..(at + piece).min(input.len())));
        while let Some(value) = next(&mut splitter) {
            count += 1;
            sum += value;
        }
    }
    splitter.finish();
    assert!(next(&mut splitter).is_none());
    (count, sum)
}

/// Splits into messages.
fn split(input: &Bytes, piece: usize, count: usize, length: usize) {
    let messages = drive(Framing::Array, input, piece, |splitter| {
        splitter.next_message().map(|message| black_box(message.unwrap()).len() as u64)
    });
    assert_eq!(messages, (count, length as u64));
}

/// Splits into frames of many messages, as `chunks()` of a JSON stream does.
fn frames(input: &Bytes, piece: usize, count: usize) {
    let mut messages = 0;
    let (_, length) = drive(Framing::Array, input, piece, |splitter| {
        let frame = black_box(splitter.next_frame(PIECE)?.unwrap());
        messages += frame.messages as usize;
        // Without the brackets and the commas between the messages.
        Some(frame.data.len() as u64 - 1 - frame.messages)
    });
    assert_eq!((messages, length), (count, (input.len() - count - 1) as u64));
}

/// Splits into values of a type.
fn typed(framing: Framing, input: &Bytes, piece: usize, count: usize, sum: u64) {
    let records = drive(framing, input, piece, |splitter| {
        splitter.next_item::<Record>().map(|record| black_box(record.unwrap()).id)
    });
    assert_eq!(records, (count, sum));
}

/// A group that splits an array of many copies of `message`.
fn split_group(title: &str, message: &[u8]) {
    let count = TOTAL / (message.len() + 1);
    let input = Bytes::from([b"[".as_slice(), &vec![message; count].join(&b','), b"]"].concat());
    let length = count * message.len();
    group(
        title,
        vec![
            Case::new("baseline: find quotes, braces and commas", input.len(), count, || {
                assert!(memchr::memchr3_iter(b'"', b'{', b',', &input).count() >= count - 1);
            }),
            Case::new("in one buffer", input.len(), count, || split(&input, input.len(), count, length)),
            Case::new("in buffers of 64 KB", input.len(), count, || split(&input, PIECE, count, length)),
            Case::new("in buffers of 64 KB, framed again", input.len(), count, || {
                frames(&input, PIECE, count)
            }),
            Case::new("in buffers of 8 KB", input.len(), count, || split(&input, 8 << 10, count, length)),
        ],
    );
}

pub(crate) fn run() {
    split_group("json split, objects of 100 bytes", &serde_json::to_vec(&Record::new(7)).unwrap());
    split_group("json split, objects of 25 bytes", br#"{"id":12345,"name":"abc"}"#);
    split_group("json split, numbers", b"123456");
    let nested: Vec<Vec<Record>> = (0..10).map(|n| (0..10).map(|m| Record::new(n * m)).collect()).collect();
    split_group("json split, nested, 10 KB", &serde_json::to_vec(&nested).unwrap());
    let escaped = serde_json::to_vec(&["a \"quoted\" word\tand a \\ more\n".repeat(20)]).unwrap();
    split_group("json split, many escapes, 700 bytes", &escaped);
    split_group(
        "json split, strings of 10 KB",
        format!("{{\"text\":\"{}\"}}", "word ".repeat(2000)).as_bytes(),
    );

    let records: Vec<Record> = (0..500_000).map(Record::new).collect();
    let count = records.len();
    let sum = records.iter().map(|record| record.id).sum();
    let array = Bytes::from(serde_json::to_vec(&records).unwrap());
    let texts: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let texts = Bytes::from(texts.join("\n"));
    drop(records);
    group(
        "json typed, records of 95 bytes",
        vec![
            Case::new("serde_json::from_slice::<Vec<_>>", array.len(), count, || {
                let records: Vec<Record> = serde_json::from_slice(&array).unwrap();
                assert_eq!(records.iter().map(|record| record.id).sum::<u64>(), sum);
            }),
            Case::new("in one buffer", array.len(), count, || {
                typed(Framing::Array, &array, array.len(), count, sum)
            }),
            Case::new("in buffers of 64 KB", array.len(), count, || {
                typed(Framing::Array, &array, PIECE, count, sum)
            }),
            Case::new("in buffers of 8 KB", array.len(), count, || {
                typed(Framing::Array, &array, 8 << 10, count, sum)
            }),
            Case::new("texts in buffers of 64 KB", texts.len(), count, || {
                typed(Framing::Texts, &texts, PIECE, count, sum);
            }),
            Case::new("split, then serde_json::from_slice::<_>", array.len(), count, || {
                let records = drive(Framing::Array, &array, PIECE, |splitter| {
                    let message = splitter.next_message()?.unwrap();
                    Some(serde_json::from_slice::<Record>(&message).unwrap().id)
                });
                assert_eq!(records, (count, sum));
            }),
        ],
    );
}
