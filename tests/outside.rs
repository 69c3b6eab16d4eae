//! Use of the client outside a runtime: nothing panics, and an error says what is missing. Guarantee 45.
#![cfg(all(feature = "tokio", feature = "async-std", feature = "smol"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use durable_streams::contract::{TransportError, TransportErrorKind};
use durable_streams::{Client, ClientBuilder, CreateOptions, Error, ProducerError, RetryConfig, contract};
use futures_lite::future::block_on;
use std::time::Duration;
use test_servers::{RustServer, direct};

/// Creates, appends and flushes from a thread without a runtime.
fn check_from_plain_thread<T, R>(client: impl Fn(&str) -> Client<T, R>)
where
    T: contract::HttpTransport + Clone,
    R: contract::Runtime + Clone,
{
    let server = RustServer::start().unwrap();
    let stream = client(server.url()).stream("outside");
    let producer = stream.producer("p").content_type("text/plain").build();
    block_on(async {
        stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
        producer.append("a").unwrap();
        producer.flush_timeout(Duration::from_secs(20)).await.unwrap();
    });
    let receipt = producer.append("b").unwrap();
    block_on(receipt).unwrap();
    assert_eq!(producer.stats().acked_records, 2);
    drop(producer);
    assert_eq!(direct("GET", stream.url().unwrap(), (), "").unwrap().text(), "ab");
}

/// Guarantee 45.
#[test]
fn async_std_works_outside_runtime() {
    check_from_plain_thread(|url| {
        durable_streams::async_std::Client::builder().base_url(url).build().unwrap()
    });
}

/// Guarantee 45.
#[test]
fn smol_works_outside_runtime() {
    check_from_plain_thread(|url| durable_streams::smol::Client::builder().base_url(url).build().unwrap());
}

/// Guarantee 45.
#[test]
fn tokio_client_outside_runtime_is_error_that_names_it() {
    let error = durable_streams::tokio::Client::builder().build().unwrap_err().to_string();
    assert!(error.contains("tokio") && error.contains("runtime"), "{error}");
}

/// Guarantee 45.
#[test]
fn tokio_client_works_from_thread_outside_its_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    check_from_plain_thread(|url| {
        runtime.block_on(async { durable_streams::tokio::Client::builder().base_url(url).build().unwrap() })
    });
}

/// Guarantee 45.
#[test]
fn every_operation_reports_tokio_shutdown() {
    let server = RustServer::start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = runtime
        .block_on(async { durable_streams::tokio::Client::builder().base_url(server.url()).build() })
        .unwrap();
    let stream = client.stream("outside");
    // One producer has a running task when the runtime ends; the other is built afterwards.
    let before = stream.producer("p").content_type("text/plain").build();
    runtime.block_on(async {
        stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
        before.append("stored").unwrap().await.unwrap();
    });
    drop(runtime);

    let after = stream.producer("q").content_type("text/plain").build();
    for producer in [before, after] {
        let check = |outcome: Result<(), ProducerError>| {
            let error = outcome.unwrap_err();
            assert!(matches!(error, ProducerError::RuntimeGone), "{error}");
            assert!(error.to_string().contains("runtime"), "{error}");
        };
        let appended = match producer.append("x") {
            Ok(receipt) => block_on(receipt).map(drop),
            Err(error) => Err(error),
        };
        check(appended);
        check(block_on(producer.flush()));
        check(block_on(producer.flush_timeout(Duration::from_secs(5))));
        check(block_on(producer.append_wait("x")).map(drop));
        check(block_on(producer.close()));
        assert!(producer.take_unacked().len() <= 1);
        producer.detach();
        drop(producer);
    }
    assert!(block_on(stream.head()).is_err());
    assert_eq!(direct("GET", stream.url().unwrap(), (), "").unwrap().text(), "stored");
}

/// A transport whose every request fails with this kind of error.
struct FailingTransport(TransportErrorKind);

#[contract::async_trait]
impl contract::HttpTransport for FailingTransport {
    async fn send(
        &self,
        _: http::Request<bytes::Bytes>,
        _: contract::SendOptions,
    ) -> Result<http::Response<contract::Body>, TransportError> {
        Err(TransportError::new(self.0))
    }
}

/// Guarantee 42.
#[test]
fn plain_append_is_outcome_unknown_unless_never_sent() {
    for (kind, may_be_sent) in [
        (TransportErrorKind::Runtime, true),
        (TransportErrorKind::Malformed, true),
        (TransportErrorKind::Unsupported, false),
    ] {
        let builder = ClientBuilder::new(FailingTransport(kind), durable_streams::smol::SmolRuntime::new());
        let client = builder.base_url("http://h").retry_config(RetryConfig::none()).build().unwrap();
        let stream = client.stream("s").with_content_type("text/plain");
        let is_unknown =
            |error: &Error| matches!(error.kind(), durable_streams::StreamError::OutcomeUnknown { .. });
        let error = block_on(async { stream.append("x").await }).unwrap_err();
        assert_eq!(is_unknown(&error), may_be_sent, "{kind:?}: {error}");
        // With a producer identity the append can be resent safely, so its outcome is never unknown.
        let error = block_on(async { stream.append("x").producer("p", 0, 0).await }).unwrap_err();
        assert!(!is_unknown(&error), "{kind:?}: {error}");
    }
}
