//! The stacks to choose from.

use durable_streams::contract::{DefaultRuntime, DefaultTransport};
use durable_streams::{DurableStream, async_std, smol};
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
pub(crate) struct AsyncStd;
pub(crate) struct Smol;

impl Stack for Tokio {
    const NAME: &'static str = "tokio";
    type Transport = durable_streams::tokio::ReqwestTransport;
    type Runtime = durable_streams::tokio::TokioRuntime;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
        runtime.block_on(future)
    }
}

impl Stack for AsyncStd {
    const NAME: &'static str = "async-std";
    type Transport = async_std::SurfTransport;
    type Runtime = async_std::AsyncStdRuntime;

    fn block_on<F: Future>(future: F) -> F::Output {
        futures_lite::future::block_on(future)
    }
}

impl Stack for Smol {
    const NAME: &'static str = "smol";
    type Transport = smol::IsahcTransport;
    type Runtime = smol::SmolRuntime;

    fn block_on<F: Future>(future: F) -> F::Output {
        futures_lite::future::block_on(future)
    }
}
