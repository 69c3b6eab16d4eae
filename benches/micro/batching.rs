//! Framing of JSON records into batches.

use crate::json::Record;
use crate::{Case, group};
use durable_streams::__internals::batch;
use std::hint::black_box;

const BATCH: usize = 1_000_000;

/// Fills batches with `push`, and closes each when it is full. Checks the total length.
fn fill<M>(messages: &[M], expected: usize, push: impl Fn(&mut Vec<u8>, &M) -> usize) {
    let mut buffer = Vec::with_capacity(BATCH + 200);
    let (mut length, mut count) = (0, 0);
    for message in messages {
        if push(&mut buffer, message) > BATCH {
            batch::close(&mut buffer);
            length += black_box(&buffer).len();
            count += 1;
            buffer.clear();
        }
    }
    batch::close(&mut buffer);
    length += buffer.len();
    count += usize::from(!buffer.is_empty());
    // Each message is followed by a comma or the closing bracket, and each batch begins with a bracket.
    assert_eq!(length, expected + messages.len() + count);
}

pub(crate) fn run() {
    let records: Vec<Record> = (0..200_000).map(Record::new).collect();
    let texts: Vec<Vec<u8>> = records.iter().map(|record| serde_json::to_vec(record).unwrap()).collect();
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let count = records.len();
    group(
        "json batches, records of 95 bytes",
        vec![
            Case::new("serde_json::to_vec of each", bytes, count, || {
                let length: usize =
                    records.iter().map(|record| black_box(serde_json::to_vec(record).unwrap()).len()).sum();
                assert_eq!(length, bytes);
            }),
            Case::new("serde_json::to_vec of all", bytes, count, || {
                assert_eq!(black_box(serde_json::to_vec(&records).unwrap()).len(), bytes + count + 1);
            }),
            Case::new("serialise, then push_validated", bytes, count, || {
                let scratch = std::cell::RefCell::new(Vec::new());
                fill(&records, bytes, |buffer, record| {
                    let scratch = &mut *scratch.borrow_mut();
                    scratch.clear();
                    serde_json::to_writer(&mut *scratch, record).unwrap();
                    batch::push_validated(buffer, scratch)
                });
            }),
            Case::new("validate, then push_validated", bytes, count, || {
                fill(&texts, bytes, |buffer, text| {
                    batch::push_validated(buffer, batch::validate(text).unwrap())
                });
            }),
            Case::new("push_validated", bytes, count, || {
                fill(&texts, bytes, |buffer, text| batch::push_validated(buffer, text));
            }),
        ],
    );
}
