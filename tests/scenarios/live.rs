//! Live reads of real servers: appends during the read, outages, deletion, and cancellation.

use crate::support::{Chunks, Stack, StackStream, new_stream, on_each_server, unique};
use durable_streams::{
    Checkpoint, Chunk, CreateOptions, Error, Fork, LiveMode, Offset, RetryConfig, StreamError,
};
use std::time::Duration;
use test_servers::{Action, Cut, Durability, End, Proxy, RustServer};

const MODES: [LiveMode; 3] = [LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse];

/// The stream of the server at `url`, reached through the proxy.
fn through<S: Stack>(proxy: &Proxy, url: &str, stream: &StackStream<S>) -> StackStream<S> {
    S::client(proxy.url()).stream(stream.url().unwrap().replace(url, proxy.url()))
}

/// Reads chunks until their content is as long as `expected`, and asserts that it is `expected`.
async fn read<S: Stack>(chunks: &mut Chunks<S>, expected: &str) -> Vec<Chunk> {
    let mut read = Vec::new();
    while content(&read).len() < expected.len() {
        let chunk = chunks.try_next().await.expect("no error").expect("the tail goes on");
        assert_eq!(chunk.checkpoint, chunks.checkpoint());
        assert!(!chunk.checkpoint.to_string().contains("now"));
        read.push(chunk);
    }
    assert_eq!(content(&read), expected);
    read
}

/// Reads at most one chunk, which has no content, until the reader is at `offset`.
///
/// The end of a response body can arrive after its last content: then the position after it is reached by a chunk
/// of its own.
async fn until<S: Stack>(chunks: &mut Chunks<S>, offset: &Offset) -> Option<Chunk> {
    if chunks.checkpoint() == Checkpoint::at(offset.clone()) {
        return None;
    }
    let chunk = chunks.try_next().await.unwrap().unwrap();
    assert_eq!((content(std::slice::from_ref(&chunk)).as_str(), &chunk.next_offset), ("", offset));
    Some(chunk)
}

/// The content of the chunks as text. JSON messages are joined without brackets and commas.
fn content(chunks: &[Chunk]) -> String {
    let texts = chunks.iter().map(|chunk| String::from_utf8(chunk.data.to_vec()).unwrap());
    texts.map(|text| text.trim_matches(['[', ']']).replace(',', "")).collect()
}

fn record(content_type: &str, text: &str) -> String {
    if content_type == "application/json" { format!("[{text}]") } else { text.to_owned() }
}

/// Guarantee 17.
pub async fn tail_delivers_appends_and_ends_at_close<S: Stack>() {
    on_each_server(|url| async move {
        let proxy = Proxy::start(&url).unwrap();
        for content_type in ["application/json", "application/octet-stream", "text/plain"] {
            for mode in MODES {
                let stream = new_stream::<S>(&url, content_type).await;
                let through_proxy = through::<S>(&proxy, &url, &stream);
                stream.append(record(content_type, "12")).await.unwrap();
                let mut chunks = through_proxy.reader().live(mode).chunks().await.unwrap();
                let mut all = read::<S>(&mut chunks, "12").await;
                all.extend(until::<S>(&mut chunks, &stream.head().await.unwrap().next_offset).await);
                for text in ["3", "4", "5"] {
                    let (appended, more) = futures_lite::future::zip(
                        stream.append(record(content_type, text)),
                        read::<S>(&mut chunks, text),
                    )
                    .await;
                    all.extend(more);
                    all.extend(until::<S>(&mut chunks, &appended.unwrap().next_offset).await);
                    assert!(all.last().unwrap().up_to_date, "{mode:?}");
                }
                let last = record(content_type, "6");
                let (closed, more) =
                    futures_lite::future::zip(stream.close_with(last), read::<S>(&mut chunks, "6")).await;
                all.extend(more);
                while let Some(chunk) = chunks.try_next().await.unwrap() {
                    all.push(chunk);
                }
                assert_eq!(content(&all), "123456", "{content_type} {mode:?}");
                assert_eq!(all.iter().filter(|chunk| chunk.closed).count(), 1);
                assert!(all.last().unwrap().closed && chunks.is_closed());
                assert_eq!(chunks.checkpoint(), Checkpoint::at(closed.unwrap().final_offset));
                let requests = proxy.requests().len();
                S::sleep(Duration::from_millis(300)).await;
                assert!(chunks.next().await.is_none());
                assert_eq!(proxy.requests().len(), requests, "a request was sent after the end");
            }
        }
    })
    .await;
}

/// Guarantee 17.
pub async fn closed_stream_ends_in_every_mode<S: Stack>() {
    on_each_server(|url| async move {
        for (data, mode) in ["", "7"].into_iter().flat_map(|data| MODES.map(|mode| (data, mode))) {
            let stream = S::client(&url).stream(unique("closed"));
            stream.create(CreateOptions::new().data(data).closed(true)).await.unwrap();
            for start in [Offset::Beginning, Offset::Now] {
                let mut chunks = stream.reader().offset(start.clone()).live(mode).chunks().await.unwrap();
                let mut all = Vec::new();
                while let Some(chunk) = chunks.try_next().await.unwrap() {
                    all.push(chunk);
                }
                assert_eq!(content(&all), if start == Offset::Now { "" } else { data });
                assert_eq!(all.iter().filter(|chunk| chunk.closed).count(), 1, "{mode:?}");
                assert!(all.last().unwrap().closed);
            }
        }
    })
    .await;
}

/// Guarantee 11.
pub async fn append_right_after_now_is_delivered<S: Stack>() {
    on_each_server(|url| async move {
        let proxy = Proxy::start(&url).unwrap();
        for mode in MODES {
            let stream = new_stream::<S>(&url, "application/json").await;
            stream.append("[1]").await.unwrap();
            let through_proxy = through::<S>(&proxy, &url, &stream);
            let mut chunks = through_proxy.reader().offset(Offset::Now).live(mode).chunks().await.unwrap();
            assert_ne!(*chunks.offset(), Offset::Now);
            // The next three requests fail, while a record is appended.
            proxy.rule(|_, nth| if nth < 3 { Action::DropBefore } else { Action::Pass });
            stream.append("[2]").await.unwrap();
            read::<S>(&mut chunks, "2").await;
            proxy.pass();
        }
    })
    .await;
}

/// Guarantee 12.
pub async fn pending_call_survives_server_kill<S: Stack>() {
    for mode in MODES {
        let server = RustServer::builder().durability(Durability::Wal).start().unwrap();
        let stream = new_stream::<S>(server.url(), "application/json").await;
        stream.append("[1]").await.unwrap();
        let mut chunks = stream.reader().live(mode).chunks().await.unwrap();
        read::<S>(&mut chunks, "1").await;
        until::<S>(&mut chunks, &stream.head().await.unwrap().next_offset).await;
        while !chunks.is_up_to_date() {
            chunks.try_next().await.unwrap().unwrap();
        }
        let outage = async {
            S::sleep(Duration::from_millis(200)).await;
            server.kill().unwrap();
            S::sleep(Duration::from_millis(1500)).await;
            server.restart().unwrap();
            for text in ["[2]", "[3]", "[4]"] {
                stream.append(text).await.unwrap();
            }
        };
        // The same call waits through the outage, and returns no error.
        let ((), first) = futures_lite::future::zip(outage, chunks.try_next()).await;
        let first = first.expect("no error").expect("the tail goes on");
        let rest = "234".strip_prefix(&content(&[first])).expect("the content in order").to_owned();
        assert!(rest.len() < 3, "{mode:?}: a chunk without content");
        read::<S>(&mut chunks, &rest).await;
        stream.append("[5]").await.unwrap();
        read::<S>(&mut chunks, "5").await;
    }
}

/// Guarantee 8.
pub async fn repeated_connection_cuts_lose_nothing<S: Stack>() {
    on_each_server(|url| async move {
        let proxy = Proxy::start(&url).unwrap();
        for mode in MODES {
            let stream = new_stream::<S>(&url, "application/json").await;
            let through_proxy = through::<S>(&proxy, &url, &stream);
            // Every fourth request loses its response. Event streams are cut at positions that move with each
            // connection, so cuts fall before, inside and between the events.
            proxy.rule(|request, nth| match request.query("live") {
                _ if nth % 4 == 3 => Action::DropAfter,
                Some("sse") => Action::CutAfter {
                    cut: Cut::Bytes(40 + 37 * nth as u64),
                    end: if nth % 2 == 0 { End::Reset } else { End::Fin },
                },
                _ => Action::Pass,
            });
            let retry = RetryConfig {
                initial_backoff: Duration::from_millis(5),
                max_backoff: Duration::from_millis(50),
                ..RetryConfig::default()
            };
            let reader = through_proxy.reader().live(mode).retry_config(retry);
            let mut chunks = reader.chunks().await.unwrap();
            let write = async {
                for n in 0..30 {
                    stream.append(format!("[{n:04}]").replace("[0", "[10")).await.unwrap();
                    S::sleep(Duration::from_millis(10)).await;
                }
            };
            let expected: String = (0..30).map(|n| format!("1{n:04}")).collect();
            futures_lite::future::zip(write, read::<S>(&mut chunks, &expected)).await;
            proxy.pass();
        }
    })
    .await;
}

/// Guarantee 7.
pub async fn tail_resumes_from_every_checkpoint<S: Stack>() {
    on_each_server(|url| async move {
        for content_type in ["application/json", "application/octet-stream"] {
            let stream = new_stream::<S>(&url, content_type).await;
            let numbers: Vec<String> = (100..160).map(|n| n.to_string()).collect();
            for batch in numbers.chunks(20) {
                let text = if content_type == "application/json" {
                    format!("[{}]", batch.join(","))
                } else {
                    batch.concat()
                };
                stream.append(text).await.unwrap();
            }
            let expected = numbers.concat();
            for mode in MODES {
                let mut chunks = stream.reader().live(mode).max_chunk_bytes(17).chunks().await.unwrap();
                let all = read::<S>(&mut chunks, &expected).await;
                assert!(all.len() > 10, "{mode:?}");
                for (index, chunk) in all.iter().enumerate().step_by(3).filter(|(_, chunk)| !chunk.up_to_date)
                {
                    let rest = &expected[content(&all[..=index]).len()..];
                    let start: Checkpoint = chunk.checkpoint.to_string().parse().unwrap();
                    let mut again = stream.reader().offset(start).live(mode).chunks().await.unwrap();
                    read::<S>(&mut again, rest).await;
                }
            }
        }
    })
    .await;
}

/// Guarantee 24.
pub async fn deleted_stream_ends_tail_with_not_found<S: Stack>() {
    on_each_server(|url| async move {
        for mode in MODES {
            let stream = new_stream::<S>(&url, "application/json").await;
            stream.append("[1]").await.unwrap();
            let proxy = Proxy::start(&url).unwrap();
            let through_proxy = through::<S>(&proxy, &url, &stream);
            let mut chunks = through_proxy.reader().live(mode).chunks().await.unwrap();
            read::<S>(&mut chunks, "1").await;
            stream.delete().await.unwrap();
            // Servers do not end an open event stream when its stream is deleted; only a new connection gets the 404.
            proxy.kill_connections();
            let error = ends::<S>(&mut chunks).await;
            assert!(matches!(error.kind(), StreamError::NotFound { .. }), "{mode:?}: {error}");
        }
    })
    .await;
}

/// A deleted stream whose forks still need its data answers 410, not 404. Guarantee 24.
pub async fn deleted_fork_source_ends_tail_with_gone<S: Stack>() {
    on_each_server(|url| async move {
        for mode in MODES {
            let stream = new_stream::<S>(&url, "application/json").await;
            stream.append("[1]").await.unwrap();
            let proxy = Proxy::start(&url).unwrap();
            let through_proxy = through::<S>(&proxy, &url, &stream);
            let mut chunks = through_proxy.reader().live(mode).chunks().await.unwrap();
            read::<S>(&mut chunks, "1").await;
            let source = stream.url().unwrap().strip_prefix(&url).unwrap();
            let fork = stream.client().stream(unique("fork"));
            fork.create(CreateOptions::new().fork(Fork::of(source))).await.unwrap();
            stream.delete().await.unwrap();
            proxy.kill_connections();
            let error = ends::<S>(&mut chunks).await;
            assert!(matches!(error.kind(), StreamError::Gone { .. }), "{mode:?}: {error}");
            assert_eq!(error.status_code(), Some(410));
        }
    })
    .await;
}

/// The new stream has the same URL and less content. Guarantee 24.
pub async fn recreated_stream_ends_tail_with_recreated<S: Stack>() {
    // Only the Rust server reveals it: an offset beyond the tail gets a response with the new, lower offset.
    let server = RustServer::start().unwrap();
    for mode in MODES {
        let stream = new_stream::<S>(server.url(), "application/json").await;
        stream.append("[1,2,3]").await.unwrap();
        let proxy = Proxy::start(server.url()).unwrap();
        let through_proxy = through::<S>(&proxy, server.url(), &stream);
        let mut chunks = through_proxy.reader().live(mode).chunks().await.unwrap();
        read::<S>(&mut chunks, "123").await;
        let before = chunks.checkpoint();
        // No request reaches the server until the new stream exists, so none sees a 404.
        proxy.rule(|_, _| Action::DropBefore);
        proxy.kill_connections();
        stream.delete().await.unwrap();
        stream.create(CreateOptions::new().content_type("application/json").data("[9]")).await.unwrap();
        proxy.pass();
        let error = ends::<S>(&mut chunks).await;
        assert!(matches!(error.kind(), StreamError::Recreated { .. }), "{mode:?}: {error}");
        assert_eq!(chunks.checkpoint(), before, "{mode:?}");
    }
}

/// The error that a tail ends with. Asserts that no content comes before it and nothing after it.
async fn ends<S: Stack>(chunks: &mut Chunks<S>) -> Error {
    let error = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => assert_eq!(content(&[chunk]), ""),
            Some(Err(error)) => break error,
            None => panic!("the tail ended without an error"),
        }
    };
    assert!(chunks.next().await.is_none());
    error
}

/// Reads one chunk of a large body and drops the reader.
async fn drop_in_the_middle<S: Stack>(stream: &StackStream<S>, mode: LiveMode) {
    let mut chunks = stream.reader().live(mode).chunks().await.unwrap();
    assert!(!chunks.try_next().await.unwrap().unwrap().data.is_empty());
    chunks.close();
}

/// Drops the reader while its live request waits for data.
async fn drop_in_the_tail<S: Stack>(stream: &StackStream<S>, mode: LiveMode) {
    let mut chunks = stream.reader().offset(Offset::Now).live(mode).chunks().await.unwrap();
    let pause = || async {
        S::sleep(Duration::from_millis(50)).await;
        None
    };
    while futures_lite::future::or(chunks.next(), pause()).await.is_some() {}
}

/// Guarantee 26.
pub async fn dropped_reader_releases_its_connection<S: Stack>() {
    let server = RustServer::builder().long_poll_timeout(Duration::from_secs(60)).start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream::<S>(proxy.url(), "application/octet-stream").await;
    for _ in 0..4 {
        stream.append(vec![b'x'; 4_000_000]).await.unwrap();
    }
    let other = stream.client().stream(unique("other"));
    other.create(CreateOptions::new().data("untouched")).await.unwrap();
    for mode in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        for _ in 0..5 {
            drop_in_the_middle::<S>(&stream, mode).await;
            if mode != LiveMode::Off {
                drop_in_the_tail::<S>(&stream, mode).await;
            }
            let mut chunks = other.reader().chunks().await.unwrap();
            assert_eq!(chunks.try_next().await.unwrap().unwrap().data, "untouched");
        }
        // The connection of a dropped reader is closed, or drained and reused. So few stay open, however many were
        // dropped.
        while proxy.open_connections() > 5 {
            S::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub async fn dropped_next_future_loses_nothing<S: Stack>() {
    on_each_server(|url| async move {
        for mode in MODES {
            let stream = new_stream::<S>(&url, "application/json").await;
            let mut chunks = stream.reader().live(mode).chunks().await.unwrap();
            let mut all = Vec::new();
            let mut written = 0;
            while all.iter().filter(|chunk: &&Chunk| chunk.data != "[]").count() < 10 {
                // The call is dropped after 3 ms, in whatever state it is.
                let next = async { chunks.next().await.map(Result::unwrap) };
                let pause = async {
                    S::sleep(Duration::from_millis(3)).await;
                    None
                };
                all.extend(futures_lite::future::or(next, pause).await);
                if written < 10 {
                    stream.append(format!("[{written}]")).await.unwrap();
                    written += 1;
                }
                if content(&all).len() == 10 {
                    break;
                }
            }
            assert_eq!(content(&all), "0123456789", "{mode:?}");
        }
    })
    .await;
}
