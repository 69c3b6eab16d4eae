//! The stacks that the scenarios run on.

use durable_streams::contract::{DefaultRuntime, DefaultTransport, Timer};
use durable_streams::{ChunkIterator, Client, ClientBuilder, DurableStream};
use std::future::Future;
use std::time::Duration;

/// A stack: an HTTP transport with a runtime. Scenarios are generic over it and run on each stack.
pub trait Stack: 'static {
    type Transport: DefaultTransport + Clone;
    type Runtime: DefaultRuntime + Clone;

    /// Whether its HTTP library tells a whole response head from one that was cut. Where it does not, a body that ends with its
    /// connection is refused.
    const DETECTS_CUT_HEADS: bool = true;

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
