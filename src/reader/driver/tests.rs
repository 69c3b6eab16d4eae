//! The driver with a scripted server and clock: orders of inputs that no real server gives reliably.

use crate::error::StreamError;
use crate::offset::Offset;
use crate::reader::builder::ReaderBuilder;
use crate::reader::options::LiveMode;
use crate::reader::views::chunks::ChunkIterator;
#[cfg(feature = "json")]
use crate::reader::views::json::JsonBatches;
use crate::reader::views::text::TextStream;
use crate::reader::views::with_checkpoints::WithCheckpoints;
use crate::retry::RetryConfig;
use crate::testing::{ManualRuntime, Rig, ScriptedTransport, poll_once};
use std::pin::pin;
use std::time::Duration;

const TEXT: (&str, &str) = ("content-type", "text/plain");
const UP_TO_DATE: (&str, &str) = ("stream-up-to-date", "true");

fn next(offset: &str) -> (&'static str, &str) {
    ("stream-next-offset", offset)
}

/// A reader from the offset `a0`.
fn reader(rig: &Rig) -> ReaderBuilder<ScriptedTransport, ManualRuntime> {
    rig.stream().reader().offset(Offset::parse("a0"))
}

/// Checks that `count` requests were sent, the last of them for `target`.
fn assert_last_request(rig: &Rig, count: usize, target: &str) {
    assert_eq!(rig.sent(), count);
    rig.request(count - 1, |sent| assert_eq!(sent.target, target));
}

#[test]
fn single_204_before_the_tail_after_an_empty_page_is_tolerated() {
    let rig = Rig::new();
    let mut read = pin!(reader(&rig).read_all());
    assert!(poll_once(&mut read).is_none());
    assert_last_request(&rig, 1, "/s?offset=a0");
    // An ordinary empty page, then one 204 that lost a race with an append.
    let body = rig.respond_with_body(0, 200, &[JSON, next("a1")]);
    body.push("[]");
    body.end();
    assert!(poll_once(&mut read).is_none());
    assert_last_request(&rig, 2, "/s?offset=a1");
    rig.respond(1, 204, &[next("a2")]);
    assert!(poll_once(&mut read).is_none());
    rig.advance(Duration::from_secs(1));
    assert!(poll_once(&mut read).is_none());
    assert_last_request(&rig, 3, "/s?offset=a1");
    let body = rig.respond_with_body(2, 200, &[JSON, next("a2"), UP_TO_DATE]);
    body.push("[1]");
    body.end();
    assert_eq!(poll_once(&mut read).unwrap().unwrap(), "[1]");
    assert_eq!(rig.sent(), 3);
}

#[test]
fn broken_page_is_resumed_after_the_part_that_was_delivered() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).live(LiveMode::LongPoll).chunks());
    assert!(poll_once(&mut start).is_none());
    let body = rig.respond_with_body(0, 200, &[TEXT, next("a1"), ("content-length", "6")]);
    let mut chunks = poll_once(&mut start).unwrap().unwrap();
    body.push("abc");
    let chunk = poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap();
    assert_eq!((chunk.data.as_ref(), chunk.checkpoint.to_string()), (b"abc".as_ref(), "a0,b3".into()));
    body.break_off();
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    rig.advance(Duration::from_secs(1));
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    assert_last_request(&rig, 2, "/s?offset=a0");
    let body = rig.respond_with_body(1, 200, &[TEXT, next("a1"), UP_TO_DATE]);
    body.push("abcdef");
    body.end();
    let chunk = poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap();
    assert_eq!((chunk.data.as_ref(), chunk.checkpoint.to_string()), (b"def".as_ref(), "a1".into()));
}

#[test]
fn silent_page_times_out_after_the_idle_timeout() {
    let rig = Rig::new();
    let idle = Duration::from_secs(7);
    let mut read = pin!(reader(&rig).idle_timeout(idle).retry_config(RetryConfig::none()).read_all());
    assert!(poll_once(&mut read).is_none());
    rig.respond_with_body(0, 200, &[TEXT, next("a1")]);
    assert!(poll_once(&mut read).is_none());
    rig.advance(idle - Duration::from_secs(1));
    assert!(poll_once(&mut read).is_none());
    rig.advance(Duration::from_secs(1));
    let error = poll_once(&mut read).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::Timeout), "{error}");
}

#[test]
fn reader_converted_to_any_continues_the_response_in_flight() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).to_any().response());
    assert!(poll_once(&mut start).is_none());
    let length = ("content-length", "6");
    let body = rig.respond_with_body(0, 200, &[TEXT, next("a1"), length, UP_TO_DATE]);
    let mut chunks: ChunkIterator = poll_once(&mut start).unwrap().unwrap().to_any().chunks();
    body.push("abc");
    assert_eq!(poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap().data, "abc");
    let mut chunks: WithCheckpoints<ChunkIterator> = chunks.to_any().with_checkpoints();
    body.push("def");
    let (chunk, checkpoint) = poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap();
    assert_eq!((chunk.data.as_ref(), checkpoint.to_string()), (b"def".as_ref(), "a1".into()));
    assert_eq!(rig.sent(), 1);
}

#[test]
fn text_converted_to_any_keeps_an_incomplete_character() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).text());
    assert!(poll_once(&mut start).is_none());
    let body = rig.respond_with_body(0, 200, &[TEXT, next("a1"), UP_TO_DATE]);
    let mut text = poll_once(&mut start).unwrap().unwrap();
    body.push(b"a\xE2");
    assert_eq!(poll_once(&mut pin!(text.next())).unwrap().unwrap().unwrap(), "a");
    let mut text: TextStream = text.to_any();
    assert_eq!(text.checkpoint().to_string(), "a0,b1");
    body.push(b"\x82\xAC");
    body.end();
    assert_eq!(poll_once(&mut pin!(text.next())).unwrap().unwrap().unwrap(), "€");
}

#[cfg(feature = "json")]
#[test]
fn batches_converted_to_any_keep_their_error() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).json::<u8>());
    assert!(poll_once(&mut start).is_none());
    let json = ("content-type", "application/json");
    let body = rig.respond_with_body(0, 200, &[json, next("a1"), UP_TO_DATE]);
    body.push("[1,\"x\",2]");
    body.end();
    let mut batches = poll_once(&mut start).unwrap().unwrap().batches(10);
    assert_eq!(poll_once(&mut pin!(batches.next())).unwrap().unwrap().unwrap().items, [1]);
    let mut batches: JsonBatches<u8> = batches.to_any();
    assert!(poll_once(&mut pin!(batches.next())).unwrap().unwrap().is_err());
    assert_eq!(poll_once(&mut pin!(batches.next())).unwrap().unwrap().unwrap().items, [2]);
}

/// Whether request `index` asked for a new connection.
fn is_fresh(rig: &Rig, index: usize) -> bool {
    rig.request(index, |sent| sent.is_fresh_connection)
}

#[test]
fn request_after_a_path_failure_asks_for_a_new_connection() {
    let rig = Rig::new();
    let mut read = pin!(reader(&rig).read_all());
    assert!(poll_once(&mut read).is_none());
    rig.respond(0, 503, &[]);
    let fail: [&dyn Fn(usize); 3] = [
        &|index| rig.break_connection(index),
        &|index| rig.respond_with_body(index, 200, &[TEXT, next("a1"), ("content-length", "6")]).break_off(),
        // The rate limit is the server's, whichever connection is used.
        &|index| rig.respond(index, 429, &[]),
    ];
    for (index, fail) in fail.iter().enumerate() {
        assert!(poll_once(&mut read).is_none());
        rig.advance(Duration::from_secs(5));
        assert!(poll_once(&mut read).is_none());
        fail(index + 1);
    }
    assert!(poll_once(&mut read).is_none());
    rig.advance(Duration::from_secs(5));
    assert!(poll_once(&mut read).is_none());
    let fresh: Vec<bool> = (0..rig.sent()).map(|index| is_fresh(&rig, index)).collect();
    assert_eq!(fresh, [false, true, true, true, false]);
}

#[test]
fn request_after_a_silent_body_asks_for_a_new_connection() {
    let rig = Rig::new();
    let mut read = pin!(reader(&rig).idle_timeout(Duration::from_secs(5)).read_all());
    assert!(poll_once(&mut read).is_none());
    let _silent = rig.respond_with_body(0, 200, &[TEXT, next("a1")]);
    assert!(poll_once(&mut read).is_none());
    for _ in 0..3 {
        rig.advance(Duration::from_secs(6));
        assert!(poll_once(&mut read).is_none());
    }
    assert_eq!((rig.sent(), is_fresh(&rig, 1)), (2, true));
}

#[test]
fn request_after_a_page_whose_end_is_not_waited_for_takes_any_connection() {
    let rig = Rig::new();
    let mut read = pin!(reader(&rig).read_all());
    assert!(poll_once(&mut read).is_none());
    let body = rig.respond_with_body(0, 200, &[JSON, next("a1")]);
    // All of its content, without the end of the body.
    body.push("[1]");
    assert!(poll_once(&mut read).is_none());
    rig.advance(Duration::from_secs(2));
    assert!(poll_once(&mut read).is_none());
    assert_eq!((rig.sent(), is_fresh(&rig, 1)), (2, false));
}

const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
/// An event with the message `1`, and its control event.
const EVENT: &str =
    "event: data\ndata:[1]\n\nevent: control\ndata:{\"streamNextOffset\":\"a1\",\"streamCursor\":\"1\"}\n\n";

type Chunks = ChunkIterator<ScriptedTransport, ManualRuntime>;

/// A reader of an event stream, the request 1, that has delivered its first event and waits for the next.
fn waiting_for_events(rig: &Rig) -> Chunks {
    let mut start = pin!(reader(rig).live(LiveMode::Sse).chunks());
    assert!(poll_once(&mut start).is_none());
    rig.respond(0, 200, &[JSON, next("a1")]);
    assert!(poll_once(&mut start).is_none());
    assert_last_request(rig, 2, "/s?live=sse&offset=a0");
    rig.respond_with_body(1, 200, &[EVENTS]).push(EVENT);
    let mut chunks = poll_once(&mut start).unwrap().unwrap();
    assert_eq!(
        poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap().next_offset,
        Offset::parse("a1")
    );
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    chunks
}

#[test]
fn consumer_that_stops_waiting_for_a_while_keeps_its_live_connection() {
    let rig = Rig::new();
    let mut chunks = waiting_for_events(&rig);
    // The timer fires in time. The consumer does something else for a while.
    for _ in 0..4 {
        rig.advance(Duration::from_secs(15));
    }
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    assert_eq!(rig.sent(), 2);
}

#[test]
fn timer_that_fires_late_shows_a_suspension() {
    let rig = Rig::new();
    let mut chunks = waiting_for_events(&rig);
    rig.advance(Duration::from_secs(60));
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    assert_eq!((rig.sent(), is_fresh(&rig, 2)), (3, true));
}

#[test]
fn consumer_that_stops_waiting_for_the_head_of_an_event_stream_does_not_fall_back_to_long_poll() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).live(LiveMode::Auto).chunks());
    assert!(poll_once(&mut start).is_none());
    let page = rig.respond_with_body(0, 200, &[JSON, next("a1"), UP_TO_DATE]);
    page.push("[]");
    page.end();
    let mut chunks = poll_once(&mut start).unwrap().unwrap();
    while poll_once(&mut pin!(chunks.next())).is_some() {}
    assert_last_request(&rig, 2, "/s?live=sse&offset=a1");
    for _ in 0..3 {
        rig.advance(Duration::from_secs(9));
    }
    // Neither has the head arrived, nor has the consumer waited for it.
    assert!(poll_once(&mut pin!(chunks.next())).is_none());
    assert_eq!(rig.sent(), 2);
    rig.respond_with_body(1, 200, &[EVENTS]).push(EVENT.replace("a1", "a2"));
    assert!(poll_once(&mut pin!(chunks.next())).unwrap().unwrap().is_ok());
}

#[test]
fn prefetched_reader_learns_a_content_type_that_arrives_with_later_content() {
    let rig = Rig::new();
    let mut start = pin!(reader(&rig).live(LiveMode::LongPoll).prefetch(4).chunks());
    assert!(poll_once(&mut start).is_none());
    rig.respond(0, 200, &[next("a0"), ("content-length", "0"), UP_TO_DATE]);
    let mut chunks = poll_once(&mut start).unwrap().unwrap();
    rig.run();
    assert!(poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap().up_to_date);
    rig.run();
    let body = rig.respond_with_body(1, 200, &[JSON, next("a2"), UP_TO_DATE]);
    body.push("[1]");
    body.end();
    rig.run();
    assert_eq!(poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap().data, "[1]");
    assert_eq!(chunks.content_type(), "application/json");
}

#[test]
fn direct_and_prefetched_readers_give_the_same_chunks() {
    for prefetch in [0, 1, 4] {
        let rig = Rig::new();
        let mut start = pin!(reader(&rig).prefetch(prefetch).chunks());
        assert!(poll_once(&mut start).is_none());
        let body = rig.respond_with_body(0, 200, &[TEXT, next("a1"), UP_TO_DATE, ("content-length", "2")]);
        let mut chunks = poll_once(&mut start).unwrap().unwrap();
        // A prefetched reader reads in a task: without a run of the task there is nothing to take.
        rig.run();
        assert!(poll_once(&mut pin!(chunks.next())).is_none(), "{prefetch}");
        for piece in ["a", "b"] {
            body.push(piece);
            rig.run();
            let chunk = poll_once(&mut pin!(chunks.next())).unwrap().unwrap().unwrap();
            assert_eq!(chunk.data, piece);
        }
        body.end();
        rig.run();
        assert!(poll_once(&mut pin!(chunks.next())).unwrap().is_none(), "{prefetch}");
    }
}
