//! What the scenarios run on: a stack, and a way to make streams nobody else uses.

use durable_streams::contract::{DefaultRuntime, DefaultTransport};
use durable_streams::{Client, ClientBuilder, CreateOptions, DurableStream};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// The longest that any scenario takes on a slow machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

#[cfg(feature = "tokio")]
pub struct Tokio;

#[cfg(feature = "tokio")]
impl Stack for Tokio {
    type Transport = durable_streams::tokio::ReqwestTransport;
    type Runtime = durable_streams::tokio::TokioRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        let runtime = ::tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("tokio starts");
        runtime.block_on(async {
            ::tokio::time::timeout(TIMEOUT, future).await.expect("the scenario ends in time")
        })
    }
}

#[cfg(feature = "async-std")]
pub struct AsyncStd;

#[cfg(feature = "async-std")]
impl Stack for AsyncStd {
    type Transport = durable_streams::async_std::SurfTransport;
    type Runtime = durable_streams::async_std::AsyncStdRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        in_time::<Self, F>(future)
    }
}

#[cfg(feature = "smol")]
pub struct Smol;

#[cfg(feature = "smol")]
impl Stack for Smol {
    type Transport = durable_streams::smol::IsahcTransport;
    type Runtime = durable_streams::smol::SmolRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        in_time::<Self, F>(future)
    }
}

/// For stacks whose timers and sockets have threads of their own: any executor will do.
#[cfg(any(feature = "async-std", feature = "smol"))]
fn in_time<S: Stack, F: Future>(future: F) -> F::Output {
    use durable_streams::contract::Timer;
    let runtime = S::Runtime::current().expect("the runtime is there");
    let expired = async {
        runtime.sleep(TIMEOUT).await;
        panic!("the scenario does not end in time")
    };
    futures_lite::future::block_on(futures_lite::future::or(future, expired))
}
