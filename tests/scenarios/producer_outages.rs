//! Outages while an application appends. The checks look at what the server has stored in the end.

use crate::support::{Stack, StackStream, new_stream, numbered, stored};
use durable_streams::{ProducerError, RetryConfig};
use std::time::{Duration, Instant};
use test_servers::{Action, Proxy, RustServer, wait_until};

const OUTAGE: Duration = Duration::from_secs(3);

/// A new stream behind a proxy, and its URL on the server itself.
async fn behind_a_proxy<S: Stack>() -> (RustServer, Proxy, StackStream<S>, String) {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream::<S>(proxy.url(), "text/plain").await;
    let direct_url = stream.url().unwrap().replace(proxy.url(), server.url());
    (server, proxy, stream, direct_url)
}

/// Guarantee 28: all records are stored after the outage.
pub async fn records_appended_during_outage_are_stored_after_it<S: Stack>() {
    let (_server, proxy, stream, direct_url) = behind_a_proxy::<S>().await;
    let retry = RetryConfig { max_backoff: Duration::from_secs(1), ..RetryConfig::default() };
    let producer = stream.producer("p").max_batch_items(10).retry_config(retry).build();
    let (mut appended, mut stored_at_end) = (0, 0);
    let began = Instant::now();
    let mut outage = None;
    // Appends continue before, during and after the outage.
    while outage.is_none_or(|began: Instant| began.elapsed() < OUTAGE + Duration::from_millis(300)) {
        producer.append(format!("{appended}\n")).unwrap();
        appended += 1;
        S::sleep(Duration::from_millis(1)).await;
        match outage {
            None if began.elapsed() > Duration::from_millis(300) => {
                outage = Some(Instant::now());
                proxy.refuse();
                proxy.kill_connections();
            }
            Some(began) if stored_at_end == 0 && began.elapsed() > OUTAGE => {
                stored_at_end = stored(&direct_url).lines().count();
                assert!(
                    stored_at_end < appended as usize / 2,
                    "no outage: {stored_at_end} of {appended} stored"
                );
                proxy.resume().unwrap();
            }
            _ => {}
        }
    }
    producer.flush().await.unwrap();
    assert!(stored(&direct_url) == numbered(0..appended));
    assert_eq!(producer.stats().acked_records, u64::from(appended));
    producer.close().await.unwrap();
}

/// Guarantee 28: an outage that exceeds the retry budget.
pub async fn outage_beyond_retry_budget_returns_unacked_records<S: Stack>() {
    let (_server, proxy, stream, direct_url) = behind_a_proxy::<S>().await;
    let retry = RetryConfig { max_elapsed: Some(Duration::from_secs(1)), ..RetryConfig::default() };
    let producer = stream.producer("p").max_batch_items(10).retry_config(retry).build();
    for number in 0..50 {
        producer.append(format!("{number}\n")).unwrap();
    }
    producer.flush().await.unwrap();
    let end_of_stored = stored(&direct_url).len();

    proxy.refuse();
    proxy.kill_connections();
    for number in 50..150 {
        producer.append(format!("{number}\n")).unwrap();
    }
    // A flush with a timeout reports how much is not stored; one without waits for the halt and reports its cause.
    let error = producer.flush_timeout(Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, ProducerError::Timeout { records: 100, .. }), "{error}");
    let error = producer.flush().await.unwrap_err();
    assert!(error.stream_error().is_some() && error.to_string().contains(stream.url().unwrap()), "{error}");
    let unsent = producer.take_unacked();
    let returned: Vec<u8> = unsent.iter().flat_map(|record| record.data.to_vec()).collect();
    assert_eq!(String::from_utf8(returned).unwrap(), numbered(50..150));
    assert!(
        unsent[0].may_be_stored || !unsent.iter().any(|record| record.may_be_stored),
        "records that may be stored come first"
    );
    let from = producer.unacked_from().expect("five batches were acknowledged");

    proxy.resume().unwrap();
    assert_eq!(stored(&direct_url).len(), end_of_stored, "a record was sent after the halt");
    assert_eq!(stream.reader().offset(from).read_text().await.unwrap(), "");
}

/// Guarantee 43: the server closes an idle connection just before the next append.
///
/// Half of the appends start before the client has noticed.
pub async fn append_after_idle_connection_close_is_stored_once<S: Stack>() {
    let (_server, proxy, stream, direct_url) = behind_a_proxy::<S>().await;
    let producer = stream.producer("p").linger(Duration::ZERO).build();
    for number in 0..20 {
        producer.append(format!("{number}\n")).unwrap().await.unwrap();
        proxy.close_idle_connections();
        if number % 2 == 0 {
            assert!(wait_until(Duration::from_secs(5), || proxy.open_connections() == 0));
        }
    }
    producer.close().await.unwrap();
    assert_eq!(stored(&direct_url), numbered(0..20));
    // Each batch has been acknowledged once, however often it was sent.
    assert_eq!(producer.stats().acked_batches, 20);
}

/// Guarantee 40: when the queue of a dropped producer is drained, its task ends and releases its state.
pub async fn dropped_producer_task_ends_within_a_second_of_draining<S: Stack>() {
    let (_server, proxy, stream, direct_url) = behind_a_proxy::<S>().await;
    proxy.rule(|_, nth| if nth < 3 { Action::Delay(Duration::from_millis(300)) } else { Action::Pass });
    for detach in [false, true] {
        // The error handler owns the token. The task and the handles own the handler, so the token's count shows when
        // both are gone.
        let token = std::sync::Arc::new(());
        let held = std::sync::Arc::downgrade(&token);
        let on_error = move |_: &durable_streams::StreamError| {
            let _held = &token;
            durable_streams::ErrorAction::Stop
        };
        let producer = stream
            .producer(format!("p{detach}"))
            .max_batch_items(100)
            .retry_config(RetryConfig { max_backoff: Duration::from_millis(200), ..RetryConfig::default() })
            .on_error(on_error)
            .build();
        let receipts: Vec<_> =
            (0..1000).map(|number| producer.append(format!("{number}\n")).unwrap()).collect();
        if detach {
            producer.detach();
            assert!(matches!(producer.append("x").unwrap_err(), ProducerError::Closed));
        }
        drop(producer);
        assert!(held.strong_count() > 0, "the task ended before it delivered the queue");
        for receipt in receipts {
            receipt.await.unwrap();
        }
        assert!(wait_until(Duration::from_secs(1), || held.strong_count() == 0), "the task is still alive");
    }
    assert_eq!(stored(&direct_url), numbered(0..1000).repeat(2));
}
