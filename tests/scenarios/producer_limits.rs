//! What a producer sends: sizes, headers and times. And how much it keeps in memory.

use crate::support::{Stack, numbered, stored, unique};
use durable_streams::contract::Timer;
use durable_streams::{CreateOptions, HeaderMap, ProducerError, RetryConfig, StreamError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use test_servers::{Action, Proxy, RustServer};

/// Guarantee 35.
pub async fn body_exceeds_batch_limit_only_for_single_large_record<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    for content_type in ["text/plain", "application/json"] {
        let stream = S::client(proxy.url()).stream(unique("limits"));
        stream.create(CreateOptions::new().content_type(content_type)).await.unwrap();
        proxy.forget_requests();
        let producer = stream.producer("p").max_batch_bytes(1000).build();
        let mut expected = 0;
        for number in 0..3000 {
            let padding = if number == 1500 { 5000 } else { number % 300 };
            let record = format!("\"{}\"", "x".repeat(padding));
            expected += record.len() - 2;
            producer.append_wait(record).await.unwrap();
        }
        producer.close().await.unwrap();
        let requests = proxy.requests();
        let bodies: std::collections::BTreeMap<u64, usize> = requests
            .iter()
            .filter_map(|request| Some((request.header("producer-seq")?.parse().ok()?, request.body.len())))
            .collect();
        assert_eq!(bodies.values().filter(|length| **length > 1000).count(), 1, "{bodies:?}");
        // Batches are filled as long as there are records.
        assert!(bodies.len() < 1000, "{}", bodies.len());
        let text =
            stored(&format!("{}{}", server.url(), stream.url().unwrap().strip_prefix(proxy.url()).unwrap()));
        assert_eq!(text.matches('x').count(), expected);
    }
}

/// Guarantee 36.
pub async fn batch_refused_with_413_is_split<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    proxy.rule(|request, _| match request.body.len() {
        1001.. => Action::refuse(413, (), "too large"),
        _ => Action::Pass,
    });
    for content_type in ["text/plain", "application/json"] {
        let path = unique("large");
        let stream = S::client(proxy.url()).stream(&path);
        stream.create(CreateOptions::new().content_type(content_type)).await.unwrap();
        let producer = stream.producer("p").max_batch_bytes(20_000).build();
        let receipts: Vec<_> = (0..5000)
            .map(|number| {
                let padding = if number == 2222 { 2000 } else { 0 };
                producer.append_json(&format!("{number}{}", " ".repeat(padding))).unwrap()
            })
            .collect();
        let error = producer.flush().await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::PayloadTooLarge { .. })), "{error}");
        for (number, receipt) in receipts.into_iter().enumerate() {
            assert_eq!(receipt.await.is_err(), number == 2222, "{number}");
        }
        producer.close().await.unwrap();
        let text = stored(&format!("{}/{path}", server.url()));
        let numbers: Vec<u32> = text.split('"').filter_map(|part| part.trim().parse().ok()).collect();
        assert_eq!(numbers, (0..5000).filter(|number| *number != 2222).collect::<Vec<_>>());
    }
}

/// Guarantee 37.
pub async fn invalid_json_fails_only_its_own_append<S: Stack>() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<Z: serde::Serializer>(&self, _: Z) -> Result<Z::Ok, Z::Error> {
            Err(serde::ser::Error::custom("not serialisable"))
        }
    }
    let server = RustServer::start().unwrap();
    let stream = S::client(server.url()).stream(unique("broken"));
    stream.create(CreateOptions::new().content_type("application/json")).await.unwrap();
    let producer = stream.producer("p").build();
    for number in 0..100 {
        producer.append_json(&number).unwrap();
        let error = producer.append_json(&Broken).unwrap_err();
        assert!(error.to_string().contains("not serialisable"), "{error}");
        let error = producer.append("{\"half").unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::Json(_))), "{error}");
        assert!(error.to_string().starts_with("append failed: "), "{error}");
        producer.append(format!(" [{number}] ")).unwrap();
    }
    producer.close().await.unwrap();
    let expected: Vec<String> = (0..100).map(|number| format!("{number},[{number}]")).collect();
    assert_eq!(stored(stream.url().unwrap()), format!("[{}]", expected.join(",")));
}

/// Guarantee 38. The fastest of 20 attempts counts, because the machine may be busy.
pub async fn zero_linger_sends_within_ten_milliseconds<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = S::client(proxy.url()).stream(unique("linger"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").linger(Duration::ZERO).build();
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        proxy.forget_requests();
        let start = Instant::now();
        producer.append("x").unwrap().await.unwrap();
        fastest = fastest.min(proxy.requests()[0].at - start);
    }
    assert!(fastest < Duration::from_millis(10), "{fastest:?}");
}

/// Guarantee 34.
pub async fn queue_stays_within_limit_on_slow_server<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let path = unique("hung");
    let stream = S::client(proxy.url()).stream(&path);
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").max_buffered_bytes(100_000).max_batch_bytes(10_000).build();
    proxy.rule(|_, _| Action::Delay(Duration::from_secs(1)));
    let mut accepted = 0;
    loop {
        match producer.append(format!("{accepted}\n")) {
            Ok(_) => accepted += 1,
            Err(ProducerError::QueueFull { record }) => {
                assert_eq!(record, format!("{accepted}\n"));
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(producer.stats().queued_bytes <= 100_000);
    proxy.pass();
    for number in accepted..accepted + 10_000 {
        producer.append_wait(format!("{number}\n")).await.unwrap();
        assert!(producer.stats().queued_bytes <= 100_000);
    }
    producer.close().await.unwrap();
    assert!(stored(&format!("{}/{path}", server.url())) == numbered(0..accepted + 10_000));
}

/// Guarantee 40: records in the queue are delivered after the last handle is dropped.
pub async fn dropped_producer_delivers_queued_records<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = S::client(server.url()).stream(unique("dropped"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").build();
    let receipts: Vec<_> = (0..5000).map(|number| producer.append(format!("{number}\n")).unwrap()).collect();
    drop(producer);
    for receipt in receipts {
        receipt.await.unwrap();
    }
    assert!(stored(stream.url().unwrap()) == numbered(0..5000));
}

/// Guarantee 41.
pub async fn client_headers_are_on_every_producer_request<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let client = S::builder()
        .base_url(proxy.url())
        .default_header("x-static", "one")
        .header_provider(move || {
            let call = counter.fetch_add(1, Ordering::Relaxed);
            let mut headers = HeaderMap::new();
            headers.insert("x-dynamic", call.into());
            headers.insert("producer-seq", "99".parse().unwrap());
            headers
        })
        .build()
        .unwrap();
    let stream = client.stream(unique("headers"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let mut own = HeaderMap::new();
    own.insert("x-own", "three".parse().unwrap());
    proxy.forget_requests();
    proxy.rule(|_, nth| if nth == 2 { Action::DropBefore } else { Action::Pass });
    let producer = stream.with_headers(own).producer("p").auto_claim(true).linger(Duration::ZERO).build();
    for _ in 0..5 {
        producer.append("x").unwrap().await.unwrap();
    }
    producer.close_stream().await.unwrap();
    let requests = proxy.requests();
    assert!(requests.len() > 1 + 5 + 1, "a HEAD, five appends, one retry, the close");
    let mut dynamic: Vec<u32> = Vec::new();
    for request in &requests {
        assert_eq!(request.header("x-static"), Some("one"));
        assert_eq!(request.header("x-own"), Some("three"));
        // The protocol's own headers cannot be overridden.
        assert_ne!(request.header("producer-seq"), (request.method == "POST").then_some("99"));
        dynamic.push(request.header("x-dynamic").unwrap().parse().unwrap());
    }
    assert!(
        dynamic.windows(2).all(|pair| pair[0] < pair[1]),
        "the provider is called for each request: {dynamic:?}"
    );
}

/// Guarantee 41: without the headers of its provider no request is sent.
pub async fn failing_header_provider_fails_append_unsent<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let client = S::builder()
        .base_url(proxy.url())
        .async_header_provider(|| async { Err::<HeaderMap, _>(std::io::Error::other("no token")) })
        .build()
        .unwrap();
    let stream = client.stream(unique("token")).with_content_type("text/plain");
    let retry = RetryConfig { max_retries: Some(1), ..RetryConfig::default() };
    let producer = stream.producer("p").retry_config(retry).build();
    let error = producer.append("x").unwrap().await.unwrap_err();
    assert!(error.to_string().contains("no token"), "{error}");
    assert!(producer.flush().await.unwrap_err().to_string().contains("no token"));
    let unsent = producer.take_unacked();
    assert!(unsent.len() == 1 && !unsent[0].may_be_stored);
    assert!(proxy.requests().is_empty());
}

/// There are no heartbeats or polls.
pub async fn idle_producer_sends_nothing<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let client = S::client(proxy.url());
    let stream = client.stream(unique("idle"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").build();
    producer.append("x").unwrap().await.unwrap();
    proxy.forget_requests();
    client.runtime().sleep(Duration::from_secs(1)).await;
    producer.close().await.unwrap();
    assert!(proxy.requests().is_empty());
}

/// Guarantee 40.
pub async fn append_after_close_is_error<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = S::client(server.url()).stream(unique("closed"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").build();
    producer.append("x").unwrap();
    producer.close().await.unwrap();
    assert_eq!(stored(stream.url().unwrap()), "x");
    assert!(matches!(producer.append("x").unwrap_err(), ProducerError::Closed));
    assert!(matches!(producer.append_wait("x").await.unwrap_err(), ProducerError::Closed));
    assert!(matches!(producer.close_stream().await.unwrap_err(), ProducerError::Closed));
}
