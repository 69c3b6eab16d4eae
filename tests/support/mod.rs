//! What the scenarios run on: a stack, and a way to make streams nobody else uses.

pub mod usage_examples;

use durable_streams::contract::{DefaultRuntime, DefaultTransport, Timer};
use durable_streams::{Client, ClientBuilder, CreateOptions, DurableStream};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use test_servers::{RustServer, skip_without_node};

/// One of the stacks: the scenarios are generic over it and run on each.
pub trait Stack: 'static {
    type Transport: DefaultTransport + Clone;
    type Runtime: DefaultRuntime + Clone;

    /// Runs `future` on the stack's runtime, and fails instead of hanging.
    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send;

    fn builder() -> ClientBuilder<Self::Transport, Self::Runtime> {
        Client::builder()
    }

    /// Waits, by the stack's own timer.
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

/// Runs `scenario` against the Rust server, and against the Node reference server where Node is there.
pub async fn on_each_server<F: Future<Output = ()>>(scenario: impl Fn(String) -> F) {
    let rust = RustServer::start().expect("the server starts");
    scenario(rust.url().to_owned()).await;
    if let Some(node) = skip_without_node() {
        scenario(node.url().to_owned()).await;
    }
}

/// The longest that any scenario takes on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(300);

/// `future`, if it ends in time; a panic if it does not.
pub async fn in_time<S: Stack + ?Sized, F: Future>(future: F) -> F::Output {
    let runtime = S::Runtime::current().expect("the runtime is there");
    let expired = async {
        runtime.sleep(TIMEOUT).await;
        panic!("the scenario does not end in {TIMEOUT:?}")
    };
    futures_lite::future::or(future, expired).await
}
