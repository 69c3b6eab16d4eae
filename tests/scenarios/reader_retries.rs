//! Retries of a reader: delays, timeouts, the retry budget, and decisions of the application.

use crate::support::Stack;
use crate::support::live::{JSON, content, is_sse, tail};
use durable_streams::{
    DateTime, ErrorAction, HeaderMap, HeaderValue, LiveMode, Offset, RetryConfig, StreamError, Utc,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use test_servers::{Exchange, Flag, Script, sse_control, sse_data, stream_headers};

/// Guarantee 13.
pub async fn retry_after_is_minimum_delay<S: Stack>() {
    // A date has whole seconds. Here it only has to be accepted; `operation_faults` checks how long it delays.
    let soon = DateTime::<Utc>::from(SystemTime::now() + Duration::from_millis(2900))
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    for (mode, retry_after, floor) in [
        (LiveMode::Off, "1".to_owned(), 1000),
        (LiveMode::LongPoll, "1".to_owned(), 1000),
        (LiveMode::Sse, "1".to_owned(), 1000),
        (LiveMode::Off, soon, 0),
    ] {
        let script = Script::start(move |exchange| match exchange.nth() {
            0 => exchange.respond(429, [("retry-after", retry_after.as_str())], "slow down"),
            _ if is_sse(exchange) => {
                exchange.sse(sse_data("[1]") + &sse_control("a1", &[]));
                exchange.hang();
            }
            _ => exchange.respond(200, stream_headers("a1", &[JSON, Flag::UpToDate]), "[1]"),
        })
        .unwrap();
        let mut chunks = tail::<S>(&script, "application/json", mode).chunks().await.unwrap();
        assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
        let requests = script.requests();
        let waited = requests[1].at - requests[0].at;
        assert!(waited >= Duration::from_millis(floor), "{mode:?}: {waited:?}");
    }
    let script = Script::start(|exchange| exchange.respond(503, [("retry-after", "7")], "later")).unwrap();
    let reader = tail::<S>(&script, "application/json", LiveMode::Off).retry_config(RetryConfig::none());
    let error = reader.chunks().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error}");
}

/// Guarantee 14.
pub async fn failed_request_is_retried_within_policy<S: Stack>() {
    // Besides the statuses, 0: a reset. 1: a body that is cut. 2: a response that is not HTTP.
    for failure in [500, 502, 504, 0, 1, 2] {
        let fail = move |exchange: &mut Exchange| {
            match failure {
            0 => exchange.reset(),
            1 => exchange.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nstream-next-offset: a1\r\ncontent-length: 9\r\n\r\n[1"),
            2 => exchange.raw("no HTTP at all\r\n\r\n"),
            status => exchange.respond(status, (), "broken"),
        }
        };
        let script = Script::start(move |exchange| {
            if exchange.nth() < 4 {
                fail(exchange);
            } else {
                exchange.respond(200, stream_headers("a1", &[JSON, Flag::UpToDate]), "[1]");
            }
        })
        .unwrap();
        let mut chunks = tail::<S>(&script, "application/json", LiveMode::Off).chunks().await.unwrap();
        assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
        assert_eq!(script.requests().len(), 5);

        let script = Script::start(fail).unwrap();
        let read = async {
            let mut chunks = tail::<S>(&script, "application/json", LiveMode::Auto).chunks().await?;
            content::<S>(&mut chunks).await
        };
        let error = read.await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("6 attempts"), "{failure}: {error}");
        assert_eq!(error.offset(), Some(&Offset::parse("a0")));
        assert_eq!(script.requests().len(), 6);
    }
}

/// Guarantee 14.
pub async fn page_that_breaks_at_same_byte_exhausts_retry_budget<S: Stack>() {
    let script = Script::start(|exchange| {
        exchange.raw("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nstream-next-offset: a1\r\ncontent-length: 9\r\n\r\n1234");
    })
    .unwrap();
    let mut chunks = tail::<S>(&script, "text/plain", LiveMode::Auto).chunks().await.unwrap();
    let first = content::<S>(&mut chunks).await.unwrap();
    assert_eq!((&first.data[..], first.checkpoint.to_string().as_str()), (&b"1234"[..], "a0,b4"));
    let error = chunks.try_next().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Network(_)), "{error}");
    // The first attempt delivered new bytes, which renewed the budget: five more attempts follow.
    assert_eq!(script.requests().len(), 6);
    assert_eq!(chunks.checkpoint().to_string(), "a0,b4");
}

/// Guarantee 18.
pub async fn silent_server_triggers_timeout_and_retry<S: Stack>() {
    // 0: no head. 1: a head without a body. 2 and 3: half a body, or a data event without its control event, or half
    // an event.
    for kind in 0..4 {
        for mode in [LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse] {
            let script = Script::start(move |exchange| {
                if exchange.nth() > 1 {
                    if is_sse(exchange) {
                        exchange.sse(sse_data("[1,2]") + &sse_control("a1", &[]));
                        exchange.hang();
                    } else {
                        exchange.respond(200, stream_headers("a1", &[JSON, Flag::UpToDate]), "[1,2]");
                    }
                    return;
                }
                match kind {
                    0 => {}
                    1 if is_sse(exchange) => exchange.sse_head(()),
                    1 => exchange.head(200, stream_headers("a1", &[JSON])),
                    _ if is_sse(exchange) && kind == 2 => exchange.sse(sse_data("[1,2]")),
                    _ if is_sse(exchange) => exchange.sse("event: data\ndata: [1,"),
                    _ => {
                        exchange.head(200, stream_headers("a1", &[JSON]));
                        exchange.chunk("[1,");
                    }
                }
                exchange.hang();
            })
            .unwrap();
            let idle = Duration::from_millis(300);
            let client = S::builder().base_url(script.url()).header_timeout(idle).build().unwrap();
            let stream = client.stream("s").with_content_type("application/json");
            let reader = stream.reader().offset(Offset::parse("a0")).live(mode).idle_timeout(idle);
            let mut chunks = reader.chunks().await.unwrap();
            let mut values = Vec::new();
            while values.len() < 2 {
                let chunk = chunks.try_next().await.unwrap().unwrap();
                assert!(
                    !chunk.up_to_date || chunk.data != "[]",
                    "up to date without the server's word: {chunk:?}"
                );
                values.extend(serde_json::from_slice::<Vec<u8>>(&chunk.data).unwrap());
            }
            assert_eq!(values, [1, 2], "{kind} {mode:?}");
            assert!(!chunks.is_up_to_date() || mode != LiveMode::Sse);
        }
    }
}

/// Guarantee 18.
pub async fn unaccepted_connection_times_out<S: Stack>() {
    // The listener never accepts. Once its backlog is full, the kernel answers no further connection attempt.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500));
    let backlog: Vec<_> = std::iter::from_fn(|| connect().ok()).take(10_000).collect();
    assert!(backlog.len() < 10_000);
    let client = S::builder()
        .base_url(format!("http://{address}"))
        .connect_timeout(Duration::from_millis(300))
        .retry_config(RetryConfig { max_retries: Some(1), ..RetryConfig::default() })
        .build()
        .unwrap();
    for mode in [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse] {
        let began = Instant::now();
        let stream = client.stream("s").with_content_type("application/json");
        let error = stream.reader().live(mode).chunks().await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Timeout), "{mode:?}: {error}");
        assert!(error.to_string().contains("2 attempts"), "{error}");
        let elapsed = began.elapsed();
        assert!(
            elapsed >= Duration::from_millis(600) && elapsed < Duration::from_secs(20),
            "{mode:?}: {elapsed:?}"
        );
    }
}

/// Guarantee 18.
pub async fn idle_event_stream_is_reconnected_without_failure<S: Stack>() {
    let connections = Arc::new(AtomicUsize::new(0));
    let script = {
        let connections = connections.clone();
        Script::start(move |exchange| {
            assert!(is_sse(exchange));
            exchange.sse(sse_control("a0", &[Flag::UpToDate]));
            if connections.fetch_add(1, Ordering::Relaxed) < 4 {
                exchange.hang();
            } else {
                exchange.sse(sse_data("[1]") + &sse_control("a1", &[Flag::UpToDate]));
                exchange.hang();
            }
        })
        .unwrap()
    };
    let failures = Arc::new(AtomicUsize::new(0));
    let count = failures.clone();
    let reader = tail::<S>(&script, "application/json", LiveMode::Sse)
        .idle_timeout(Duration::from_millis(500))
        .retry_config(RetryConfig::none())
        .on_error(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            ErrorAction::Stop
        });
    let mut chunks = reader.chunks().await.unwrap();
    // Being up to date is reported once, although the connection was replaced several times.
    let first = chunks.try_next().await.unwrap().unwrap();
    assert!(first.up_to_date && first.data == "[]");
    let second = chunks.try_next().await.unwrap().unwrap();
    assert_eq!(second.data, "[1]");
    assert_eq!((failures.load(Ordering::Relaxed), connections.load(Ordering::Relaxed)), (0, 5));
}

pub async fn on_error_decides_whether_to_retry<S: Stack>() {
    let script = Script::start(|exchange| match exchange.header("authorization") {
        Some("Bearer 2") => {
            let next = format!("a{}", exchange.nth());
            exchange.respond(200, stream_headers(&next, &[JSON, Flag::UpToDate]), "[1]");
        }
        _ => exchange.respond(401, (), "expired"),
    })
    .unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let reader =
        || tail::<S>(&script, "application/json", LiveMode::LongPoll).header("authorization", "Bearer 0");
    let counted = calls.clone();
    let renewing = reader().on_error(move |error| {
        assert!(matches!(error, StreamError::Unauthorized));
        let token = counted.fetch_add(1, Ordering::Relaxed) + 1;
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        ErrorAction::Retry {
            headers: Some(HeaderMap::from_iter([("authorization".parse().unwrap(), value)])),
        }
    });
    let mut chunks = renewing.chunks().await.unwrap();
    // The headers that the handler returned stay in use until it returns others.
    for _ in 0..3 {
        assert_eq!(content::<S>(&mut chunks).await.unwrap().data, "[1]");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    drop(chunks);

    // A handler that always retries is bounded by the retry policy.
    let script = Script::start(|exchange| exchange.respond(401, (), "expired")).unwrap();
    let reader = tail::<S>(&script, "application/json", LiveMode::LongPoll);
    let retrying = reader.on_error(|_| ErrorAction::Retry { headers: None });
    let error = retrying.chunks().await.unwrap_err();
    assert!(
        matches!(error.kind(), StreamError::Unauthorized) && error.to_string().contains("6 attempts"),
        "{error}"
    );
    assert_eq!(script.requests().len(), 6);
    // A handler can also stop a read that would be retried.
    let script = Script::start(|exchange| exchange.respond(503, (), "")).unwrap();
    let stopping = tail::<S>(&script, "text/plain", LiveMode::Auto).on_error(|_| ErrorAction::Stop);
    let error = stopping.chunks().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::ServerError { status: 503, .. }), "{error}");
    assert_eq!(script.requests().len(), 1);
}
