//! Streams of a scenario's own, on real and scripted servers, and their content as the server has it.

use super::stack::{Stack, StackStream};
use durable_streams::{CreateOptions, RetryConfig};
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use test_servers::{RustServer, Script, direct, skip_without_node};

/// A path that no other test uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("v1/stream/{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new stream of this content type on the server at `url`.
pub async fn new_stream<S: Stack>(url: &str, content_type: &str) -> StackStream<S> {
    let stream = S::client(url).stream(unique("stream"));
    stream.create(CreateOptions::new().content_type(content_type)).await.expect("the stream is created");
    stream
}

/// A stream on a scripted server, with three short retries.
pub fn scripted<S: Stack>(script: &Script) -> StackStream<S> {
    let retry = RetryConfig {
        initial_backoff: Duration::from_millis(10),
        max_retries: Some(3),
        ..RetryConfig::default()
    };
    S::builder().base_url(script.url()).retry_config(retry).build().unwrap().stream("s")
}

/// The content that the server has stored. Read without the client under test.
pub fn stored(url: &str) -> String {
    let response = direct("GET", url, (), "").expect("the server answers");
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// These numbers, each on a line.
pub fn numbered(range: Range<u32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

/// Runs `scenario` against the Rust server, and against the Node reference server if Node is installed.
pub async fn on_each_server<F: Future<Output = ()>>(scenario: impl Fn(String) -> F) {
    let rust = RustServer::start().expect("the server starts");
    scenario(rust.url().to_owned()).await;
    if let Some(node) = skip_without_node() {
        scenario(node.url().to_owned()).await;
    }
}
