//! Event streams and long-polls with faults that no real server produces on demand, played by a scripted server.

use crate::support::live::{JSON, content, is_long_poll, is_sse, nothing_new, tail};
use crate::support::{Chunks, Stack};
use durable_streams::{Checkpoint, Error, LiveMode, Offset, StreamError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use test_servers::{Exchange, Flag, Script, sse_control, sse_data, stream_headers};

/// The number of requests in three seconds, during which no content arrives.
async fn requests_in_three_seconds<S: Stack>(script: &Script, chunks: &mut Chunks<S>) -> usize {
    let waiting = async { content::<S>(chunks).await.map(|chunk| panic!("{chunk:?}")) };
    let expired = async {
        S::sleep(Duration::from_secs(3)).await;
        Ok::<(), Error>(())
    };
    futures_lite::future::or(waiting, expired).await.unwrap();
    script.requests().len()
}

/// Guarantees 4 and 8.
pub async fn data_event_is_held_until_control_event<S: Stack>() {
    for (case, reset) in [("reset", true), ("clean end", false)] {
        let script = Script::start(move |exchange| match exchange.nth() {
            0 => {
                exchange.sse(sse_data("[1]"));
                if reset { exchange.reset() } else { exchange.finish() }
            }
            // The control event lacks its blank line, so it does not count.
            1 => {
                let control = sse_control("a1", &[]);
                exchange.sse(sse_data("[1]") + control.trim_end_matches('\n') + "\n");
                exchange.finish();
            }
            2 => {
                exchange.sse(sse_data("[1]") + &sse_data("[2,3]") + &sse_control("a2", &[Flag::UpToDate]));
                exchange.hang();
            }
            _ => panic!("{}", exchange.target),
        })
        .unwrap();
        let mut chunks = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap();
        let (first, second) =
            (content::<S>(&mut chunks).await.unwrap(), content::<S>(&mut chunks).await.unwrap());
        assert_eq!((&first.data[..], &second.data[..]), (&b"[1]"[..], &b"[2,3]"[..]), "{case}");
        assert_eq!(
            (first.checkpoint.to_string(), second.checkpoint.to_string()),
            ("a0,m1".into(), "a2".into())
        );
        let offsets: Vec<_> =
            script.requests().iter().map(|r| r.query("offset").unwrap().to_owned()).collect();
        assert_eq!(offsets, ["a0", "a0", "a0"]);
    }
}

/// Guarantee 9.
pub async fn control_event_without_valid_offset_is_protocol_error<S: Stack>() {
    for control in [
        "{}",
        "not json",
        r#"{"streamNextOffset":""}"#,
        r#"{"streamNextOffset":"-1"}"#,
        "[]",
        r#"{"streamNextOffset":7}"#,
    ] {
        let script = Script::start(move |exchange| {
            exchange.sse(sse_data("[1]") + &format!("event: control\ndata: {control}\n\n"));
            exchange.hang();
        })
        .unwrap();
        let mut chunks = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap();
        let error = chunks.try_next().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{control}: {error}");
        assert_eq!(chunks.checkpoint(), Checkpoint::at(Offset::parse("a0")));
        assert_eq!(script.requests().len(), 1);
    }
}

/// The control event repeats the requested offset, or goes back before it. Guarantee 10.
pub async fn control_event_offset_must_advance<S: Stack>() {
    for (control, recreated) in [("a0", false), ("Z9", true)] {
        let script = Script::start(move |exchange| {
            exchange.sse(sse_data("[1]") + &sse_control(control, &[]));
            exchange.hang();
        })
        .unwrap();
        let mut chunks = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap();
        let kind = chunks.try_next().await.unwrap_err().into_kind();
        assert_eq!(matches!(kind, StreamError::Recreated { .. }), recreated, "{kind}");
        assert_eq!(matches!(kind, StreamError::Protocol { .. }), !recreated, "{kind}");
    }
}

/// Guarantees 2 and 3.
pub async fn event_stream_follows_whatwg_rules<S: Stack>() {
    for line_end in ["\n", "\r\n", "\r"] {
        let text = "\u{FEFF}: a comment\nid: 7\nretry: 1\nevent: data\ndata\n\nevent: other\ndata: x\n\n\
                    event: data\n\nevent: data\ndata:[1,\ndata: \"é\"\ndata: ]\n\n\
                    event: control\ndata: {\"streamNextOffset\":\"a1\"}\n\n";
        let text = text.replace('\n', line_end);
        for piece in [1, 3, text.len()] {
            let text = text.clone();
            let script = Script::start(move |exchange| {
                for bytes in text.as_bytes().chunks(piece) {
                    exchange.sse(bytes);
                }
                exchange.hang();
            })
            .unwrap();
            let mut chunks = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap();
            let chunk = content::<S>(&mut chunks).await.unwrap();
            assert_eq!(std::str::from_utf8(&chunk.data).unwrap(), "[1,\"é\"]", "{line_end:?} by {piece}");
            assert_eq!(chunk.checkpoint.to_string(), "a1");
        }
    }
}

/// Each event may end with padding, so the events cannot be joined before decoding.
pub async fn each_base64_event_is_decoded_separately<S: Stack>() {
    let script = Script::start(|exchange| {
        exchange.sse_head([("stream-sse-data-encoding", "base64")]);
        exchange.sse(sse_data("AQ==") + &sse_data("AgM\n=") + &sse_data("") + &sse_control("a1", &[]));
        exchange.sse(sse_data("!!!!") + &sse_control("a2", &[]));
        exchange.hang();
    })
    .unwrap();
    let mut chunks = tail::<S>(&script, "image/png", LiveMode::Sse).chunks().await.unwrap();
    let (first, second) =
        (content::<S>(&mut chunks).await.unwrap(), content::<S>(&mut chunks).await.unwrap());
    assert_eq!((&first.data[..], &second.data[..]), (&[1][..], &[2, 3][..]));
    assert_eq!((first.checkpoint.to_string(), second.checkpoint.to_string()), ("a0,b1".into(), "a1".into()));
    let error = chunks.try_next().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
    assert_eq!(chunks.checkpoint().to_string(), "a1");
}

/// Text has no position inside an event, because servers may change its line ends. A chunk may therefore exceed
/// `max_chunk_bytes`.
pub async fn text_events_are_split_at_control_events_only<S: Stack>() {
    let script = Script::start(|exchange| {
        exchange.sse(sse_data("0123456789") + &sse_data("abc") + &sse_control("a1", &[Flag::UpToDate]));
        exchange.hang();
    })
    .unwrap();
    let reader = tail::<S>(&script, "text/plain", LiveMode::Sse).max_chunk_bytes(4);
    let chunk = content::<S>(&mut reader.chunks().await.unwrap()).await.unwrap();
    assert_eq!((&chunk.data[..], chunk.checkpoint.to_string().as_str()), (&b"0123456789abc"[..], "a1"));
}

/// Guarantee 6.
pub async fn oversized_event_is_fetched_by_plain_get<S: Stack>() {
    for mode in [LiveMode::Sse, LiveMode::Auto] {
        for refused in [false, true] {
            let body = format!("[\"{}\"]", "x".repeat(700));
            let script = Script::start(move |exchange| {
                if is_sse(exchange) {
                    let large = exchange.query("offset") == Some("a0");
                    let data = if large { sse_data(&body) } else { sse_data("[2]") };
                    exchange.sse(data + &sse_control(if large { "a1" } else { "a2" }, &[Flag::UpToDate]));
                    exchange.hang();
                } else if exchange.nth() == 0 && mode == LiveMode::Auto {
                    nothing_new(exchange, "a0");
                } else if refused {
                    exchange.respond(400, (), "plain reads are disabled");
                } else {
                    // Other content than the event's, which shows that the chunk came from here.
                    exchange.respond(
                        200,
                        stream_headers("a1", &[JSON, Flag::UpToDate]),
                        body.replace('x', "y"),
                    );
                }
            })
            .unwrap();
            let reader = tail::<S>(&script, "application/json", mode).max_event_bytes(703);
            let mut chunks = reader.chunks().await.unwrap();
            if refused {
                let error = content::<S>(&mut chunks).await.unwrap_err();
                assert!(
                    matches!(
                        error.kind(),
                        StreamError::TooLarge { option: "max_event_bytes", limit: 703, .. }
                    ),
                    "{error}"
                );
            } else {
                assert!(content::<S>(&mut chunks).await.unwrap().data.starts_with(b"[\"yyy"));
                assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[2]");
            }
        }
    }
}

/// Each event stream ends at once, without data; long-polls are held until there is data. Guarantee 15.
pub async fn event_streams_ending_at_once_cause_at_most_ten_requests<S: Stack>() {
    let has_data = Arc::new(AtomicBool::new(false));
    let script = {
        let has_data = has_data.clone();
        Script::start(move |exchange| {
            if is_sse(exchange) {
                exchange.sse(sse_control("a0", &[Flag::UpToDate]));
                exchange.finish();
            } else if is_long_poll(exchange) {
                while !has_data.load(Ordering::Relaxed) {
                    if !exchange.pause(Duration::from_millis(20)) {
                        return;
                    }
                }
                exchange.respond(200, stream_headers("a1", &[JSON, Flag::UpToDate]), "[1]");
                has_data.store(false, Ordering::Relaxed);
            } else {
                nothing_new(exchange, "a0");
            }
        })
        .unwrap()
    };
    let mut chunks = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap();
    let requests = requests_in_three_seconds::<S>(&script, &mut chunks).await;
    assert!((3..=10).contains(&requests), "{requests} requests");
    drop(chunks);

    script.forget_requests();
    let mut chunks = tail::<S>(&script, "application/json", LiveMode::Auto).chunks().await.unwrap();
    let requests = requests_in_three_seconds::<S>(&script, &mut chunks).await;
    assert!((3..=10).contains(&requests), "{requests} requests");
    assert!(last_is_long_poll(&script), "{:?}", script.requests().last());
    has_data.store(true, Ordering::Relaxed);
    assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
}

/// Whether the last request was a long-poll.
fn last_is_long_poll(script: &Script) -> bool {
    script.requests().last().is_some_and(|request| request.query("live") == Some("long-poll"))
}

/// Live requests are answered at once, without data, with and without `Stream-Up-To-Date`. Guarantee 16.
pub async fn empty_responses_cause_at_most_ten_requests<S: Stack>() {
    for status in [204, 200] {
        for headers in [&[JSON, Flag::UpToDate][..], &[JSON]] {
            let headers = stream_headers("a0", headers);
            let script = Script::start(move |exchange| {
                let status = if is_long_poll(exchange) { status } else { 200 };
                exchange.respond(status, headers.clone(), if status == 200 { "[]" } else { "" });
            })
            .unwrap();
            for mode in [LiveMode::LongPoll, LiveMode::Sse] {
                script.forget_requests();
                let mut chunks = match tail::<S>(&script, "application/json", mode).chunks().await {
                    Ok(chunks) => chunks,
                    Err(error) => {
                        // A 200 that is not an event stream ends an explicit SSE read.
                        assert!(matches!(error.kind(), StreamError::SseNotSupported { .. }), "{error}");
                        assert_eq!(mode, LiveMode::Sse);
                        continue;
                    }
                };
                let requests = requests_in_three_seconds::<S>(&script, &mut chunks).await;
                assert!((3..=10).contains(&requests), "{status}: {requests} requests");
            }
        }
    }
}

/// A server that answers event-stream requests by `respond_sse`, and delivers content by long-poll.
fn without_sse(respond_sse: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Script {
    Script::start(move |exchange| {
        if is_sse(exchange) {
            respond_sse(exchange);
        } else if is_long_poll(exchange) {
            exchange.respond(200, stream_headers("a1", &[JSON, Flag::UpToDate]), "[1]");
        } else {
            nothing_new(exchange, "a0");
        }
    })
    .unwrap()
}

/// Guarantee 23.
pub async fn auto_falls_back_to_long_poll_when_sse_is_refused<S: Stack>() {
    for status in [400, 404, 405, 406, 415, 501] {
        let script = without_sse(move |exchange| exchange.respond(status, (), "event streams are disabled"));
        let mut chunks = tail::<S>(&script, "application/json", LiveMode::Auto).chunks().await.unwrap();
        assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]", "{status}");
        let sse_requests = script.requests().iter().filter(|r| r.query("live") == Some("sse")).count();
        // A cache may have answered that the stream is not there.
        assert_eq!(sse_requests, if status == 404 { 2 } else { 1 }, "{status}");
    }
    let script = without_sse(|exchange| exchange.respond(200, [("content-type", "text/html")], "<html>"));
    let mut chunks = tail::<S>(&script, "application/json", LiveMode::Auto).chunks().await.unwrap();
    assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
    // In explicit SSE mode these four mean that the server has no event streams; 400 and 404 keep their own meaning.
    for (status, sse_error) in
        [(405, true), (406, true), (415, true), (501, true), (400, false), (404, false)]
    {
        let script = without_sse(move |exchange| exchange.respond(status, (), "event streams are disabled"));
        let error = tail::<S>(&script, "application/json", LiveMode::Sse).chunks().await.unwrap_err();
        assert_eq!(matches!(error.kind(), StreamError::SseNotSupported { .. }), sse_error, "{error}");
    }
    let portal = without_sse(|exchange| exchange.respond(200, [("content-type", "text/html")], "<html>"));
    let error = tail::<S>(&portal, "application/json", LiveMode::Sse).chunks().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::ContentTypeMismatch { .. }), "{error}");
}

/// A proxy that buffers responses delivers the head of an event stream and none of its events.
pub async fn auto_falls_back_to_long_poll_when_sse_is_buffered<S: Stack>() {
    let script = without_sse(|exchange| {
        exchange.sse_head(());
        exchange.hang();
    });
    let started = Instant::now();
    let mut chunks = tail::<S>(&script, "application/json", LiveMode::Auto).chunks().await.unwrap();
    assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
    // The reader waits five seconds for the first byte of an event stream.
    assert!(started.elapsed() >= Duration::from_secs(4) && started.elapsed() < Duration::from_secs(20));
}

/// Event streams change leading spaces and CR, so `Auto` never uses them for text.
pub async fn auto_reads_text_by_long_poll<S: Stack>() {
    let script = Script::start(|exchange| {
        let text = Flag::ContentType("text/plain; charset=utf-8");
        if is_long_poll(exchange) {
            exchange.respond(200, stream_headers("a1", &[text, Flag::UpToDate]), " a\r\n");
        } else {
            exchange.respond(200, stream_headers("a0", &[text, Flag::UpToDate]), "");
        }
    })
    .unwrap();
    let mut chunks = tail::<S>(&script, "text/plain", LiveMode::Auto).chunks().await.unwrap();
    assert_eq!(content::<S>(&mut chunks).await.unwrap().data, " a\r\n");
    assert!(script.requests().iter().all(|request| request.query("live") != Some("sse")));
}

/// Guarantee 19.
pub async fn offset_and_cursor_reach_server_unchanged<S: Stack>() {
    // Reserved in URLs, but allowed in offsets; the cursor also has what an offset must not contain.
    const OFFSET: &str = "b+%20 #:;@!$'()*[]^`{|}~\"<>\\é";
    const CURSOR: &str = "c&=?/+% #";
    let script = Script::start(|exchange| {
        let next = if exchange.nth() == 0 { OFFSET.to_owned() } else { format!("c{}", exchange.nth()) };
        let flags = [JSON, Flag::UpToDate, Flag::Cursor(CURSOR)];
        exchange.respond(200, stream_headers(&next, &flags), "[1]");
    })
    .unwrap();
    let mut chunks = tail::<S>(&script, "application/json", LiveMode::LongPoll).chunks().await.unwrap();
    for _ in 0..2 {
        content::<S>(&mut chunks).await.unwrap();
    }
    let request = &script.requests()[1];
    let (_, query) = request.target.split_once('?').unwrap();
    let decode = |key: &str| {
        let value = request.query(key).unwrap().to_owned();
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                rest = &tail[2..];
            } else {
                bytes.push(*first);
                rest = tail;
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!((decode("offset").as_str(), decode("cursor").as_str()), (OFFSET, CURSOR));
    let keys: Vec<_> = query.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    assert_eq!(keys, ["cursor", "live", "offset"]);
    let saved = chunks.checkpoint().to_string();
    assert_eq!(saved.parse::<Checkpoint>().unwrap(), chunks.checkpoint());
}
