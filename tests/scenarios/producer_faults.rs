//! Faults between a producer and a real server, one at a time. The checks look at what the server has stored.

use crate::support::{Stack, StackStream, numbered, stored, unique};
use durable_streams::{CreateOptions, IdempotentProducer, ProducerError, RetryConfig, StreamError};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use test_servers::{
    Action, Durability, Proxy, Recorded, RustServer, Script, direct, skip_without_node, wait_until,
};

type Producer<S> = IdempotentProducer<<S as Stack>::Transport, <S as Stack>::Runtime>;

/// Asserts that the server has stored `expected`. A failure shows the first difference only.
fn assert_stored(url: &str, expected: &str, case: &str) {
    let stored = stored(url);
    let agree = stored.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.chars().skip(agree).take(60).collect::<String>();
    assert!(
        stored == expected,
        "{case}: {} bytes stored, {} expected; after {agree} bytes comes {:?} instead of {:?}",
        stored.len(),
        expected.len(),
        rest(&stored),
        rest(expected),
    );
}

/// A new stream behind a proxy, and its URL on the server itself.
async fn behind<S: Stack>(proxy: &Proxy, server: &str) -> (StackStream<S>, String) {
    let path = unique("faults");
    let stream = S::client(proxy.url()).stream(&path);
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    (stream, format!("{server}/{path}"))
}

/// Retries without bound, with delays short enough for a test.
fn quick() -> RetryConfig {
    RetryConfig { max_backoff: Duration::from_millis(100), ..RetryConfig::default() }
}

fn seq(request: &Recorded) -> Option<u64> {
    request.header("producer-seq")?.parse().ok()
}

/// Appends `count` lines, ten in a batch.
async fn append_lines<S: Stack>(producer: &Producer<S>, count: u32) {
    for number in 0..count {
        producer.append_wait(format!("{number}\n")).await.unwrap();
    }
}

/// A name, and what the proxy does with an attempt of the chosen batch.
type Fault = (&'static str, fn() -> Action);

fn faults() -> [Fault; 10] {
    /// The server stores the batch; the client gets this status instead of the acknowledgement.
    fn applied(status: u16) -> Action {
        Action::edit_response(move |head, body| {
            head.status = status;
            body.clear();
            // The original 204 has no length. With another status the body would end with the connection only.
            head.headers.set("content-length", "0");
        })
    }
    [
        ("reset before", || Action::DropBefore),
        ("reset after", || Action::DropAfter),
        ("500 before", || Action::refuse(500, (), "")),
        ("500 after", || applied(500)),
        ("503 before", || Action::refuse(503, [("retry-after", "0")], "")),
        ("503 after", || applied(503)),
        ("429 before", || Action::refuse(429, [("retry-after", "0")], "")),
        ("429 after", || applied(429)),
        ("408 after", || applied(408)),
        ("late", || Action::Delay(Duration::from_millis(100))),
    ]
}

/// Guarantee 27.
pub async fn each_fault_on_each_batch_stores_records_once_in_order<S: Stack>() {
    let rust = RustServer::start().unwrap();
    let node = skip_without_node();
    for server in [Some(rust.url()), node.as_ref().map(|node| node.url())].into_iter().flatten() {
        let proxy = Proxy::start(server).unwrap();
        for (name, fault) in faults() {
            // The fault hits the first `times` attempts of batch `hit`: the first batch, which is sent alone, the
            // last of the eight, and batches with others in flight.
            for (hit, times) in [(0, 1), (1, 2), (3, 1), (7, 2)] {
                let (stream, direct_url) = behind::<S>(&proxy, server).await;
                let producer = stream.producer("p").max_batch_items(10).retry_config(quick()).build();
                let left = std::sync::atomic::AtomicU32::new(times);
                proxy.rule(move |request, _| {
                    use std::sync::atomic::Ordering::Relaxed;
                    let is_hit = seq(request) == Some(hit);
                    let has_fault =
                        is_hit && left.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok();
                    if has_fault { fault() } else { Action::Pass }
                });
                append_lines::<S>(&producer, 80).await;
                producer.close().await.unwrap();
                proxy.pass();
                assert_stored(&direct_url, &numbered(0..80), &format!("{name} at batch {hit}"));
                assert_eq!(producer.stats().acked_records, 80);
            }
        }
    }
}

/// Guarantee 28, with a real process that is killed. It keeps the acknowledged records and loses its producer state.
pub async fn killed_server_has_all_records_after_restart<S: Stack>() {
    let server = RustServer::builder().durability(Durability::Wal).start().unwrap();
    let stream = S::client(server.url()).stream(unique("killed"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    let producer = stream.producer("p").auto_claim(true).max_batch_items(10).retry_config(quick()).build();
    let mut appended = 0;
    for _ in 0..3 {
        for _ in 0..200 {
            producer.append(format!("{appended}\n")).unwrap();
            appended += 1;
        }
        producer.flush().await.unwrap();
        server.kill().unwrap();
        for _ in 0..200 {
            producer.append(format!("{appended}\n")).unwrap();
            appended += 1;
        }
        let error = producer.flush_timeout(Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, ProducerError::Timeout { records: 200, .. }), "{error}");
        server.restart().unwrap();
        producer.flush().await.unwrap();
    }
    producer.close().await.unwrap();
    assert_stored(stream.url().unwrap(), &numbered(0..appended), "killed");
    assert!(producer.stats().claims <= 3, "{:?}", producer.stats());
}

/// Guarantee 29.
pub async fn exhausted_retry_budget_is_reported_by_every_operation<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let retry = RetryConfig { max_retries: Some(3), ..quick() };
    let producer = stream.producer("p").max_batch_items(10).retry_config(retry).build();
    append_lines::<S>(&producer, 20).await;
    producer.flush().await.unwrap();
    proxy.forget_requests();
    proxy.rule(|_, _| Action::refuse(503, (), "no"));
    let receipts: Vec<_> = (20..100).map(|number| producer.append(format!("{number}\n")).unwrap()).collect();
    let check = |error: ProducerError| {
        let is_server_error =
            matches!(error.stream_error(), Some(StreamError::ServerError { status: 503, .. }));
        assert!(is_server_error, "{error}");
        assert!(error.to_string().contains("4 attempts"), "{error}");
    };
    for receipt in receipts {
        check(receipt.await.unwrap_err());
    }
    check(producer.flush().await.unwrap_err());
    check(producer.append("x").unwrap_err());
    check(producer.close_stream().await.unwrap_err());
    check(producer.close().await.unwrap_err());
    let unsent = producer.take_unacked();
    assert_eq!(unsent.len(), 80);
    assert_eq!(unsent[0].data, "20\n");
    let highest = proxy.requests().iter().filter_map(seq).max();
    assert!(highest <= Some(2 + 4), "a batch was sent after the halt: {highest:?}");

    proxy.pass();
    assert_stored(&direct_url, &numbered(0..20), "before");
    let next = stream.producer("p").epoch(1).build();
    for record in unsent {
        next.append(record.data).unwrap();
    }
    next.close().await.unwrap();
    assert_stored(&direct_url, &numbered(0..100), "after");
}

/// Guarantee 30.
pub async fn late_batch_causes_at_most_two_requests_per_batch<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    // Batch 0 is sent alone, so the others wait for it. Batch 12 is late while its successors are in flight: the
    // server refuses those for the gap, and each is resent once.
    for late in [0, 12] {
        let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
        let producer = stream.producer("p").max_batch_items(10).max_in_flight(5).build();
        proxy.forget_requests();
        proxy.rule(move |request, _| match seq(request) {
            Some(number) if number == late => Action::Delay(Duration::from_secs(5)),
            _ => Action::Pass,
        });
        append_lines::<S>(&producer, 400).await;
        producer.close().await.unwrap();
        assert_stored(&direct_url, &numbered(0..400), "late");
        let mut posts: HashMap<u64, u32> = HashMap::new();
        for number in proxy.requests().iter().filter_map(seq) {
            *posts.entry(number).or_default() += 1;
        }
        assert!(posts.len() == 40 && posts.values().all(|count| *count <= 2), "{posts:?}");
        proxy.pass();
    }
}

/// A producer whose window is fully open: it sends the next five batches at once.
///
/// The window starts small and grows with acknowledgements, hence the 200 appends before.
async fn opened<S: Stack>(stream: &StackStream<S>, auto_claim: bool) -> Producer<S> {
    let producer = stream
        .producer("p")
        .auto_claim(auto_claim)
        .max_batch_items(1)
        .retry_config(quick())
        .linger(Duration::ZERO)
        .build();
    for _ in 0..20 {
        for _ in 0..10 {
            producer.append("-").unwrap();
        }
        producer.flush().await.unwrap();
    }
    producer
}

/// Appends `|` under the producer's id with a higher epoch, as another process would: the producer is fenced.
fn take_over(url: &str, epoch: u64) {
    let epoch = epoch.to_string();
    let headers = [
        ("content-type", "text/plain"),
        ("producer-id", "p"),
        ("producer-epoch", epoch.as_str()),
        ("producer-seq", "0"),
    ];
    assert_eq!(direct("POST", url, headers, "|").unwrap().status, 200);
}

/// Guarantee 31.
pub async fn fenced_producer_with_auto_claim_renumbers_batches<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let producer = opened::<S>(&stream, true).await;
    let before = stored(&direct_url);

    // The proxy holds all batches in flight until the other producer has taken over.
    proxy.forget_requests();
    proxy.rule(|_, _| Action::Delay(Duration::from_millis(500)));
    let receipts: Vec<_> = (0..50).map(|number| producer.append(format!("{number},")).unwrap()).collect();
    assert!(wait_until(Duration::from_secs(20), || proxy.requests().len() >= 2));
    take_over(&direct_url, 7);
    proxy.pass();
    producer.flush().await.unwrap();
    let expected: String = (0..50).map(|number| format!("{number},")).collect();
    let text = stored(&direct_url);
    let (old, new) = text.split_once('|').expect("the record of the other producer");
    assert_eq!(format!("{old}{new}"), format!("{before}{expected}"));
    assert_eq!((producer.epoch(), producer.stats().claims), (8, 1));
    let stored_before_fence = old.len() - before.len();
    let mut claimed = 0;
    for receipt in receipts {
        let ack = receipt.await.unwrap();
        if ack.epoch == 8 {
            assert_eq!((ack.seq, ack.duplicate), (claimed, false));
            claimed += 1;
        } else {
            assert!(ack.epoch == 0 && claimed == 0 && stored_before_fence > 0);
        }
    }
    assert!(claimed >= 40, "{claimed}");

    // In the requests: one new epoch, which begins with seq 0, and its seqs have no gap.
    let sent: Vec<(String, u64, Recorded)> = proxy
        .requests()
        .into_iter()
        .filter_map(|r| Some((r.header("producer-epoch")?.to_owned(), seq(&r)?, r)))
        .collect();
    let first_new = sent.iter().position(|(epoch, ..)| epoch == "8").expect("a new epoch was claimed");
    let (old, new) = sent.split_at(first_new);
    assert!(old.iter().all(|(epoch, ..)| epoch == "0") && new.iter().all(|(epoch, ..)| epoch == "8"));
    let numbers: std::collections::BTreeSet<u64> = new.iter().map(|(_, seq, _)| *seq).collect();
    assert_eq!(numbers, (0..claimed).collect());
    assert_eq!(new[0].1, 0);
}

/// Guarantee 31.
pub async fn fenced_producer_without_auto_claim_reports_stale_epoch<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let producer = opened::<S>(&stream, false).await;
    let before = stored(&direct_url);
    take_over(&direct_url, 7);
    // The producer accepts appends until it learns of the fence.
    let receipts: Vec<_> = (0..50).map_while(|_| producer.append("x").ok()).collect();
    let accepted = receipts.len();
    let check = |error: ProducerError| {
        assert!(matches!(error, ProducerError::StaleEpoch { server_epoch: 7, our_epoch: 0 }), "{error}");
    };
    for receipt in receipts {
        check(receipt.await.unwrap_err());
    }
    check(producer.flush().await.unwrap_err());
    check(producer.append("x").unwrap_err());
    check(producer.close().await.unwrap_err());
    let unsent = producer.take_unacked();
    assert!(accepted > 0 && unsent.len() == accepted && unsent.iter().all(|record| !record.may_be_stored));
    assert_eq!(stored(&direct_url), format!("{before}|"));
}

/// Guarantee 31: a batch with an unanswered attempt under the old epoch cannot be renumbered.
pub async fn fence_after_unanswered_attempt_is_outcome_unknown<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    // The first attempt is lost before or after the server stored it. The producer cannot tell these apart.
    for applied in [false, true] {
        let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
        let producer = opened::<S>(&stream, true).await;
        let before = stored(&direct_url);
        let url = direct_url.clone();
        proxy.rule(move |_, nth| match nth {
            0 if applied => Action::DropAfter,
            0 => Action::DropBefore,
            _ => {
                // The other producer takes over between the first attempt and the second.
                if nth == 1 {
                    take_over(&url, 7);
                }
                Action::Pass
            }
        });
        let error = producer.append("x").unwrap().await.unwrap_err();
        assert!(matches!(error, ProducerError::OutcomeUnknown { .. }), "{error}");
        let unsent = producer.take_unacked();
        assert!(unsent.len() == 1 && unsent[0].may_be_stored);
        proxy.pass();
        let stored_then = if applied { "x|" } else { "|" };
        assert_eq!(stored(&direct_url), format!("{before}{stored_then}"));
        // `unacked_from` is a position from which the caller can look for the record.
        let from = producer.unacked_from().expect("200 records were acknowledged");
        assert_eq!(stream.reader().offset(from).read_text().await.unwrap(), stored_then);
    }
}

/// Guarantee 32.
pub async fn duplicate_of_batch_never_sent_is_unexpected<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let first = stream.producer("p").build();
    first.append("a").unwrap().await.unwrap();
    // A second process with the same id and epoch: the server takes its first batch for a repetition.
    let second = stream.producer("p").build();
    let error = second.append("b").unwrap().await.unwrap_err();
    assert!(matches!(error, ProducerError::UnexpectedDuplicate { .. }), "{error}");
    assert_eq!(stored(&direct_url), "a");
}

/// Guarantee 33.
pub async fn append_to_closed_stream_fails_after_one_request<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    // The linger is long enough for a hundred records to fit into one batch on a slow machine.
    let producer = stream.producer("p").linger(Duration::from_secs(1)).build();
    let receipt = producer.append("a").unwrap();
    producer.flush().await.unwrap();
    receipt.await.unwrap();

    assert_eq!(direct("POST", &direct_url, [("stream-closed", "true")], "").unwrap().status, 204);
    proxy.forget_requests();
    let receipts: Vec<_> = (0..100).map(|_| producer.append("c").unwrap()).collect();
    for receipt in receipts {
        let error = receipt.await.unwrap_err();
        assert!(
            matches!(error.stream_error(), Some(StreamError::StreamClosed { final_offset: Some(_) })),
            "{error}"
        );
    }
    assert_eq!(proxy.requests().len(), 1);
    let error = stream.producer("q").build().close_stream().await.unwrap_err();
    assert!(matches!(error.stream_error(), Some(StreamError::StreamClosed { .. })), "{error}");
}

/// Guarantee 42.
pub async fn append_success_without_protocol_headers_is_error<S: Stack>() {
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(u16, Headers, &str); 9] = [
        (200, &[], "none of the protocol's headers"),
        (200, &[("content-type", "text/html")], "none of the protocol's headers"),
        (204, &[], "none of the protocol's headers"),
        (202, &[("stream-next-offset", "1")], "unexpected status 202"),
        (200, &[("stream-next-offset", "1"), ("producer-epoch", "3")], "epoch 3"),
        (200, &[("stream-next-offset", "-1")], "Stream-Next-Offset"),
        (301, &[("location", "/elsewhere")], "redirect"),
        (302, &[("location", "/elsewhere")], "redirect"),
        (303, &[("location", "/elsewhere")], "redirect"),
    ];
    for (status, headers, expected) in cases {
        let script = Script::start(move |exchange| exchange.respond(status, headers, "")).unwrap();
        let stream = S::client(script.url()).stream("s").with_content_type("text/plain");
        let producer = stream.producer("p").build();
        let error = producer.append("x").unwrap().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{status}: {error}");
        let requests = script.requests();
        // Where a head that was cut cannot be told from a whole one, it takes a few like it to believe it.
        let most = if S::DETECTS_CUT_HEADS { 1 } else { 6 };
        assert!(requests.len() <= most && requests[0].method == "POST", "{requests:?}");
        // The response does not show whether the record was stored.
        assert!(producer.take_unacked()[0].may_be_stored);
    }
}

/// Guarantee 43.
pub async fn append_after_idle_connection_reset_is_stored_once<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let producer = stream.producer("p").linger(Duration::ZERO).retry_config(quick()).build();
    for number in 0..20 {
        producer.append(format!("{number}\n")).unwrap().await.unwrap();
        proxy.kill_connections();
    }
    producer.close().await.unwrap();
    assert_stored(&direct_url, &numbered(0..20), "idle");
}

/// Guarantee 18: a request without a response times out and is resent.
pub async fn unanswered_batch_is_resent_after_header_timeout<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let (stream, direct_url) = behind::<S>(&proxy, server.url()).await;
    let client = S::builder().header_timeout(Duration::from_millis(300)).build().unwrap();
    let stream = client.stream(stream.url().unwrap()).with_content_type("text/plain");
    let producer = stream.producer("p").max_batch_items(10).retry_config(quick()).build();
    proxy.rule(|request, nth| match (seq(request), nth % 3) {
        (Some(_), 0) => Action::Hang,
        (Some(_), 1) => Action::HangAfter,
        _ => Action::Pass,
    });
    let start = Instant::now();
    append_lines::<S>(&producer, 50).await;
    producer.close().await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(300));
    assert_stored(&direct_url, &numbered(0..50), "timeouts");
}
