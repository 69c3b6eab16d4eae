//! Single operations under faults: which are resent, which are not, and what each returns.

use crate::support::{Stack, StackStream, new_stream, unique};
use durable_streams::{CreateOptions, Error, HeaderMap, HeaderValue, RetryConfig, StreamError};
use std::time::{Duration, Instant};
use test_servers::{Action, Flag, Proxy, RustServer, Script, direct, stream_headers, wait_until};

/// A stream of text on the scripted server, with few and short retries.
fn scripted<S: Stack>(script: &Script) -> StackStream<S> {
    S::builder()
        .base_url(script.url())
        .default_header("authorization", "Bearer secret")
        .retry_config(RetryConfig {
            initial_backoff: Duration::from_millis(20),
            max_retries: Some(3),
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
        .stream("s")
        .with_content_type("text/plain")
}

/// A stream on the real server, through a proxy.
async fn proxied<S: Stack>(server: &RustServer, proxy: &Proxy) -> StackStream<S> {
    let path = unique("proxied");
    let stream = S::client(server.url()).stream(&path);
    stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
    S::client(proxy.url()).stream(&path).with_content_type("text/plain")
}

fn stored(server: &RustServer, proxy: &Proxy, stream_url: &str) -> String {
    direct("GET", &stream_url.replace(proxy.url(), server.url()), (), "").unwrap().text()
}

/// Faults after which the server may or may not have stored the record. Guarantee 42.
pub async fn plain_append_with_unknown_outcome_is_not_resent<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    for (case, action) in [
        ("reset before the server received it", Action::DropBefore),
        ("reset after the server stored it", Action::DropAfter),
        ("500 without the protocol's headers", Action::refuse(500, (), "boom")),
        ("503 without the protocol's headers", Action::refuse(503, [("retry-after", "1")], "")),
    ] {
        let stream = proxied::<S>(&server, &proxy).await;
        stream.append("first ").await.unwrap();
        proxy.rule({
            let action = action.clone();
            move |_, nth| if nth == 0 { action.clone() } else { Action::Pass }
        });
        proxy.forget_requests();
        let error = stream.append("second").await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{case}: {error}");
        assert_eq!(proxy.requests().len(), 1, "{case}: the append was resent");
        assert!(!error.is_retryable());
        proxy.pass();
        let copies = stored(&server, &proxy, stream.url().unwrap()).matches("second").count();
        assert!(copies <= 1, "{case}: {copies} copies");
    }
}

/// With a producer identity the server recognises a repetition; with `at_least_once` the caller accepts a second
/// copy.
pub async fn append_with_identity_or_at_least_once_is_resent<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    for action in [Action::DropBefore, Action::DropAfter, Action::refuse(502, (), "")] {
        let stream = proxied::<S>(&server, &proxy).await;
        let once = |action: Action| move |_: &_, nth| if nth == 0 { action.clone() } else { Action::Pass };
        proxy.rule(once(action.clone()));
        let response = stream.append("x").producer("p", 0, 0).await.unwrap();
        assert_eq!(stored(&server, &proxy, stream.url().unwrap()), "x");
        assert_eq!(response.next_offset, stream.head().await.unwrap().next_offset);
        proxy.rule(once(action));
        stream.append("y").at_least_once().await.unwrap();
        proxy.pass();
        assert!(stored(&server, &proxy, stream.url().unwrap()).contains('y'));
    }
}

/// The first two attempts of each operation fail, before or after the server has executed it.
pub async fn idempotent_operations_are_retried_until_success<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    for action in
        [Action::DropBefore, Action::DropAfter, Action::refuse(500, (), ""), Action::refuse(504, (), "")]
    {
        let fail_twice =
            |action: Action| move |_: &_, nth| if nth < 2 { action.clone() } else { Action::Pass };
        let stream = S::client(proxy.url()).stream(unique("outage"));
        proxy.rule(fail_twice(action.clone()));
        stream.create(CreateOptions::new().content_type("text/plain").data("a")).await.unwrap();
        proxy.rule(fail_twice(action.clone()));
        stream.head().await.unwrap();
        proxy.rule(fail_twice(action.clone()));
        stream.close().await.unwrap();
        assert_eq!(stored(&server, &proxy, stream.url().unwrap()), "a");
        proxy.rule(fail_twice(action.clone()));
        stream.delete().await.expect("a 404 after a lost response means that the stream is deleted");
        proxy.pass();
        assert_eq!(stream.head().await.unwrap_err().status_code(), Some(404));
    }
}

/// The record and the close are one request. When the retry finds the stream closed, that may have been another
/// client, so it does not show whether the record is stored.
pub async fn close_with_record_after_lost_response_is_outcome_unknown<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = proxied::<S>(&server, &proxy).await;
    proxy.rule(|_, nth| if nth == 0 { Action::DropAfter } else { Action::Pass });
    let error = stream.close_with("end").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(stored(&server, &proxy, stream.url().unwrap()), "end");

    let stream = proxied::<S>(&server, &proxy).await;
    proxy.rule(|_, nth| if nth == 0 { Action::DropBefore } else { Action::Pass });
    stream.close_with("end").await.expect("the first attempt stored nothing");
    proxy.pass();
    assert_eq!(stored(&server, &proxy, stream.url().unwrap()), "end");
}

/// Guarantee 13.
pub async fn retry_after_delays_retry_and_is_on_final_error<S: Stack>() {
    let script = Script::start(|exchange| match exchange.nth() {
        0 => exchange.respond(429, [("retry-after", "1")], "slow down"),
        1 => {
            let date = (std::time::SystemTime::now() + Duration::from_secs(2)).into();
            let date: durable_streams::DateTime<durable_streams::Utc> = date;
            exchange.respond(
                503,
                [("retry-after", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string().as_str())],
                "",
            )
        }
        2 => exchange.respond(200, stream_headers("0_1", &[Flag::ContentType("text/plain")]), ""),
        _ => exchange.respond(429, [("retry-after", "0")], "never again"),
    })
    .unwrap();
    let stream = scripted::<S>(&script);
    stream.head().await.unwrap();
    let at: Vec<Instant> = script.requests().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] >= Duration::from_millis(990), "{:?}", at[1] - at[0]);
    // An HTTP date has a resolution of one second, so up to one second is lost.
    assert!(at[2] - at[1] >= Duration::from_millis(900), "{:?}", at[2] - at[1]);

    let error = stream.append("x").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::RateLimited { .. }), "{error}");
    assert_eq!((error.retry_after(), error.server_message()), (Some(Duration::ZERO), Some("never again")));
    assert_eq!(script.requests().len(), 3 + 4, "an append refused with 429 is resent");
    assert!(error.to_string().contains("4 attempts"), "{error}");
}

/// A captive portal answers every request with 200 and a web page.
pub async fn success_without_protocol_headers_is_error<S: Stack>() {
    let script = Script::start(|exchange| {
        exchange.respond(200, [("content-type", "text/html")], "<html>Please log in</html>");
    })
    .unwrap();
    let stream = scripted::<S>(&script);
    let errors: [Error; 4] = [
        stream.create(CreateOptions::new()).await.unwrap_err(),
        stream.append("x").await.unwrap_err(),
        stream.head().await.unwrap_err(),
        stream.close().await.unwrap_err(),
    ];
    for error in errors {
        // Where a head that was cut cannot be told from a whole one, a response to HEAD is taken for one that was cut.
        let may_be_cut = !S::DETECTS_CUT_HEADS && error.to_string().contains("head failed");
        assert!(may_be_cut || matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains(script.url()), "{error}");
    }
}

/// Guarantee 20.
pub async fn unrequested_content_encoding_is_error<S: Stack>() {
    let script = Script::start(|exchange| {
        let headers =
            stream_headers("0_1", &[Flag::ContentType("text/plain")]).with("content-encoding", "rot13");
        exchange.respond(200, headers.with("producer-epoch", "0"), "uryyb");
    })
    .unwrap();
    let error = scripted::<S>(&script).reader().chunks().await.unwrap_err();
    assert!(error.to_string().contains("rot13"), "{error}");
    // The body of these responses is not read, so its encoding does not matter.
    scripted::<S>(&script).append("x").await.unwrap();
    scripted::<S>(&script).head().await.unwrap();
    scripted::<S>(&script).producer("p").build().append("x").unwrap().await.unwrap();
}

/// A redirect within the origin, then one to another origin; a 301 for a POST; a loop. Guarantees 22 and 42.
pub async fn redirect_keeps_method_and_withholds_credentials<S: Stack>() {
    let other_origin = Script::start(|exchange| {
        exchange.respond(200, stream_headers("0_1", &[Flag::ContentType("text/plain")]), "");
    })
    .unwrap();
    let target = format!("{}/other?x=1", other_origin.url());
    let script = Script::start(move |exchange| match exchange.path() {
        "/s" if exchange.method == "POST" => exchange.respond(301, [("location", "/moved")], ""),
        "/s" => exchange.respond(307, [("location", "/hop")], ""),
        "/hop" => exchange.respond(308, [("location", target.as_str())], ""),
        "/loop" => exchange.respond(302, [("location", "/loop")], ""),
        _ => exchange.respond(404, (), ""),
    })
    .unwrap();
    let stream = scripted::<S>(&script);

    stream.head().await.unwrap();
    let hop = &script.requests()[1];
    assert_eq!((hop.path(), hop.header("authorization")), ("/hop", Some("Bearer secret")));
    let landed = &other_origin.requests()[0];
    assert_eq!((landed.method.as_str(), landed.target.as_str()), ("HEAD", "/other?x=1"));
    assert_eq!(landed.header("authorization"), None, "credentials were sent to another origin");

    let error = stream.append("x").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{error}");
    assert!(script.requests().iter().all(|request| request.path() != "/moved"), "a 301 redirected a POST");

    script.forget_requests();
    let error = stream.client().stream("loop").head().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{error}");
    assert!(script.requests().len() <= 11, "{} requests", script.requests().len());
}

/// The server closes the idle connection; the next append must not report that. Guarantee 43.
pub async fn append_on_stale_connection_succeeds<S: Stack>() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = proxied::<S>(&server, &proxy).await;
    stream.append("a").await.unwrap();
    proxy.close_idle_connections();
    assert!(
        wait_until(Duration::from_secs(5), || proxy.open_connections() == 0),
        "the connection is still open"
    );
    stream.append("b").await.expect("the append succeeds on a stale connection");
    assert_eq!(stored(&server, &proxy, stream.url().unwrap()), "ab");
}

/// Guarantee 18.
pub async fn header_timeout_fires_and_is_named_in_error<S: Stack>() {
    let script = Script::start(|exchange| exchange.hang()).unwrap();
    let client = S::builder()
        .base_url(script.url())
        .header_timeout(Duration::from_millis(300))
        .retry_config(RetryConfig::none())
        .build()
        .unwrap();
    let began = Instant::now();
    let error = client.stream("s").head().await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Timeout), "{error}");
    assert!(error.to_string().contains("300ms"), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(10));
    let error = client.stream("s").with_content_type("text/plain").append("x").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{error}");
}

pub async fn connection_refused_is_retried_then_reported<S: Stack>() {
    let script = Script::start(|exchange| exchange.hang()).unwrap();
    script.refuse();
    let stream = scripted::<S>(&script);
    let error = stream.append("x").await.unwrap_err();
    assert!(
        matches!(error.kind(), StreamError::Network(_)),
        "the request was never sent, so its outcome is known: {error}"
    );
    assert!(error.is_retryable() && error.to_string().contains("4 attempts"), "{error}");
}

pub async fn handle_headers_are_sent_and_failing_providers_are_errors<S: Stack>() {
    let script = Script::start(|exchange| {
        exchange.respond(200, stream_headers("0_1", &[Flag::ContentType("text/plain")]), "");
    })
    .unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", HeaderValue::from_static("t1"));
    scripted::<S>(&script).with_headers(headers).head().await.unwrap();
    assert_eq!(script.requests()[0].header("x-tenant"), Some("t1"));

    script.forget_requests();
    let client = S::builder()
        .base_url(script.url())
        .async_header_provider(|| async { Err::<HeaderMap, _>(std::io::Error::other("no token")) })
        .retry_config(RetryConfig { max_retries: Some(1), ..RetryConfig::default() })
        .build()
        .unwrap();
    let error = client.stream("s").with_content_type("text/plain").append("x").await.unwrap_err();
    assert!(error.to_string().contains("no token"), "{error}");
    assert_eq!(script.requests().len(), 0);
    let reserved = S::builder().base_url(script.url()).query_provider(|| vec![("offset".into(), "1".into())]);
    let error = reserved.build().unwrap().stream("s").head().await.unwrap_err();
    assert!(
        matches!(error.kind(), StreamError::Config(_)) && error.to_string().contains("offset"),
        "{error}"
    );
}

pub async fn concurrent_appends_on_one_stream_all_succeed<S: Stack>() {
    let server = RustServer::start().unwrap();
    let stream = new_stream::<S>(server.url(), "text/plain").await;
    let appends = (0..64).map(|_| stream.append("x"));
    for append in join_all(appends.collect()).await {
        append.unwrap();
    }
    let answer = direct("GET", stream.url().unwrap(), (), "").unwrap();
    assert_eq!(answer.text().len(), 64);
}

/// Polls all futures together until each is done.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = std::pin::Pin::new(future).poll(cx)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
