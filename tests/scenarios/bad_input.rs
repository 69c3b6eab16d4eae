//! Invalid input is an error that names it, and nothing is sent. Valid headers and parameters are on every request.

use crate::support::Stack;
use durable_streams::{
    CreateOptions, DateTime, Error, ErrorAction, Fork, HeaderMap, HeaderName, HeaderValue, Offset,
    RetryConfig, StreamError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use test_servers::{Proxy, RustServer, Script};

/// Asserts that the error is a configuration error and shows the offending value.
fn assert_config(error: &Error, value: &str) {
    assert!(matches!(error.kind(), StreamError::Config(_)), "{error}");
    assert!(error.to_string().contains(value), "{value} is not in: {error}");
}

/// Guarantee 41.
pub async fn invalid_input_is_config_error_and_nothing_is_sent<S: Stack>() {
    let server = RustServer::start().expect("the server starts");
    let proxy = Proxy::start(server.url()).expect("the proxy starts");
    let client = S::client(proxy.url());

    for (error, value) in [
        (S::builder().base_url("not a url").build().unwrap_err(), "not a url"),
        (S::builder().base_url("ftp://h").build().unwrap_err(), "ftp://h"),
        (S::builder().default_header("bad name", "x").build().unwrap_err(), "bad name"),
        (S::builder().default_header("x", "line\nfeed").build().unwrap_err(), "line\\nfeed"),
        (S::builder().default_header("Content-Length", "5").build().unwrap_err(), "content-length"),
        (S::builder().header_timeout(Duration::ZERO).build().unwrap_err(), "header_timeout"),
        (S::builder().idle_timeout(Duration::ZERO).build().unwrap_err(), "idle_timeout"),
        (S::builder().connect_timeout(Duration::ZERO).build().unwrap_err(), "connect_timeout"),
        (
            S::builder()
                .retry_config(RetryConfig { multiplier: 0.1, ..RetryConfig::default() })
                .build()
                .unwrap_err(),
            "0.1",
        ),
        (S::builder().build().unwrap().try_stream("orders").unwrap_err(), "orders"),
        (client.try_stream("http://h:notaport/").unwrap_err(), "notaport"),
    ] {
        assert_config(&error, value);
    }

    let invalid = client.stream("http://h:notaport/");
    assert_config(&invalid.create(CreateOptions::new()).await.unwrap_err(), "notaport");
    assert_config(&invalid.append("x").await.unwrap_err(), "notaport");
    assert_config(&invalid.head().await.unwrap_err(), "notaport");
    assert_config(&invalid.close().await.unwrap_err(), "notaport");
    assert_config(&invalid.delete().await.unwrap_err(), "notaport");

    let stream = client.stream("v1/stream/x").with_content_type("text/plain");
    for (error, value) in [
        (stream.create(CreateOptions::new().content_type("nonsense")).await.unwrap_err(), "nonsense"),
        (stream.create(CreateOptions::new().ttl(Duration::from_millis(1500))).await.unwrap_err(), "1.5s"),
        (
            stream
                .create(CreateOptions::new().ttl(Duration::from_secs(1)).expires_at(DateTime::UNIX_EPOCH))
                .await
                .unwrap_err(),
            "expires_at",
        ),
        (stream.create(CreateOptions::new().header("x", "a\0b")).await.unwrap_err(), "a\\0b"),
        (stream.create(CreateOptions::new().fork(Fork::of(""))).await.unwrap_err(), "fork"),
        (
            stream
                .create(CreateOptions::new().fork(Fork::of("/s").at(Offset::parse("a/b"))))
                .await
                .unwrap_err(),
            "a/b",
        ),
        (stream.append("").await.unwrap_err(), "empty"),
        (stream.append("x").seq("a\nb").await.unwrap_err(), "a\\nb"),
        (stream.append("x").producer(" ", 0, 0).await.unwrap_err(), "producer_id"),
        // HTTP trims the spaces around a header value: the server would see another producer's id.
        (stream.append("x").producer("p ", 0, 0).await.unwrap_err(), "producer_id: \"p \""),
        (stream.producer("\tp").try_build().unwrap_err(), "producer_id"),
        (stream.append("x").seq(" 7").await.unwrap_err(), "seq: \" 7\""),
        (stream.append("x").producer("p", 1 << 53, 0).await.unwrap_err(), "9007199254740992"),
        (stream.append("x").header("no good", "y").await.unwrap_err(), "no good"),
    ] {
        assert_config(&error, value);
    }
    // Headers of a provider or an error handler are checked when a request is built.
    let framing = HeaderName::from_static("transfer-encoding");
    let framed = move || HeaderMap::from_iter([(framing.clone(), HeaderValue::from_static("chunked"))]);
    let provided = S::builder().base_url(proxy.url()).header_provider(framed.clone()).build().unwrap();
    assert_config(&provided.stream("s").head().await.unwrap_err(), "transfer-encoding");
    assert_config(&provided.stream("s").reader().read_all().await.unwrap_err(), "transfer-encoding");
    let script = Script::start(|exchange| exchange.respond(401, (), "")).unwrap();
    let reader = S::client(script.url()).stream("s").reader();
    let reader = reader.on_error(move |error| match error {
        StreamError::Unauthorized => ErrorAction::Retry { headers: Some(framed()) },
        _ => ErrorAction::Stop,
    });
    assert_config(&reader.read_all().await.unwrap_err(), "transfer-encoding");
    assert_eq!(script.requests().len(), 1);

    let error = stream.append_json(&std::collections::HashMap::from([((1, 2), 3)])).await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Json(_)), "{error}");
    assert_eq!(proxy.requests().len(), 0, "a request was sent");
}

/// Guarantee 41.
pub async fn configured_headers_and_query_are_on_every_request<S: Stack>() {
    let server = RustServer::start().expect("the server starts");
    let proxy = Proxy::start(server.url()).expect("the proxy starts");
    let count = Arc::new(AtomicU32::new(0));
    let calls = count.clone();
    let client = S::builder()
        .base_url(proxy.url())
        .default_header("x-static", "s")
        .default_header("x-both", "static")
        .async_header_provider(move || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut headers = HeaderMap::new();
                headers.insert("x-call", HeaderValue::from(call));
                headers.insert("x-both", HeaderValue::from_static("dynamic"));
                Ok::<_, std::io::Error>(headers)
            }
        })
        .query_provider(|| vec![("token".into(), "a b&c".into())])
        .build()
        .unwrap();
    let stream = client.stream(crate::support::unique("headers"));
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    stream.append("x").header("x-own", "o").await.unwrap();
    stream.head().await.unwrap();
    stream.close().await.unwrap();
    stream.delete().await.unwrap();
    let requests = proxy.requests();
    assert_eq!(
        requests.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(),
        ["PUT", "POST", "HEAD", "POST", "DELETE"]
    );
    for (n, request) in requests.iter().enumerate() {
        assert_eq!(request.headers.get("x-static"), Some("s"));
        assert_eq!(request.headers.get("x-call"), Some(n.to_string().as_str()));
        assert_eq!(request.headers.get("x-both"), Some("dynamic"));
        assert_eq!(request.headers.count("x-both"), 1);
        assert!(request.target.ends_with("?token=a%20b%26c"), "{}", request.target);
    }
    assert_eq!(requests[1].headers.get("x-own"), Some("o"));
    assert_eq!(count.load(Ordering::Relaxed), 5);
}
