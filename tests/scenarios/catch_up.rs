//! Catch-up: reading what is stored, without a live mode.

use crate::support::{Stack, new_stream, on_each_server, scripted, unique};
use durable_streams::{
    Checkpoint, Chunk, ChunkIterator, CreateOptions, Error, LiveMode, Offset, RetryConfig, StreamError,
};
use std::time::Duration;
use test_servers::{Action, Cut, End, Flag, NodeServer, Proxy, RustServer, Script, stream_headers};

/// All chunks up to the end of the read.
async fn all<S: Stack>(mut chunks: ChunkIterator<S::Transport, S::Runtime>) -> Result<Vec<Chunk>, Error> {
    let mut all = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        assert_eq!(chunk.checkpoint, chunks.checkpoint());
        assert_eq!(chunk.next_offset, *chunks.offset());
        all.push(chunk);
    }
    assert!(chunks.next().await.is_none(), "a chunk after the end");
    Ok(all)
}

fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| chunk.data.iter().copied()).collect()
}

/// The messages of JSON chunks, as JSON texts.
fn messages(chunks: &[Chunk]) -> Vec<String> {
    chunks
        .iter()
        .flat_map(|chunk| serde_json::from_slice::<Vec<serde_json::Value>>(&chunk.data).unwrap())
        .map(|message| message.to_string())
        .collect()
}

/// Guarantee 7.
pub async fn bytes_resume_from_every_checkpoint<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/octet-stream").await;
        let mut expected = Vec::new();
        for size in [1, 3000, 70_000, 200_000] {
            let record: Vec<u8> = (0..size).map(|n| (n * 7 + n / 251) as u8).collect();
            stream.append(record.clone()).await.unwrap();
            expected.extend_from_slice(&record);
        }
        let chunks = stream.reader().max_chunk_bytes(5000).chunks().await.unwrap();
        assert_eq!(chunks.content_type(), "application/octet-stream");
        assert!(chunks.etag().is_some());
        let chunks = all::<S>(chunks).await.unwrap();
        assert!(chunks.iter().all(|chunk| chunk.data.len() <= 5000));
        assert!(joined(&chunks) == expected);
        let last = chunks.last().unwrap();
        assert!(last.up_to_date && !last.closed && last.checkpoint.is_exact());
        let tail = stream.head().await.unwrap().next_offset;
        assert_eq!((&last.next_offset, last.checkpoint.offset()), (&tail, &tail));

        let mut at = 0;
        for chunk in chunks.iter().filter(|chunk| !chunk.data.is_empty()).step_by(5) {
            at = expected.windows(chunk.data.len()).skip(at).position(|w| w == &*chunk.data).unwrap() + at;
            let text = chunk.checkpoint.to_string();
            let rest = stream.reader().offset(text.parse::<Checkpoint>().unwrap()).chunks().await.unwrap();
            let rest = joined(&all::<S>(rest).await.unwrap());
            assert!(rest == expected[at + chunk.data.len()..], "from {text}");
        }
    })
    .await;
}

/// Guarantee 7.
pub async fn json_resumes_from_every_checkpoint<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/json").await;
        let mut expected = Vec::new();
        for batch in 0..20 {
            let values: Vec<_> = (0..batch * 3 + 1)
                .map(|n| serde_json::json!({"batch": batch, "n": n, "text": "[}\"\\é".repeat(n)}))
                .collect();
            expected.extend(values.iter().map(ToString::to_string));
            stream.append(serde_json::to_vec(&values).unwrap()).await.unwrap();
        }
        let chunks = stream.reader().max_chunk_bytes(700).chunks().await.unwrap();
        let chunks = all::<S>(chunks).await.unwrap();
        assert!(chunks.len() > 50 && messages(&chunks) == expected);
        assert!(chunks.last().unwrap().checkpoint.is_exact() && chunks.last().unwrap().up_to_date);
        let mut read = 0;
        for chunk in &chunks {
            read += messages(std::slice::from_ref(chunk)).len();
            let text = chunk.checkpoint.to_string();
            let rest = stream.reader().offset(text.parse::<Checkpoint>().unwrap()).chunks().await.unwrap();
            assert_eq!(messages(&all::<S>(rest).await.unwrap()), expected[read..], "from {text}");
        }
    })
    .await;
}

pub async fn empty_stream_yields_one_up_to_date_chunk<S: Stack>() {
    on_each_server(|url| async move {
        for (content_type, nothing) in [("text/plain", ""), ("application/json", "[]")] {
            let stream = new_stream::<S>(&url, content_type).await;
            for start in [Offset::Beginning, Offset::Now] {
                let chunks = all::<S>(stream.reader().offset(start).chunks().await.unwrap()).await.unwrap();
                assert_eq!(chunks.len(), 1);
                assert!(chunks[0].up_to_date && !chunks[0].closed && chunks[0].data == nothing);
                assert!(matches!(chunks[0].checkpoint.offset(), Offset::At(_)), "{}", chunks[0].checkpoint);
            }
        }
    })
    .await;
}

/// Guarantee 11.
pub async fn now_resolves_to_concrete_offset<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        stream.append("before").await.unwrap();
        let chunks = stream.reader().offset(Offset::Now).chunks().await.unwrap();
        let tail = stream.head().await.unwrap().next_offset;
        assert_eq!(chunks.checkpoint(), Checkpoint::at(tail));
        stream.append("after").await.unwrap();
        let saved = chunks.checkpoint();
        let chunks = all::<S>(chunks).await.unwrap();
        assert!(chunks.len() == 1 && chunks[0].data.is_empty());
        let rest = all::<S>(stream.reader().offset(saved).chunks().await.unwrap()).await.unwrap();
        assert_eq!(joined(&rest), b"after");
    })
    .await;
}

/// Guarantee 17.
pub async fn closed_stream_ends_after_one_closed_chunk<S: Stack>() {
    on_each_server(|url| async move {
        for data in ["", "all there is"] {
            let stream = S::client(&url).stream(unique("closed"));
            let options = CreateOptions::new().content_type("text/plain").data(data).closed(true);
            stream.create(options).await.unwrap();
            let chunks = all::<S>(stream.reader().chunks().await.unwrap()).await.unwrap();
            assert_eq!(joined(&chunks), data.as_bytes());
            assert_eq!(chunks.iter().filter(|chunk| chunk.closed).count(), 1);
            assert!(chunks.last().unwrap().closed && chunks.last().unwrap().up_to_date);
        }
    })
    .await;
}

/// The first response is cut at each byte, by a reset and by a clean end. Guarantee 25.
pub async fn body_cut_at_any_byte_is_read_once<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let path = unique("cut");
    let direct = S::client(server.url()).stream(&path);
    direct.create(CreateOptions::new().content_type("application/json")).await.unwrap();
    let body = r#"[{"a":"é]"},2,[3,"x"]]"#;
    direct.append(body).await.unwrap();
    let retry = RetryConfig { initial_backoff: Duration::from_millis(2), ..RetryConfig::default() };
    let client = S::builder().base_url(proxy.url()).retry_config(retry).build().unwrap();
    for at in 0..body.len() as u64 {
        for end in [End::Reset, End::Fin] {
            proxy.rule(move |_, nth| match nth {
                0 => Action::CutAfter { cut: Cut::Bytes(at), end },
                _ => Action::Pass,
            });
            let chunks = client.stream(&path).reader().chunks().await.unwrap();
            let chunks = all::<S>(chunks).await.unwrap();
            assert_eq!(messages(&chunks), [r#"{"a":"é]"}"#, "2", r#"[3,"x"]"#], "cut at {at} by {end:?}");
        }
    }
    // A body of bytes that is cut again and again: each attempt continues where the last one broke.
    let path = unique("cut");
    let direct = S::client(server.url()).stream(&path);
    direct.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let text: String = (0..20_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    direct.append(text.clone()).await.unwrap();
    proxy.rule(|_, nth| Action::CutAfter { cut: Cut::Bytes(nth as u64 * 1999), end: End::Reset });
    let chunks = client.stream(&path).reader().max_chunk_bytes(100).chunks().await.unwrap();
    assert!(joined(&all::<S>(chunks).await.unwrap()) == text.as_bytes());
}

/// Guarantee 21.
pub async fn pages_are_requested_until_up_to_date<S: Stack>() {
    const JSON: [Flag<'_>; 1] = [Flag::ContentType("application/json")];
    // One page is empty, and the last one has no Stream-Up-To-Date: an empty page at the same offset is the tail.
    let script = Script::start(|exchange| {
        let (data, next, flags): (_, _, &[Flag<'_>]) = match exchange.query("offset").unwrap() {
            "-1" => ("[1]", "a1", &JSON),
            "a1" => ("[]", "a2", &JSON),
            "a2" => ("[2]", "a3", &JSON),
            "a3" => ("[3]", "a4", &JSON),
            "a4" => ("[]", "a4", &JSON),
            other => panic!("offset {other} was never handed out"),
        };
        exchange.respond(200, stream_headers(next, flags), data);
    })
    .unwrap();
    let chunks = all::<S>(scripted::<S>(&script).reader().chunks().await.unwrap()).await.unwrap();
    assert_eq!(joined(&chunks), b"[1][2][3][]");
    let reported: Vec<_> =
        chunks.iter().map(|chunk| (chunk.checkpoint.to_string(), chunk.up_to_date)).collect();
    let expected = [("a1", false), ("a3", false), ("a4", false), ("a4", true)];
    assert_eq!(reported, expected.map(|(at, up_to_date)| (at.to_owned(), up_to_date)));
    assert_eq!(script.requests().len(), 5);
}

/// Guarantee 21.
pub async fn all_pages_of_reference_server_are_read<S: Stack>() {
    let Some(server) = test_servers::skip_without_node() else { return };
    let stream = new_stream::<S>(NodeServer::url(&server), "application/json").await;
    let mut expected = Vec::new();
    for batch in 0..500 {
        let value = format!(r#"{{"n":{batch}}}"#);
        stream.append(format!("[{value}]")).await.unwrap();
        expected.push(value);
    }
    let chunks = all::<S>(stream.reader().chunks().await.unwrap()).await.unwrap();
    assert_eq!(messages(&chunks), expected);
}

/// The error that a read from `start` of this script ends with, and the number of its requests.
async fn ends_with<S: Stack>(script: &Script, start: &str) -> (StreamError, usize) {
    script.forget_requests();
    let start: Checkpoint = start.parse().unwrap();
    let read = async {
        let chunks = scripted::<S>(script).reader().offset(start).chunks().await?;
        all::<S>(chunks).await
    };
    let error = read.await.unwrap_err();
    (error.into_kind(), script.requests().len())
}

/// Guarantees 10 and 23.
pub async fn invalid_response_is_typed_error<S: Stack>() {
    type Case = (
        &'static str,
        usize,
        &'static [(&'static str, &'static str)],
        &'static str,
        fn(&StreamError) -> bool,
    );
    let recreated: fn(&StreamError) -> bool = |kind| matches!(kind, StreamError::Recreated { .. });
    let protocol: fn(&StreamError) -> bool = |kind| matches!(kind, StreamError::Protocol { .. });
    let cases: [Case; 9] = [
        ("no offset", 1, &[("content-type", "text/plain")], "data", protocol),
        ("captive portal", 1, &[("content-type", "text/html")], "<html>", protocol),
        // A cache may have answered these: they are requested again past it.
        ("no advance", 2, &[("content-type", "text/plain"), ("stream-next-offset", "b5")], "data", protocol),
        ("backwards", 2, &[("content-type", "text/plain"), ("stream-next-offset", "b4")], "data", recreated),
        (
            "backwards, empty",
            2,
            &[("content-type", "text/plain"), ("stream-next-offset", "b4")],
            "",
            recreated,
        ),
        ("no content", 2, &[("content-type", "text/plain"), ("stream-next-offset", "b6")], "", protocol),
        ("sentinel", 1, &[("content-type", "text/plain"), ("stream-next-offset", "-1")], "data", protocol),
        (
            "invalid JSON",
            1,
            &[("content-type", "application/json"), ("stream-next-offset", "b6")],
            "<html>",
            protocol,
        ),
        (
            "encoding",
            1,
            &[("content-type", "text/plain"), ("stream-next-offset", "b6"), ("content-encoding", "rot13")],
            "data",
            |kind| matches!(kind, StreamError::UnexpectedEncoding { .. }),
        ),
    ];
    for (case, times, headers, body, expected) in cases {
        let script = Script::start(move |exchange| exchange.respond(200, headers.to_vec(), body)).unwrap();
        let (kind, requests) = ends_with::<S>(&script, "b5").await;
        assert!(expected(&kind), "{case}: {kind}");
        assert_eq!(requests, times, "{case}");
    }
    // Every response advances the offset, and none has content.
    let script = Script::start(|exchange| {
        let json = Flag::ContentType("application/json");
        exchange.respond(200, stream_headers(&format!("c{:09}", exchange.nth()), &[json]), "[]");
        exchange.close();
    })
    .unwrap();
    let reader = scripted::<S>(&script).reader();
    let mut chunks = reader.chunks().await.unwrap();
    let yielded = futures_lite::future::or(async { chunks.next().await.is_some() }, async {
        S::sleep(Duration::from_secs(3)).await;
        false
    });
    assert!(!yielded.await, "a chunk without content");
    assert!(script.requests().len() <= 10, "{} requests in 3 s", script.requests().len());
}

/// The reader starts inside a page, at a position that the page does not reach. Guarantee 24.
pub async fn stream_shorter_than_checkpoint_is_recreated<S: Stack>() {
    let script = Script::start(|exchange| {
        let (data, next) = if exchange.query("offset") == Some("b5") { ("data", "b6") } else { ("", "b6") };
        exchange.respond(200, stream_headers(next, &[Flag::UpToDate]), data);
    })
    .unwrap();
    // A cache may hold an older, shorter response: the last request bypasses caches before the error is reported.
    // The checkpoint is nine bytes after b5, but the stream has only four there.
    let (kind, requests) = ends_with::<S>(&script, "b5,b9").await;
    assert!(matches!(kind, StreamError::Recreated { .. }), "{kind}");
    assert_eq!(requests, 3);
    let bypasses_cache =
        |request: &test_servers::Recorded| request.headers.get("cache-control") == Some("no-cache");
    assert_eq!(script.requests().iter().map(bypasses_cache).collect::<Vec<_>>(), [false, false, true]);
    // A position in messages does not fit a stream of bytes.
    let (kind, _) = ends_with::<S>(&script, "b5,m2").await;
    assert!(matches!(kind, StreamError::Config(_)), "{kind}");
}

/// Guarantee 24.
pub async fn refused_read_is_typed_error<S: Stack>() {
    on_each_server(|url| async move {
        let client = S::client(&url);
        for live in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
            let error = client.stream(unique("missing")).reader().live(live).chunks().await.unwrap_err();
            assert!(matches!(error.kind(), StreamError::NotFound { .. }), "{live:?}: {error}");
        }
    })
    .await;
    for (status, expected, requests) in
        [(401, "unauthorized", 1), (403, "forbidden", 1), (410, "offset gone", 3)]
    {
        let script = Script::start(move |exchange| match exchange.method.as_str() {
            // After a 410 the reader asks past caches, and then whether the stream exists: it does, so the data has expired.
            "HEAD" => exchange.respond(200, stream_headers("x9", &[]), ""),
            _ => exchange.respond(status, (), ""),
        })
        .unwrap();
        let error = scripted::<S>(&script).reader().offset(Offset::parse("x7")).chunks().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((error.offset(), error.status_code()), (Some(&Offset::parse("x7")), Some(status)));
        assert_eq!(script.requests().len(), requests);
    }
}

pub async fn matching_etag_returns_not_modified<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        stream.append("some").await.unwrap();
        let chunks = stream.reader().chunks().await.unwrap();
        let etag = chunks.etag().unwrap().to_owned();
        let error = stream.reader().if_none_match(&etag).chunks().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::NotModified), "{error}");
        stream.append(" more").await.unwrap();
        let chunks = all::<S>(stream.reader().if_none_match(&etag).chunks().await.unwrap()).await.unwrap();
        assert_eq!(joined(&chunks), b"some more");
    })
    .await;
}

/// Guarantee 41.
pub async fn invalid_reader_option_is_config_error<S: Stack>() {
    let script = Script::start(|exchange| exchange.respond(500, (), "")).unwrap();
    let reader = || scripted::<S>(&script).reader();
    let zero = Duration::ZERO;
    for (option, reader) in [
        ("max_chunk_bytes", reader().max_chunk_bytes(0)),
        ("max_event_bytes", reader().max_event_bytes(0)),
        ("idle_timeout", reader().idle_timeout(zero)),
        ("header", reader().header("a b", "c")),
        ("header", reader().header("a", "c\nd")),
        ("offset", reader().offset(Offset::At("a/b".into()))),
        ("if_none_match", reader().if_none_match("bare")),
        ("live", reader().if_none_match("\"x\"").live(LiveMode::Sse)),
        ("max_backoff", reader().retry_config(RetryConfig { max_backoff: zero, ..RetryConfig::default() })),
    ] {
        let error = reader.chunks().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Config(e) if e.option == option), "{option}: {error}");
    }
    assert_eq!(script.requests().len(), 0, "a request was sent");
}
