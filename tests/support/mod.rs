//! What the scenarios share: a trait for the stacks, streams of their own, and reads that bypass the client.

pub mod live;
pub mod usage_examples;

use durable_streams::contract::{DefaultRuntime, DefaultTransport, Timer};
use durable_streams::{ChunkIterator, Client, ClientBuilder, CreateOptions, DurableStream, RetryConfig};
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use test_servers::{RustServer, Script, direct, skip_without_node};

/// A stack: an HTTP transport with a runtime. Scenarios are generic over it and run on each stack.
pub trait Stack: 'static {
    type Transport: DefaultTransport + Clone;
    type Runtime: DefaultRuntime + Clone;

    /// Runs `future` on the stack's runtime. Panics after [`TIMEOUT`], so that a deadlock fails the test.
    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send;

    fn builder() -> ClientBuilder<Self::Transport, Self::Runtime> {
        Client::builder()
    }

    /// Sleeps on the stack's own timer.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        async move { Self::Runtime::current().expect("inside the runtime").sleep(duration).await }
    }

    /// A client of the server at `url`.
    fn client(url: &str) -> StackClient<Self> {
        Self::builder().base_url(url).build().expect("the client builds")
    }
}

pub type StackClient<S> = Client<<S as Stack>::Transport, <S as Stack>::Runtime>;
pub type StackStream<S> = DurableStream<<S as Stack>::Transport, <S as Stack>::Runtime>;
pub type Chunks<S> = ChunkIterator<<S as Stack>::Transport, <S as Stack>::Runtime>;

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

/// Longer than any scenario takes on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The output of `future`. Panics if there is none within [`TIMEOUT`].
pub async fn in_time<S: Stack + ?Sized, F: Future>(future: F) -> F::Output {
    let runtime = S::Runtime::current().expect("inside the runtime");
    let expired = async {
        runtime.sleep(TIMEOUT).await;
        panic!("the scenario has not ended within {TIMEOUT:?}")
    };
    futures_lite::future::or(future, expired).await
}
