//! Producers without faults. The checks look at what the server has stored.

use crate::support::{Stack, new_stream, on_each_server, stored, unique};
use durable_streams::{CreateOptions, ErrorAction, ProducerError, RetryConfig, StreamError};
use std::time::Duration;
use test_servers::{Action, Proxy, RustServer};

/// The usage example of the producer, run twice as a program that is restarted would run it.
pub async fn usage_example_survives_restart_of_producer<S: Stack>() {
    on_each_server(|url| async move {
        let client = S::client(&url);
        let stream = client.stream(unique("orders"));

        // The second run starts at epoch 0 again: auto-claim recovers.
        for _ in 0..2 {
            // Create the stream
            stream.create(Default::default()).await.unwrap();

            // Create idempotent producer
            let producer = stream
                .producer("order-service-1")
                .epoch(0)
                .auto_claim(true) // Auto-recover on restart
                .linger(Duration::from_millis(5))
                .build();

            // Fire-and-forget writes
            for i in 0..1000 {
                producer
                    .append_json(&serde_json::json!({
                        "order_id": i,
                        "status": "created"
                    }))
                    .unwrap();
            }

            // Ensure all data is written
            producer.flush().await.unwrap();
            producer.close().await.unwrap();
        }

        let expected: String =
            (0..2000).map(|i| format!("{{\"order_id\":{},\"status\":\"created\"}}\n", i % 1000)).collect();
        assert_eq!(stored(stream.url().unwrap()), expected);
    })
    .await;
}

pub async fn receipt_reports_offset_epoch_and_seq<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let producer = stream.producer("p").linger(Duration::ZERO).build();
        let first = producer.append("a").unwrap().await.unwrap();
        let second = producer.append_slice(b"b").unwrap().await.unwrap();
        assert!(first.offset < second.offset && !first.duplicate);
        assert_eq!((first.epoch, first.seq, second.seq), (0, 0, 1));
        assert_eq!(second.offset, Some(stream.head().await.unwrap().next_offset));
        let stats = producer.stats();
        assert_eq!((stats.acked_records, stats.queued_records, stats.requests), (2, 0, 2));
        assert_eq!(stored(stream.url().unwrap()), "ab");
    })
    .await;
}

/// Guarantee 37.
pub async fn each_json_record_is_one_message<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/json").await;
        // The first handle knows the content type, the second asks the server for it.
        for stream in [stream.clone(), S::client(&url).stream(stream.url().unwrap())] {
            let producer = stream.producer("p").auto_claim(true).build();
            let good = producer.append(" {\"raw\": [1]}\n").unwrap();
            producer.append_json(&[1, 2]).unwrap();
            let bad = match producer.append("{\"cut") {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            };
            assert!(matches!(bad.unwrap_err().stream_error(), Some(StreamError::Json(_))));
            producer.append("[3,4]").unwrap();
            producer.append_json_wait("text").await.unwrap();
            assert!(good.await.is_ok());
            // Where the content type was not known at append, the invalid record fails later, and one flush reports
            // it.
            let flushed = producer.flush().await;
            assert!(
                flushed.is_ok() || matches!(flushed.unwrap_err().stream_error(), Some(StreamError::Json(_)))
            );
            producer.close().await.unwrap();
        }
        let once = "{\"raw\": [1]},[1,2],[3,4],\"text\"";
        let stored: serde_json::Value = serde_json::from_str(&stored(stream.url().unwrap())).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&format!("[{once},{once}]")).unwrap();
        assert_eq!(stored, expected);
    })
    .await;
}

pub async fn close_stream_closes_stream_after_last_record<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let producer = stream.producer("p").build();
        producer.append("a").unwrap();
        let ack = producer.close_stream_with("z").await.unwrap();
        assert_eq!(producer.close_stream().await.unwrap(), ack);
        assert!(matches!(producer.append("b").unwrap_err(), ProducerError::Closed));
        producer.close().await.unwrap();
        let head = stream.head().await.unwrap();
        assert!(head.closed && Some(head.next_offset) == ack.offset);
        assert_eq!(stored(stream.url().unwrap()), "az");

        // Other producers find the stream closed.
        let other = stream.producer("q").build();
        let error = other.close_stream().await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::StreamClosed { .. })), "{error}");
        let other = stream.producer("r").build();
        let error = other.close_stream_with("b").await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::StreamClosed { .. })), "{error}");

        // A producer that never appended, on a handle that does not know the content type.
        let bare = S::client(&url).stream(unique("bare"));
        bare.create(CreateOptions::new()).await.unwrap();
        S::client(&url).stream(bare.url().unwrap()).producer("p").build().close_stream().await.unwrap();
        assert!(bare.head().await.unwrap().closed);
    })
    .await;
}

/// Ten threads append through clones of one producer. Guarantee 44.
pub async fn concurrent_tasks_keep_per_task_order<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        // The queue is so small that it is full nearly all the time: every task waits for room.
        let producer = stream.producer("p").max_buffered_bytes(4000).max_batch_bytes(500).build();
        let threads: Vec<_> = (0..10)
            .map(|task| {
                let producer = producer.clone();
                std::thread::spawn(move || {
                    futures_lite::future::block_on(async {
                        for number in 0..200 {
                            producer.append_wait(format!("{task}:{number}\n")).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        producer.close().await.unwrap();
        let mut next = [0; 10];
        for line in stored(stream.url().unwrap()).lines() {
            let (task, number) = line.split_once(':').unwrap();
            let next = &mut next[task.parse::<usize>().unwrap()];
            assert_eq!(number.parse::<usize>().unwrap(), *next, "task {task}");
            *next += 1;
        }
        assert_eq!(next, [200; 10]);
    })
    .await;
}

/// Guarantee 41: an invalid option is an error that names it, and nothing is sent.
pub async fn invalid_option_fails_every_operation_and_sends_nothing<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream::<S>(proxy.url(), "text/plain").await;
    proxy.forget_requests();
    type Builder<S> = durable_streams::ProducerBuilder<<S as Stack>::Transport, <S as Stack>::Runtime>;
    type Edit<S> = fn(Builder<S>) -> Builder<S>;
    let edits: [(&str, Edit<S>); 13] = [
        ("epoch", |b| b.epoch(1 << 53)),
        ("max_batch_bytes", |b| b.max_batch_bytes(0)),
        ("max_batch_bytes", |b| b.max_batch_bytes(usize::MAX)),
        ("max_batch_items", |b| b.max_batch_items(0)),
        ("max_in_flight", |b| b.max_in_flight(0)),
        ("max_buffered_bytes", |b| b.max_buffered_bytes(0)),
        ("max_buffered_records", |b| b.max_buffered_records(0)),
        ("drain_timeout", |b| b.drain_timeout(Duration::ZERO)),
        ("content-type", |b| b.content_type("nonsense")),
        ("initial_backoff", |b| {
            b.retry_config(RetryConfig { initial_backoff: Duration::ZERO, ..RetryConfig::default() })
        }),
        ("max_backoff", |b| {
            b.retry_config(RetryConfig { max_backoff: Duration::ZERO, ..RetryConfig::default() })
        }),
        ("multiplier", |b| b.retry_config(RetryConfig { multiplier: -1.0, ..RetryConfig::default() })),
        ("max_elapsed", |b| {
            b.retry_config(RetryConfig { max_elapsed: Some(Duration::ZERO), ..RetryConfig::default() })
        }),
    ];
    let check = |error: &ProducerError, option: &str| {
        assert!(matches!(error.stream_error(), Some(StreamError::Config(_))), "{error}");
        assert!(error.to_string().contains(option), "{error} does not name {option}");
    };
    for (option, edit) in edits {
        let builder = || edit(stream.producer("p").on_error(|_| ErrorAction::Stop));
        check(&builder().try_build().unwrap_err().into(), option);
        let producer = builder().build();
        check(&producer.append("x").unwrap_err(), option);
        check(&producer.append_wait("x").await.unwrap_err(), option);
        check(&producer.append_json(&1).unwrap_err(), option);
        check(&producer.append_json_wait(&1).await.unwrap_err(), option);
        check(&producer.flush().await.unwrap_err(), option);
        check(&producer.flush_timeout(Duration::from_secs(1)).await.unwrap_err(), option);
        check(&producer.close_stream().await.unwrap_err(), option);
        check(&producer.close_stream_with("x").await.unwrap_err(), option);
        check(&producer.close().await.unwrap_err(), option);
        assert!(producer.take_unacked().is_empty() && producer.stats().requests == 0);
        producer.detach();
    }
    for id in ["", " ", "line\nfeed"] {
        check(&stream.producer(id).build().append("x").unwrap_err(), "producer_id");
    }
    check(&stream.client().stream("ftp://x/y").producer("p").build().append("x").unwrap_err(), "ftp");
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests());

    // The first request is a HEAD for the content type. The error names the operation of the caller, not the HEAD.
    let missing = S::client(server.url()).stream(unique("missing")).producer("p").build();
    let error = missing.append("x").unwrap().await.unwrap_err();
    assert!(error.to_string().starts_with("append failed: stream not found"), "{error}");

    let producer = stream.producer("p").max_buffered_bytes(100).build();
    check(&producer.append("").unwrap_err(), "data");
    let Err(ProducerError::RecordTooLarge { record, .. }) = producer.append(vec![b'x'; 101]) else {
        panic!("the record was accepted");
    };
    assert_eq!(record.len(), 101);
}

/// The largest value of an option means that there is no bound; none overflows.
pub async fn maximum_option_values_mean_no_limit<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream::<S>(proxy.url(), "text/plain").await;
    let builder = || {
        stream
            .producer("p")
            .epoch((1 << 53) - 1)
            .max_batch_bytes(1 << 30)
            .max_batch_items(usize::MAX)
            .max_in_flight(usize::MAX)
            .max_buffered_bytes(usize::MAX)
            .max_buffered_records(usize::MAX)
            .linger(Duration::MAX)
            .drain_timeout(Duration::MAX)
            .retry_config(RetryConfig {
                max_backoff: Duration::MAX,
                max_retries: Some(u32::MAX),
                max_elapsed: Some(Duration::MAX),
                ..RetryConfig::default()
            })
    };
    let producer = builder().build();
    producer.append("a").unwrap();
    producer.flush_timeout(Duration::MAX).await.unwrap();
    let waiting = producer.append("b").unwrap();
    assert!(waiting.try_result().is_none(), "the record lingers");
    // The drain timeout is unlimited as well.
    drop(producer);
    waiting.await.unwrap();

    // A Retry-After of 2^64-1 seconds is waited for, without an overflow.
    proxy.rule(|_, _| Action::refuse(503, [("retry-after", "18446744073709551615")], ""));
    let producer = stream.producer("q").linger(Duration::ZERO).build();
    producer.append("c").unwrap();
    let error = producer.flush_timeout(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, ProducerError::Timeout { records: 1, .. }), "{error}");
    proxy.pass();
    let stored_url = stream.url().unwrap().replace(proxy.url(), server.url());
    assert_eq!(stored(&stored_url), "ab");
}
