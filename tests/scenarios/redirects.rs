//! Redirects: which ones a reader follows, and which headers it sends to another origin. Guarantee 22.

use crate::support::{Stack, StackStream, unique};
use durable_streams::{ChunkIterator, CreateOptions, LiveMode, Offset, RetryConfig, StreamError};
use std::time::Duration;
use test_servers::{Action, Flag, Proxy, RustServer, Script, stream_headers, wait_until};

const MODES: [LiveMode; 4] = [LiveMode::Off, LiveMode::Auto, LiveMode::LongPoll, LiveMode::Sse];

/// Reads JSON chunks until they hold this many messages.
async fn read<S: Stack>(
    chunks: &mut ChunkIterator<S::Transport, S::Runtime>,
    messages: usize,
) -> Vec<serde_json::Value> {
    let mut read = Vec::new();
    while read.len() < messages {
        let chunk = chunks.try_next().await.expect("no error").expect("the tail goes on");
        read.extend(serde_json::from_slice::<Vec<serde_json::Value>>(&chunk.data).unwrap());
    }
    read
}

/// Guarantee 22.
pub async fn cross_origin_redirect_carries_no_credentials<S: Stack>() {
    let server = RustServer::start().unwrap();
    for (mode, status) in MODES.into_iter().zip([301, 302, 307, 308]) {
        let path = unique("moved");
        let direct = S::client(server.url()).stream(&path);
        direct.create(CreateOptions::new().content_type("application/json").data("[1,2]")).await.unwrap();
        let (old, new) = (Proxy::start(server.url()).unwrap(), Proxy::start(server.url()).unwrap());
        let client = S::builder().base_url(old.url()).default_header("authorization", "Bearer secret");
        let client = client.default_header("x-tenant", "t1").build().unwrap();
        let reader = client.stream(&path).with_content_type("application/json").reader().live(mode);
        let mut chunks = reader.chunks().await.unwrap();
        assert_eq!(read::<S>(&mut chunks, 2).await, [1, 2]);
        // The stream moves during the read: open connections are closed, and new requests are redirected.
        let location = format!("{}/{path}", new.url());
        old.rule(move |_, _| Action::refuse(status, [("location", location.as_str())], ""));
        if mode == LiveMode::Off {
            chunks = client.stream(&path).reader().offset(chunks.checkpoint()).chunks().await.unwrap();
            assert!(chunks.try_next().await.unwrap().unwrap().up_to_date);
        } else {
            old.kill_connections();
            for n in 3..6 {
                direct.append(format!("[{n}]")).await.unwrap();
                assert_eq!(read::<S>(&mut chunks, 1).await, [n], "{mode:?}");
            }
        }
        let redirected = new.requests();
        assert!(!redirected.is_empty(), "{mode:?}");
        for request in &redirected {
            let credentials = (request.header("authorization"), request.header("x-tenant"));
            assert_eq!(credentials, (None, None), "{mode:?}: credentials were sent to another origin");
            assert!(request.query("offset").is_some_and(|offset| offset != "-1"), "{}", request.target);
        }
        for request in old.requests() {
            assert_eq!(request.header("authorization"), Some("Bearer secret"));
        }
    }
}

/// Guarantee 22.
pub async fn redirect_loop_is_error_within_ten_hops<S: Stack>() {
    for mode in MODES {
        // The first reads succeed; from then on two URLs redirect to each other.
        let script = Script::start(move |exchange| {
            if exchange.query("live").is_none() && (mode != LiveMode::Off || exchange.nth() == 0) {
                let json = Flag::ContentType("application/json");
                let next = if exchange.nth() == 0 { "a1" } else { "a2" };
                let flags: &[_] = if mode == LiveMode::Off { &[json] } else { &[json, Flag::UpToDate] };
                return exchange.respond(200, stream_headers(next, flags), "[1]");
            }
            let location = if exchange.path() == "/s" { "/t" } else { "/s" };
            exchange.respond(307, [("location", location)], "");
        })
        .unwrap();
        let client = S::builder().base_url(script.url()).build().unwrap();
        let stream: StackStream<S> = client.stream("s");
        let read = async {
            let mut chunks = stream.reader().offset(Offset::parse("a0")).live(mode).chunks().await?;
            while chunks.try_next().await?.is_some() {}
            Ok::<(), durable_streams::Error>(())
        };
        let error = read.await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{mode:?}: {error}");
        let redirected = script.requests().iter().filter(|r| r.path() == "/t").count() * 2;
        assert!((10..=12).contains(&redirected), "{mode:?}: {redirected} redirects");
    }
}

/// An error names the stream's URL. After a redirect it names the URL that failed as well, without its query.
pub async fn error_after_redirect_names_redirect_target<S: Stack>() {
    let target = Script::start(|exchange| exchange.respond(401, (), "token expired")).unwrap();
    // The listener is dropped at once, so the port refuses connections.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unused = format!("http://{unused}");
    for (origin, reason) in [(target.url(), "token expired"), (unused.as_str(), "could not connect")] {
        let location = format!("{origin}/s?signature=secret");
        let script = Script::start(move |exchange| {
            exchange.respond(307, [("location", location.as_str())], "");
        })
        .unwrap();
        let client = S::builder().base_url(script.url()).retry_config(RetryConfig::none()).build().unwrap();
        let stream = client.stream("s").with_content_type("text/plain");
        for error in [stream.reader().chunks().await.unwrap_err(), stream.append("x").await.unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains(&format!("redirected to {origin}")) && text.contains(reason), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

pub async fn redirect_without_usable_location_is_error<S: Stack>() {
    for location in [None, Some("ftp://elsewhere/s"), Some("http://")] {
        let script = Script::start(move |exchange| match location {
            None => exchange.respond(307, (), ""),
            Some(location) => exchange.respond(307, [("location", location)], ""),
        })
        .unwrap();
        let client = S::builder().base_url(script.url()).retry_config(RetryConfig::none()).build().unwrap();
        for mode in MODES {
            script.forget_requests();
            let reader = client.stream("s").with_content_type("application/json").reader().live(mode);
            let error = reader.chunks().await.unwrap_err();
            assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{mode:?}: {error}");
            assert!(wait_until(Duration::from_secs(5), || script.requests().len() == 1));
        }
    }
}
