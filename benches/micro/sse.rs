//! Parsing of event streams, control events and base64.

use crate::{Case, group};
use bytes::Bytes;
use durable_streams::__internals::{Control, EventName, SseParser, decode};
use std::hint::black_box;

const TOTAL: usize = 64 << 20;
const PIECE: usize = 64 << 10;

/// Parses `input` in pieces of `piece` bytes. Checks the number of events and the total length of their data.
fn parse(input: &Bytes, piece: usize, events: usize, length: usize) {
    let mut parser = SseParser::new(16 << 20);
    let (mut count, mut sum) = (0, 0);
    for at in (0..input.len()).step_by(piece) {
        parser.push(input.slice(at..(at + piece).min(input.len())));
        while let Some(event) = parser.next_event() {
            let event = event.unwrap();
            count += usize::from(event.event == EventName::Data);
            sum += black_box(&event.data).len();
        }
    }
    assert_eq!((count, sum), (events, length));
}

/// Finds every line end and copies every byte once: the least work of a parser that copies.
fn scan_and_copy(input: &Bytes) {
    let mut copy = Vec::with_capacity(PIECE);
    let mut lines = 0;
    for piece in input.chunks(PIECE) {
        lines += memchr::memchr2_iter(b'\n', b'\r', piece).count();
        copy.clear();
        copy.extend_from_slice(black_box(piece));
    }
    assert!(lines > 0 && !copy.is_empty());
}

/// An event stream of about [`TOTAL`] bytes with this data in each event, and the number of events.
fn events(data: &[u8]) -> (Bytes, usize) {
    let event = [b"event: data\ndata: ", data, b"\n\n"].concat();
    let count = TOTAL / event.len();
    (Bytes::from(event.repeat(count)), count)
}

pub(crate) fn run() {
    for (title, size) in [
        ("sse, events of 100 bytes", 100),
        ("sse, events of 4 KB", 4 << 10),
        ("sse, events of 1 MB", 1 << 20),
        ("sse, events of 16 MB", 16 << 20),
    ] {
        let (input, count) = events(&vec![b'x'; size]);
        let length = count * size;
        group(
            title,
            vec![
                Case::new("baseline: find line ends, copy bytes", input.len(), count, || {
                    scan_and_copy(&input)
                }),
                Case::new("in one buffer", input.len(), count, || parse(&input, input.len(), count, length)),
                Case::new("in buffers of 64 KB", input.len(), count, || parse(&input, PIECE, count, length)),
                Case::new("in buffers of 1 KB", input.len(), count, || parse(&input, 1 << 10, count, length)),
            ],
        );
    }

    let line = [&b"data: "[..], &[b'x'; 93], b",\n"].concat();
    let lines = (1 << 20) / line.len();
    let event = [b"event: data\n", &line.repeat(lines)[..], b"\n"].concat();
    let count = TOTAL / event.len();
    let input = Bytes::from(event.repeat(count));
    let length = count * (lines * 95 - 1);
    group(
        "sse, events of 1 MB in lines of 100 bytes",
        vec![
            Case::new("baseline: find line ends, copy bytes", input.len(), count, || scan_and_copy(&input)),
            Case::new("in one buffer", input.len(), count, || parse(&input, input.len(), count, length)),
            Case::new("in buffers of 64 KB", input.len(), count, || parse(&input, PIECE, count, length)),
        ],
    );

    let text = br#"{"streamNextOffset":"0000000000000000_0000000000000036","streamCursor":"3350325","upToDate":true}"#;
    group(
        "control events",
        vec![Case::new("parsed", text.len() * 100_000, 100_000, || {
            for _ in 0..100_000 {
                assert!(Control::parse(black_box(text)).unwrap().up_to_date);
            }
        })],
    );

    let whole = b"QUJD".repeat(1 << 18);
    let lines = whole.chunks(76).collect::<Vec<_>>().join(&b'\n');
    let length = (1 << 18) * 3;
    group(
        "base64, 1 MB",
        vec![
            Case::new("in one line", whole.len(), 1, || assert_eq!(decode(&whole).unwrap().len(), length)),
            Case::new("in lines of 76 bytes", lines.len(), 1, || {
                assert_eq!(decode(&lines).unwrap().len(), length)
            }),
        ],
    );
}
