//! The stacks of the library.

use super::stack::{Stack, in_time};
use durable_streams::{async_std, smol, smol_hyper, tokio as tokio_reqwest, tokio_hyper};
use std::future::Future;

pub struct Tokio;
pub struct TokioHyper;
pub struct AsyncStd;
pub struct Smol;
pub struct SmolHyper;

/// Runs `future` on a runtime of tokio.
fn on_tokio<S: Stack, F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("tokio starts").block_on(in_time::<S, F>(future))
}

/// Runs `future` on the calling thread: the timers and sockets of these stacks run on threads of their own.
fn on_any_executor<S: Stack, F: Future>(future: F) -> F::Output {
    futures_lite::future::block_on(in_time::<S, F>(future))
}

macro_rules! stack {
    ($stack:ident, $transport:ty, $runtime:ty, $block_on:ident $(, $limit:item)?) => {
        impl Stack for $stack {
            type Transport = $transport;
            type Runtime = $runtime;
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

stack!(Tokio, tokio_reqwest::ReqwestTransport, tokio_reqwest::TokioRuntime, on_tokio);
stack!(TokioHyper, tokio_hyper::HyperTransport, tokio_hyper::TokioRuntime, on_tokio);
stack!(AsyncStd, async_std::SurfTransport, async_std::AsyncStdRuntime, on_any_executor);
stack!(
    Smol,
    smol::IsahcTransport,
    smol::SmolRuntime,
    on_any_executor,
    const DETECTS_CUT_HEADS: bool = false;
);
stack!(SmolHyper, smol_hyper::HyperTransport, smol_hyper::SmolRuntime, on_any_executor);
