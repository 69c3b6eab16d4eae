//! Responses that the standards allow but servers rarely send, played by a scripted server.

use crate::support::{Stack, scripted};
use durable_streams::{Checkpoint, CheckpointStore, LiveMode, Offset, RetryConfig, StreamError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_servers::{Flag, Script, sse_data, stream_headers};

/// A server may refuse a second close with 409. Without an offset in that response, the client asks for it by HEAD.
pub async fn close_succeeds_on_stream_already_closed<S: Stack>() {
    for has_offset in [true, false] {
        let script = Script::start(move |exchange| match exchange.method.as_str() {
            "HEAD" => exchange.respond(200, stream_headers("a9", &[Flag::Closed]), ""),
            _ if has_offset => exchange.respond(409, stream_headers("a9", &[Flag::Closed]), "closed"),
            _ => exchange.respond(409, [("stream-closed", "true")], "closed"),
        })
        .unwrap();
        let closed = scripted::<S>(&script).close().await.unwrap();
        assert_eq!(closed.final_offset, Offset::parse("a9"));
        let error = scripted::<S>(&script).with_content_type("text/plain").close_with("x").await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::StreamClosed { .. }), "{error}");
    }
}

/// The body breaks after `1 23`, which ends inside a number.
pub async fn failed_reader_yields_no_partial_value<S: Stack>() {
    let script = Script::start(|exchange| {
        let headers = stream_headers("a9", &[Flag::ContentType("text/plain"), Flag::UpToDate]);
        exchange.head(200, headers.with("content-length", "100"));
        exchange.chunk("1 23");
    })
    .unwrap();
    let mut values = scripted::<S>(&script).reader().json::<u32>().await.unwrap();
    assert_eq!(values.next().await.unwrap().unwrap(), 1);
    assert!(values.next().await.unwrap().is_err());
    assert!(values.next().await.is_none(), "23 may be the beginning of a longer number");
    assert_eq!(values.checkpoint().to_string(), "-1,b2");
}

/// HTTP/1.0, a body that ends with its connection, early hints, other case and white space, repeated headers, chunk
/// extensions and trailers, and header values that are not ASCII.
pub async fn unusual_http_responses_are_read<S: Stack>() {
    let answers = [
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nStream-Next-Offset: a5\r\nStream-Up-To-Date: true\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nStream-Next-Offset: a5\r\nStream-Up-To-Date: true\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nstream-next-offset:a5\r\nstream-up-to-date:true\r\n\r\nhello",
        "HTTP/1.1 200 \r\nCONTENT-LENGTH: 5\r\nSTREAM-NEXT-OFFSET: \t a5 \t \r\nSTREAM-UP-TO-DATE:   TRUE  \r\nAge: 7\r\nX-Cache: HIT\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nStream-Next-Offset: a5\r\nStream-Next-Offset: a5\r\nStream-Up-To-Date: true\r\n\r\n2;a=b\r\nhe\r\n0003\r\nllo\r\n000\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: identity\r\nStream-Next-Offset: a5\r\nStream-Up-To-Date: true\r\nServer: caf\u{e9}\r\n\r\nhello",
    ];
    for answer in answers {
        let script = Script::start(move |exchange| exchange.raw(answer)).unwrap();
        let has_framing =
            answer.to_ascii_lowercase().contains("content-length:") || answer.contains("chunked");
        if !S::DETECTS_CUT_HEADS && !has_framing {
            let error = scripted::<S>(&script).reader().read_all().await.unwrap_err();
            assert!(matches!(error.kind(), StreamError::Network(_)), "{answer}: {error}");
            continue;
        }
        let mut chunks = scripted::<S>(&script).reader().chunks().await.unwrap();
        let mut read = Vec::new();
        while let Some(chunk) = chunks.next().await {
            read.extend_from_slice(&chunk.unwrap_or_else(|error| panic!("{answer}: {error}")).data);
        }
        assert_eq!(read, b"hello", "{answer}");
        assert_eq!(chunks.checkpoint().to_string(), "a5", "{answer}");
    }
}

/// A connection that ends within a response's head, after each of its bytes. The next response is whole.
pub async fn cut_head_loses_nothing<S: Stack>() {
    let heads = [
        "HTTP/1.1 200 OK\r\nStream-Next-Offset: a0000005\r\nStream-Up-To-Date: true\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nStream-Up-To-Date: true\r\nStream-Next-Offset: a0000005\r\n\r\n",
        "HTTP/1.1 200 OK\r\nStream-Next-Offset: a0000005\r\nStream-Up-To-Date: true\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nStream-Up-To-Date: true\r\nStream-Next-Offset: a0000005\r\n\r\n",
    ];
    for head in heads {
        let body = if head.contains("chunked") { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
        let cut = Arc::new(AtomicUsize::new(0));
        let next_cut = cut.clone();
        let script = Script::start(move |exchange| match next_cut.swap(usize::MAX, Ordering::AcqRel) {
            usize::MAX => exchange.raw(format!("{head}{body}")),
            length => exchange.raw(&head[..length]),
        })
        .unwrap();
        let stream = scripted::<S>(&script).with_content_type("text/plain");
        // A first page is empty where the stream is: only its framing shows that a head was cut.
        let starts = if head.contains("chunked") { ["a0000000", "-1"] } else { ["a0000000", "a0000000"] };
        for length in 1..head.len() {
            let (kept, start) = (&head[..length], starts[length % 2]);
            cut.store(length, Ordering::Release);
            let read = stream.reader().offset(Offset::parse(start)).read_all().await;
            assert_eq!(
                read.unwrap_or_else(|error| panic!("{start} {kept}: {error}")),
                "hello",
                "{start} {kept}"
            );
            // An append that is not idempotent is not sent again.
            cut.store(length, Ordering::Release);
            match stream.append("hello").await {
                // The rest of the head does not change what the response says.
                Ok(appended) => {
                    assert!(!S::DETECTS_CUT_HEADS, "{kept}: {appended:?}");
                    assert_eq!(appended.next_offset, Offset::parse("a0000005"), "{kept}");
                }
                Err(error) => {
                    assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{kept}: {error}")
                }
            }
        }
    }
}

/// An empty stream whose page is chunked: also a stack that cannot tell it from a head that was cut reads it, unless the
/// connection ends with it.
pub async fn empty_chunked_page_is_read<S: Stack>() {
    for closes in [false, true] {
        let script = Script::start(move |exchange| {
            let headers = stream_headers("a0", &[Flag::ContentType("text/plain"), Flag::UpToDate]);
            match exchange.method.as_str() {
                "GET" if closes => exchange.raw(concat!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nStream-Next-Offset: a0\r\nConnection: close\r\n",
                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                )),
                "GET" => {
                    exchange.head(200, headers);
                    exchange.finish();
                }
                _ => exchange.respond(200, headers, ""),
            }
        })
        .unwrap();
        let retry = RetryConfig { max_retries: Some(1), ..RetryConfig::default() };
        let client = S::builder().base_url(script.url()).retry_config(retry).build().unwrap();
        let stream = client.stream("s");
        match stream.reader().read_all().await {
            Ok(content) => assert_eq!(content, ""),
            Err(error) => {
                assert!(closes && !S::DETECTS_CUT_HEADS, "{error}");
                assert!(error.to_string().contains("may have been cut"), "{error}");
            }
        }
    }
}

/// What WHATWG and the protocol allow, all in one event stream: mixed line ends, fields in any order, unknown fields
/// and events, JSON split over `data` lines, repeated control events. Guarantee 3.
pub async fn unusual_event_streams_are_read<S: Stack>() {
    let all = concat!(
        "\u{feff}: hello\r\rid: 7\nretry:1\n\n",
        "event:data\rdata:[1,\rdata\rdata: 2]\r\r",
        ": heartbeat\n\n",
        "event: data\r\ndata: []\r\n\r\n",
        "event: ping\ndata: {\"streamNextOffset\":\"zz\"}\n\n",
        "data: 9\nevent: data\n\n",
        "event: control\ndata: {\"streamNextOffset\": \"a1\",\ndata: \"new\": {\"a\":[1]}, \"streamCursor\": null}\n\n",
        "event:control\ndata:{\"streamNextOffset\":\"a1\",\"streamNextOffset\":\"a1\",\"upToDate\":true}\n\n",
        "event: data\ndata:\n\n",
        "event: control\ndata: {\"streamNextOffset\":\"a2\",\"upToDate\":false,\"streamCursor\":\"c\"}\n\n",
        "event: data\ndata: [3]\n\n",
        "event: control\ndata: {\"streamClosed\":true,\"streamNextOffset\":\"a3\"}\n\n",
        "event: data\ndata: [4]\n\nevent: control\ndata: {\"streamNextOffset\":\"a4\"}\n\n",
    );
    // Everything after the control event that closes the stream (a3) must be ignored.
    for size in [1, 2, 7, 10_000] {
        let script = Script::start(move |exchange| match exchange.method.as_str() {
            "HEAD" => exchange.respond(
                200,
                stream_headers("a0", &[Flag::ContentType("Application/JSON; charset=utf-8")]),
                "",
            ),
            _ => {
                exchange.sse_head([("content-type", "Text/Event-Stream;charset=UTF-8")]);
                for piece in all.as_bytes().chunks(size) {
                    exchange.chunk(piece);
                }
                exchange.finish();
            }
        })
        .unwrap();
        let reader = scripted::<S>(&script).reader().offset(Offset::parse("a0")).live(LiveMode::Sse);
        let mut values = reader.json::<u32>().await.unwrap();
        let mut read = Vec::new();
        while let Some(value) = values.next().await {
            read.push((value.unwrap(), values.checkpoint().to_string()));
        }
        let at = |value, checkpoint: &str| (value, checkpoint.to_owned());
        assert_eq!(read, [at(1, "a0,m1"), at(2, "a0,m2"), at(9, "a1"), at(3, "a3")], "{size}");
        assert!(values.is_closed());
        assert_eq!(script.requests().len(), 2, "{size}");
    }
}

/// The server refuses the HEAD for the content type; a plain GET shows the type instead.
pub async fn tail_works_without_head_support<S: Stack>() {
    let json = Flag::ContentType("application/json");
    for status in [405, 501] {
        let script =
            Script::start(move |exchange| match (exchange.method.as_str(), exchange.query("live")) {
                ("HEAD", _) => exchange.respond(status, (), ""),
                (_, None) => exchange.respond(200, stream_headers("a1", &[json]), "[1]"),
                _ => {
                    let control =
                        "{\"streamNextOffset\":\"a2\",\"streamCursor\":7,\"streamClosed\":\"true\"}";
                    exchange.sse(sse_data("[2]") + &format!("event: control\ndata: {control}\n\n"));
                    exchange.finish();
                }
            })
            .unwrap();
        let reader = scripted::<S>(&script).reader().offset(Offset::parse("a0")).live(LiveMode::Sse);
        assert_eq!(reader.read_json::<u32>().await.unwrap(), [1, 2]);
        let targets: Vec<_> = script.requests().iter().map(|request| request.target.clone()).collect();
        assert_eq!(targets, ["/s", "/s?offset=a0", "/s?live=sse&offset=a1"], "{status}");
    }
}

/// Two different offsets, and encodings that the client did not ask for. Guarantee 20.
pub async fn conflicting_offsets_and_encodings_are_errors<S: Stack>() {
    let usual = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nstream-next-offset: a5\r\n";
    for (headers, expected) in [
        ("stream-next-offset: a9\r\ncontent-length: 5\r\n\r\nhello", "a9"),
        ("content-encoding: identity\r\ncontent-encoding: rot13\r\ncontent-length: 5\r\n\r\nhello", "rot13"),
        ("transfer-encoding: rot13, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "ncoding"),
    ] {
        let script = Script::start(move |exchange| exchange.raw(format!("{usual}{headers}"))).unwrap();
        let error = scripted::<S>(&script).reader().read_all().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Invalid metadata that the read does not depend on is ignored.
    let script = Script::start(move |exchange| {
        exchange.raw(format!(
            "{usual}content-length: 5\r\nstream-ttl: 1.5\r\nstream-expires-at: never\r\nstream-up-to-date: true\r\n\r\nhello"
        ));
    })
    .unwrap();
    assert_eq!(scripted::<S>(&script).reader().read_all().await.unwrap(), "hello");
}

/// A store whose checkpoint no server can have handed out.
struct InvalidStore;

#[async_trait::async_trait]
impl CheckpointStore for InvalidStore {
    async fn load(&self) -> std::io::Result<Option<Checkpoint>> {
        Ok(Some(Checkpoint::at(Offset::At("a/b".into()))))
    }

    async fn save(&self, _: &Checkpoint) -> std::io::Result<()> {
        Ok(())
    }
}

pub async fn panicking_handler_and_invalid_stored_checkpoint_are_errors<S: Stack>() {
    let script = Script::start(|exchange| match exchange.query("live") {
        None => exchange.respond(200, stream_headers("a1", &[Flag::UpToDate]), "hi"),
        Some(_) => exchange.respond(500, (), ""),
    })
    .unwrap();
    let stream = scripted::<S>(&script);
    let reader = stream
        .reader()
        .live(LiveMode::LongPoll)
        .prefetch(2)
        .on_error(|error| panic!("a panic on purpose: {error}"));
    let mut chunks = reader.chunks().await.unwrap();
    assert_eq!(chunks.try_next().await.unwrap().unwrap().data, "hi");
    let error = chunks.try_next().await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(chunks.next().await.is_none());

    script.forget_requests();
    let error = stream.reader().checkpoint_store(InvalidStore).chunks().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Config(_)) && error.to_string().contains("a/b"), "{error}");
    assert!(script.requests().is_empty());
}

pub async fn producer_handles_unusual_responses<S: Stack>() {
    // Invalid and huge Retry-After values, redirects, a success with a body, and a redirect to a port that refuses.
    let script = Script::start(|exchange| {
        let seq = exchange.headers.get("producer-seq").unwrap_or_default().to_owned();
        let stored =
            || stream_headers(&format!("a{seq}"), &[]).with("producer-epoch", "0").with("producer-seq", &seq);
        match exchange.nth() {
            0 => exchange.respond(429, [("retry-after", "-5")], "<html>later</html>"),
            1 => exchange.respond(503, [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], ""),
            2 => exchange.respond(408, (), ""),
            3 => exchange.respond(307, [("location", "/elsewhere?x=1#y")], ""),
            4 => exchange.respond(200, stored(), "{\"ok\":true}"),
            5 => exchange.respond(503, [("retry-after", "99999999999999999999999")], ""),
            6 => exchange.respond(308, [("location", "//127.0.0.1:1/")], ""),
            _ => exchange.respond(204, stored(), ""),
        }
    })
    .unwrap();
    let stream = scripted::<S>(&script).with_content_type("text/plain");
    let producer = stream.producer("p").build();
    let ack = producer.append("one").unwrap().await.unwrap();
    assert_eq!((ack.seq, ack.duplicate), (0, false));
    assert_eq!(script.requests()[4].path(), "/elsewhere");
    // The last response is the 204 of a duplicate. After the failed attempts before it, a duplicate is expected.
    let ack = producer.append("two").unwrap().await.unwrap();
    assert_eq!((ack.seq, ack.duplicate), (1, true));
    producer.close().await.unwrap();
}
