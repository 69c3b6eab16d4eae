//! The views of a read (bytes, text, JSON values), saved checkpoints, and prefetching.

use crate::support::{Stack, StackStream, new_stream, on_each_server, unique};
use durable_streams::{
    Checkpoint, CheckpointStore, CreateOptions, FileCheckpointStore, LiveMode, Offset, StreamError,
    StreamRequest,
};
use futures_lite::StreamExt;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use test_servers::{Flag, Proxy, RustServer, Script, stream_headers};

const MODES: [LiveMode; 4] = [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    n: u32,
    text: String,
}

fn event(n: u32) -> Event {
    Event { n, text: "é\"]},{\\".repeat(n as usize % 5) }
}

/// A closed stream with these events, written in several batches.
async fn events<S: Stack>(url: &str, count: u32) -> StackStream<S> {
    let stream = new_stream::<S>(url, "application/json").await;
    let all: Vec<Event> = (0..count).map(event).collect();
    for batch in all.chunks(7) {
        stream.append(serde_json::to_vec(batch).unwrap()).await.unwrap();
    }
    stream.close().await.unwrap();
    stream
}

/// Guarantee 7.
pub async fn json_values_resume_from_every_checkpoint_in_every_mode<S: Stack>() {
    on_each_server(|url| async move {
        let stream = events::<S>(&url, 40).await;
        let expected: Vec<Event> = (0..40).map(event).collect();
        for (mode, prefetch) in MODES.into_iter().flat_map(|mode| [(mode, 0), (mode, 2)]) {
            let reader = || stream.reader().live(mode).prefetch(prefetch).max_chunk_bytes(100);
            let mut reads = reader().json::<Event>().await.unwrap().with_checkpoints();
            let pairs: Vec<(Event, Checkpoint)> = (&mut reads).try_collect().await.unwrap();
            assert!(pairs.iter().map(|(event, _)| event).eq(&expected), "{mode:?}");
            for (event, checkpoint) in pairs.iter().step_by(3) {
                let start: Checkpoint = checkpoint.to_string().parse().unwrap();
                let rest: Vec<Event> = reader().offset(start).read_json().await.unwrap();
                assert_eq!(rest, expected[event.n as usize + 1..], "{mode:?} from {checkpoint}");
            }
            let end = stream.head().await.unwrap().next_offset;
            assert_eq!(reads.get_ref().checkpoint(), Checkpoint::at(end), "{mode:?}");
        }
    })
    .await;
}

/// Guarantee 7.
pub async fn json_batches_resume_from_their_checkpoints<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = events::<S>(server.url(), 3000).await;
    let mut batches = stream.reader().json::<Event>().await.unwrap().batches(1024);
    let (mut read, mut count) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await.unwrap() {
        assert!(!batch.items.is_empty() && batch.items.len() <= 1024);
        assert_eq!(batch.checkpoint, batches.checkpoint());
        read.extend(batch.items);
        count += 1;
        let rest: Vec<Event> = stream.reader().offset(batch.checkpoint).read_json().await.unwrap();
        assert_eq!(rest.len(), 3000 - read.len());
    }
    assert!(read.len() == 3000 && (3..100).contains(&count), "{count} batches");
    assert!(batches.is_closed() && batches.is_up_to_date());
}

pub async fn value_of_other_type_is_error_and_is_skipped<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/json").await;
        stream.append(r#"[{"n":1,"text":""},"what",[],{"n":2,"text":""},{"n":3}]"#).await.unwrap();
        for (mode, prefetch) in [(LiveMode::Off, 0), (LiveMode::Off, 1), (LiveMode::Sse, 0)] {
            let reader = stream.reader().live(mode).prefetch(prefetch);
            let mut values = reader.json::<Event>().await.unwrap();
            assert_eq!(values.try_next().await.unwrap().unwrap().n, 1);
            let before = values.checkpoint();
            for _ in 0..2 {
                let error = values.next().await.unwrap().unwrap_err();
                assert!(matches!(error.kind(), StreamError::Json(_)), "{error}");
                assert!(error.to_string().contains(&before.to_string()), "{error}");
                assert!(error.url().is_some(), "{error}");
                assert_eq!(values.checkpoint(), before, "the error moved the checkpoint");
            }
            assert_eq!(values.try_next().await.unwrap().unwrap().n, 2);
            assert_ne!(values.checkpoint(), before);
            let two = values.checkpoint();
            assert!(values.next().await.unwrap().is_err());
            assert_eq!(values.checkpoint(), two);
            let rest: Vec<serde_json::Value> = stream.reader().offset(two).read_json().await.unwrap();
            assert_eq!(rest, [serde_json::json!({"n": 3})]);
        }
        assert!(stream.reader().read_json::<Event>().await.is_err());
    })
    .await;
}

/// On a stream that is not JSON, `json()` reads JSON texts separated by white space.
pub async fn json_is_read_from_streams_of_other_types<S: Stack>() {
    on_each_server(|url| async move {
        for content_type in ["application/octet-stream", "text/plain", "application/x-ndjson"] {
            let stream = new_stream::<S>(&url, content_type).await;
            for n in 0..12 {
                // Each value is split over two records, so that values span records and pages.
                let text = format!("{}\n", serde_json::to_string(&event(n)).unwrap());
                let cut = (0..=7).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                stream.append(text[..cut].to_owned()).await.unwrap();
                stream.append(text[cut..].to_owned()).await.unwrap();
            }
            stream.append_json(&event(12)).await.unwrap();
            stream.close().await.unwrap();
            let expected: Vec<Event> = (0..13).map(event).collect();
            for mode in MODES {
                let reader = || stream.reader().live(mode).max_chunk_bytes(10);
                let reads = reader().json::<Event>().await.unwrap().with_checkpoints();
                let pairs: Vec<(Event, Checkpoint)> = reads.try_collect().await.unwrap();
                assert!(pairs.iter().map(|(event, _)| event).eq(&expected), "{mode:?}");
                if content_type == "text/plain" && mode == LiveMode::Sse {
                    continue; // such chunks have checkpoints at control events only
                }
                for (event, checkpoint) in pairs {
                    let rest: Vec<Event> = reader().offset(checkpoint.clone()).read_json().await.unwrap();
                    assert_eq!(rest, expected[event.n as usize + 1..], "{mode:?} from {checkpoint}");
                }
            }
        }
    })
    .await;
}

/// The server sends each byte as a chunk of its own. Guarantee 1.
pub async fn characters_split_across_chunks_are_joined<S: Stack>() {
    let text: String = (0..60).map(|n| ["a", "é", "€", "😀", "\r\n", " "][n % 6]).collect();
    let script = {
        let text = text.clone();
        Script::start(move |exchange| {
            let at: usize = exchange.query("offset").unwrap().parse::<usize>().unwrap_or(0);
            let flags = [Flag::ContentType("text/plain"), Flag::UpToDate, Flag::Closed];
            let head = stream_headers(&text.len().to_string(), &flags);
            exchange.head(200, head);
            for byte in &text.as_bytes()[at..] {
                exchange.chunk([*byte]);
            }
            exchange.finish();
        })
        .unwrap()
    };
    let stream = S::client(script.url()).stream("s");
    let mut reader = stream.reader().text().await.unwrap();
    let mut read = String::new();
    while let Some(piece) = reader.try_next().await.unwrap() {
        assert!(!piece.is_empty());
        read += &piece;
        let rest = stream.reader().offset(reader.checkpoint()).read_text().await.unwrap();
        assert_eq!(rest, text[read.len()..], "from {}", reader.checkpoint());
    }
    assert_eq!(read, text);
}

/// Guarantee 1.
pub async fn four_megabytes_of_text_are_read_unchanged<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let record = "äöü€😀, ".repeat(12_345);
        let mut expected = String::new();
        while expected.len() < 4_000_000 {
            // The split may fall inside a character: records are bytes.
            let (head, tail) = record.as_bytes().split_at(1 + expected.len() % 17);
            stream.append(head.to_vec()).await.unwrap();
            stream.append(tail.to_vec()).await.unwrap();
            expected += &record;
        }
        for mode in [LiveMode::Off, LiveMode::Auto] {
            let mut reader = stream.reader().live(mode).max_chunk_bytes(10_007).text().await.unwrap();
            let mut read = String::new();
            while read.len() < expected.len() {
                read += &reader.try_next().await.unwrap().unwrap();
            }
            assert!(read == expected && !read.contains('\u{FFFD}'));
        }
    })
    .await;
}

pub async fn invalid_utf8_is_error<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/octet-stream").await;
        stream.append(b"good \xE2\x82".to_vec()).await.unwrap();
        // The end of the stream holds the first bytes of a character: the rest may still be appended.
        let mut reader = stream.reader().text().await.unwrap();
        assert_eq!(reader.try_next().await.unwrap().unwrap(), "good ");
        assert!(reader.try_next().await.unwrap().is_none());
        assert!(reader.checkpoint().to_string().ends_with(",b5"), "{}", reader.checkpoint());
        let error = stream.reader().read_text().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Utf8 { .. }), "{error}");
        assert_eq!(error.url(), stream.url().ok());
        let error = stream.reader().read_json::<Event>().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Json(_)), "{error}");
        assert_eq!(error.url(), stream.url().ok());
        stream.append("bad").await.unwrap();
        let mut reader = stream.reader().text().await.unwrap();
        let mut read = String::new();
        let error = loop {
            match reader.next().await.unwrap() {
                Ok(text) => read += &text,
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), StreamError::Utf8 { .. }), "{error}");
        assert!("good ".starts_with(&read) && reader.next().await.is_none());
    })
    .await;
}

pub async fn read_all_returns_whole_stream<S: Stack>() {
    on_each_server(|url| async move {
        let bytes = new_stream::<S>(&url, "text/plain").await;
        let json = new_stream::<S>(&url, "application/json").await;
        assert_eq!(bytes.reader().read_all().await.unwrap(), "");
        assert_eq!(json.reader().read_all().await.unwrap(), "[]");
        let mut all = (String::new(), Vec::new());
        for n in 0..300 {
            bytes.append(format!("{n} ")).await.unwrap();
            json.append(format!("[{n}]")).await.unwrap();
            all.0 += &format!("{n} ");
            all.1.push(n);
        }
        for size in [3, 1000, 1 << 20] {
            assert_eq!(bytes.reader().max_chunk_bytes(size).read_all().await.unwrap(), all.0);
            assert_eq!(bytes.reader().max_chunk_bytes(size).read_text().await.unwrap(), all.0);
            assert_eq!(bytes.reader().max_chunk_bytes(size).read_json::<u32>().await.unwrap(), all.1);
            let array = json.reader().max_chunk_bytes(size).read_all().await.unwrap();
            assert_eq!(serde_json::from_slice::<Vec<u32>>(&array).unwrap(), all.1);
            assert_eq!(json.reader().max_chunk_bytes(size).read_json::<u32>().await.unwrap(), all.1);
        }
        let pieces: Vec<_> =
            bytes.reader().max_chunk_bytes(100).bytes().await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), all.0.as_bytes());
    })
    .await;
}

pub async fn stream_request_returns_readable_response<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = events::<S>(server.url(), 5).await;
    let url = stream.url().unwrap();
    let request = || StreamRequest::<S::Transport, S::Runtime>::new(url);
    let response = request().await.unwrap();
    assert_eq!(response.content_type(), "application/json");
    assert!(response.etag().is_some() && response.checkpoint() == Checkpoint::at(Offset::Beginning));
    assert_eq!(response.read_json::<Event>().await.unwrap().len(), 5);
    let response = request().offset(Offset::Now).live(LiveMode::Auto).header("x-who", "me").await.unwrap();
    assert!(matches!(response.checkpoint().offset(), Offset::At(_)));
    assert_eq!(response.read_all().await.unwrap(), "[]");
    let response = stream.reader().prefetch(1).response().await.unwrap();
    assert_eq!(response.json::<Event>().map(Result::unwrap).count().await, 5);
    let error = StreamRequest::<S::Transport, S::Runtime>::new("no url").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Config(_)), "{error}");
}

pub async fn prefetch_keeps_content_and_checkpoints<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let path = unique("ahead");
    let stream = S::client(proxy.url()).stream(&path);
    stream.create(CreateOptions::new().content_type("application/octet-stream")).await.unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for record in content.chunks(600_000) {
        stream.append(record.to_vec()).await.unwrap();
    }
    let mut chunks =
        stream.reader().live(LiveMode::Auto).prefetch(3).max_chunk_bytes(10_000).chunks().await.unwrap();
    let mut read = Vec::new();
    while read.len() < 1_000_000 {
        let chunk = chunks.try_next().await.unwrap().unwrap();
        read.extend_from_slice(&chunk.data);
        assert_eq!((chunks.checkpoint(), chunks.offset()), (chunk.checkpoint, &chunk.next_offset));
    }
    // The checkpoint is that of the last chunk handed out, not of the last one prefetched.
    let rest = stream.reader().offset(chunks.checkpoint()).read_all().await.unwrap();
    assert!(read[..] == content[..read.len()] && rest[..] == content[read.len()..]);
    drop(chunks);
    while proxy.open_connections() > 1 {
        S::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn only_acknowledged_values_are_saved<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = events::<S>(server.url(), 20).await;
    let directory = std::env::temp_dir().join(unique("store").replace('/', "-"));
    std::fs::create_dir_all(&directory).unwrap();
    let store = FileCheckpointStore::new(directory.join("reader"));
    let mut read = Vec::new();
    // Each run reads one event more than it acknowledges; the next run starts with that event again.
    for run in 1.. {
        let mut events = stream.reader().checkpoint_store(store.clone()).json::<Event>().await.unwrap();
        for _ in 0..run {
            match events.try_next().await.unwrap() {
                None => break,
                Some(event) => read.push(event),
            }
            events.acknowledge().await.unwrap();
        }
        if events.try_next().await.unwrap().is_none() {
            break;
        }
    }
    assert_eq!(read, (0..20).map(event).collect::<Vec<_>>());
    let end = stream.head().await.unwrap().next_offset;
    assert_eq!(store.load().await.unwrap(), Some(Checkpoint::at(end)));
    std::fs::write(store.path(), "nonsense,").unwrap();
    let error = stream.reader().checkpoint_store(store.clone()).chunks().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::CheckpointStore(_)), "{error}");
    std::fs::remove_dir_all(&directory).unwrap();
    let mut chunks = stream.reader().checkpoint_store(store).chunks().await.unwrap();
    let error = chunks.acknowledge().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::CheckpointStore(_)), "{error}");
    assert_eq!(error.url(), stream.url().ok());
    let error = stream.reader().chunks().await.unwrap().acknowledge().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Config(_)), "{error}");
}
