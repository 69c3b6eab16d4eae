//! The stacks of the library whose features are enabled.

use super::stack::{Stack, in_time};
use std::future::Future;

/// Runs `future` on a runtime of tokio.
#[cfg(any(feature = "tokio", feature = "tokio-hyper"))]
fn on_tokio<S: Stack, F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("tokio starts").block_on(in_time::<S, F>(future))
}

/// Runs `future` on the calling thread: the timers and sockets of these stacks run on threads of their own.
#[cfg(any(feature = "async-std", feature = "smol", feature = "smol-hyper"))]
fn on_any_executor<S: Stack, F: Future>(future: F) -> F::Output {
    futures_lite::future::block_on(in_time::<S, F>(future))
}

macro_rules! stack {
    ($feature:literal, $stack:ident, $module:ident::$transport:ident, $runtime:ident, $block_on:ident $(, $limit:item)?) => {
        #[cfg(feature = $feature)]
        pub struct $stack;

        #[cfg(feature = $feature)]
        impl Stack for $stack {
            type Transport = durable_streams::$module::$transport;
            type Runtime = durable_streams::$module::$runtime;
            $($limit)?

            fn block_on<F: Future + Send>(future: F) -> F::Output
            where
                F::Output: Send,
            {
                $block_on::<Self, F>(future)
            }
        }
    };
}

stack!("tokio", Tokio, tokio::ReqwestTransport, TokioRuntime, on_tokio);
stack!("tokio-hyper", TokioHyper, tokio_hyper::HyperTransport, TokioRuntime, on_tokio);
stack!("async-std", AsyncStd, async_std::SurfTransport, AsyncStdRuntime, on_any_executor);
stack!(
    "smol",
    Smol,
    smol::IsahcTransport,
    SmolRuntime,
    on_any_executor,
    const DETECTS_CUT_HEADS: bool = false;
);
stack!("smol-hyper", SmolHyper, smol_hyper::HyperTransport, SmolRuntime, on_any_executor);
