//! The stacks to choose from.

use durable_streams::contract::{DefaultRuntime, DefaultTransport};
use durable_streams::{DurableStream, async_std, smol, smol_hyper, tokio as tokio_reqwest, tokio_hyper};
use std::future::Future;

/// A stack, and how it runs a future to its end.
pub(crate) trait Stack: Sized {
    const NAME: &'static str;
    type Transport: DefaultTransport;
    type Runtime: DefaultRuntime;

    fn block_on<F: Future>(future: F) -> F::Output;
}

/// A stream's handle on a stack.
pub(crate) type Stream<S> = DurableStream<<S as Stack>::Transport, <S as Stack>::Runtime>;

pub(crate) struct Tokio;
pub(crate) struct TokioHyper;
pub(crate) struct AsyncStd;
pub(crate) struct Smol;
pub(crate) struct SmolHyper;

fn on_tokio<F: Future>(future: F) -> F::Output {
    tokio::runtime::Runtime::new().expect("tokio starts").block_on(future)
}

macro_rules! stack {
    ($stack:ident, $name:literal, $transport:ty, $runtime:ty, $block_on:path) => {
        impl Stack for $stack {
            const NAME: &'static str = $name;
            type Transport = $transport;
            type Runtime = $runtime;

            fn block_on<F: Future>(future: F) -> F::Output {
                $block_on(future)
            }
        }
    };
}

stack!(Tokio, "tokio", tokio_reqwest::ReqwestTransport, tokio_reqwest::TokioRuntime, on_tokio);
stack!(TokioHyper, "tokio-hyper", tokio_hyper::HyperTransport, tokio_hyper::TokioRuntime, on_tokio);
stack!(
    AsyncStd,
    "async-std",
    async_std::SurfTransport,
    async_std::AsyncStdRuntime,
    futures_lite::future::block_on
);
stack!(Smol, "smol", smol::IsahcTransport, smol::SmolRuntime, futures_lite::future::block_on);
stack!(
    SmolHyper,
    "smol-hyper",
    smol_hyper::HyperTransport,
    smol_hyper::SmolRuntime,
    futures_lite::future::block_on
);
