//! The driver with a scripted transport and clock.

use super::testing::Script;
use crate::error::StreamError;
use crate::reader::options::LiveMode;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

const TEXT: (&str, &str) = ("content-type", "text/plain");
const UP_TO_DATE: (&str, &str) = ("stream-up-to-date", "true");

#[test]
fn single_204_before_the_tail_after_an_empty_page_is_tolerated() {
    let script = Script::new();
    let mut read = pin!(script.reader().offset(crate::Offset::parse("a0")).read_all());
    assert!(Script::poll(&mut read).is_pending());
    assert_eq!(script.request().unwrap(), "/s?offset=a0");
    // An ordinary empty page, then one 204 that lost a race with an append.
    script.respond_with(200, &[TEXT, ("stream-next-offset", "a1")], "");
    assert!(Script::poll(&mut read).is_pending());
    assert_eq!(script.request().unwrap(), "/s?offset=a1");
    script.respond_with(204, &[("stream-next-offset", "a2")], "");
    assert!(Script::poll(&mut read).is_pending());
    script.advance(Duration::from_secs(1));
    assert!(Script::poll(&mut read).is_pending());
    assert_eq!(script.request().unwrap(), "/s?offset=a1");
    script.respond_with(200, &[TEXT, ("stream-next-offset", "a2"), UP_TO_DATE], "new");
    assert!(matches!(Script::poll(&mut read), Poll::Ready(Ok(read)) if read == "new"));
    assert_eq!(script.request(), None);
}

#[test]
fn broken_page_is_resumed_behind_the_part_that_was_handed_out() {
    let script = Script::new();
    let mut start =
        pin!(script.reader().offset(crate::Offset::parse("a0")).live(LiveMode::LongPoll).chunks());
    assert!(Script::poll(&mut start).is_pending());
    script.respond(200, &[TEXT, ("stream-next-offset", "a1"), ("content-length", "6")]);
    let Poll::Ready(Ok(mut chunks)) = Script::poll(&mut start) else { panic!("not started") };
    script.push("abc");
    {
        let mut next = pin!(chunks.next());
        let Poll::Ready(Some(Ok(chunk))) = Script::poll(&mut next) else { panic!("no chunk") };
        assert_eq!((chunk.data.as_ref(), chunk.checkpoint.to_string()), (b"abc".as_ref(), "a0,b3".into()));
    }
    script.break_body();
    let mut next = pin!(chunks.next());
    assert!(Script::poll(&mut next).is_pending());
    script.advance(Duration::from_secs(1));
    assert!(Script::poll(&mut next).is_pending());
    assert_eq!(script.request().unwrap(), "/s?offset=a0");
    script.respond_with(200, &[TEXT, ("stream-next-offset", "a1"), UP_TO_DATE], "abcdef");
    let Poll::Ready(Some(Ok(chunk))) = Script::poll(&mut next) else { panic!("no chunk") };
    assert_eq!((chunk.data.as_ref(), chunk.checkpoint.to_string()), (b"def".as_ref(), "a1".into()));
}

#[test]
fn silent_page_times_out_after_the_idle_timeout() {
    let script = Script::new();
    let idle = Duration::from_secs(7);
    let reader = script.reader().idle_timeout(idle).retry_config(crate::RetryConfig::none());
    let mut read = pin!(reader.read_all());
    assert!(Script::poll(&mut read).is_pending());
    script.respond(200, &[TEXT, ("stream-next-offset", "a1")]);
    assert!(Script::poll(&mut read).is_pending());
    script.advance(idle - Duration::from_secs(1));
    assert!(Script::poll(&mut read).is_pending());
    script.advance(Duration::from_secs(1));
    let Poll::Ready(Err(error)) = Script::poll(&mut read) else { panic!("no error") };
    assert!(matches!(error.kind(), StreamError::Timeout), "{error}");
}

#[test]
fn reader_converted_to_any_continues_the_response_in_flight() {
    let script = Script::new();
    let reader = script.reader().to_any().offset(crate::Offset::parse("a0"));
    let mut start = pin!(reader.response());
    assert!(Script::poll(&mut start).is_pending());
    script.respond(200, &[TEXT, ("stream-next-offset", "a1"), ("content-length", "6"), UP_TO_DATE]);
    let Poll::Ready(Ok(response)) = Script::poll(&mut start) else { panic!("not started") };
    let mut chunks: crate::ChunkIterator = response.to_any().chunks();
    script.push("abc");
    {
        let mut next = pin!(chunks.next());
        assert!(matches!(Script::poll(&mut next), Poll::Ready(Some(Ok(chunk))) if chunk.data == "abc"));
    }
    let mut chunks: crate::WithCheckpoints<crate::ChunkIterator> = chunks.to_any().with_checkpoints();
    script.push("def");
    let mut next = pin!(chunks.next());
    let Poll::Ready(Some(Ok((chunk, checkpoint)))) = Script::poll(&mut next) else { panic!("no chunk") };
    assert_eq!((chunk.data.as_ref(), checkpoint.to_string()), (b"def".as_ref(), "a1".into()));
    assert_eq!(script.request().unwrap(), "/s?offset=a0");
    assert_eq!(script.request(), None);
}

#[test]
fn text_converted_to_any_keeps_an_incomplete_character() {
    let script = Script::new();
    let mut start = pin!(script.reader().offset(crate::Offset::parse("a0")).text());
    assert!(Script::poll(&mut start).is_pending());
    script.respond(200, &[TEXT, ("stream-next-offset", "a1"), UP_TO_DATE]);
    let Poll::Ready(Ok(mut text)) = Script::poll(&mut start) else { panic!("not started") };
    script.push(b"a\xE2");
    {
        let mut next = pin!(text.next());
        assert!(matches!(Script::poll(&mut next), Poll::Ready(Some(Ok(text))) if text == "a"));
    }
    let mut text: crate::TextStream = text.to_any();
    assert_eq!(text.checkpoint().to_string(), "a0,b1");
    script.push(b"\x82\xAC");
    script.push("");
    let mut next = pin!(text.next());
    assert!(matches!(Script::poll(&mut next), Poll::Ready(Some(Ok(text))) if text == "€"));
}

#[cfg(feature = "json")]
#[test]
fn batches_converted_to_any_keep_their_error() {
    let script = Script::new();
    let mut start = pin!(script.reader().offset(crate::Offset::parse("a0")).json::<u8>());
    assert!(Script::poll(&mut start).is_pending());
    let json = ("content-type", "application/json");
    script.respond_with(200, &[json, ("stream-next-offset", "a1"), UP_TO_DATE], "[1,\"x\",2]");
    let Poll::Ready(Ok(values)) = Script::poll(&mut start) else { panic!("not started") };
    let mut batches = values.batches(10);
    {
        let mut next = pin!(batches.next());
        assert!(matches!(Script::poll(&mut next), Poll::Ready(Some(Ok(batch))) if batch.items == [1]));
    }
    let mut batches: crate::JsonBatches<u8> = batches.to_any();
    assert!(matches!(Script::poll(&mut pin!(batches.next())), Poll::Ready(Some(Err(_)))));
    assert!(
        matches!(Script::poll(&mut pin!(batches.next())), Poll::Ready(Some(Ok(batch))) if batch.items == [2])
    );
}
