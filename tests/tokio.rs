//! All scenarios on tokio and reqwest.
#![cfg(feature = "tokio")]
#![allow(unreachable_pub, reason = "each stack has a test binary of its own around the shared modules")]
#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

mod scenarios;
mod support;

use std::future::Future;

struct Tokio;

impl support::Stack for Tokio {
    type Transport = durable_streams::tokio::ReqwestTransport;
    type Runtime = durable_streams::tokio::TokioRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("tokio starts").block_on(support::in_time::<Self, F>(future))
    }
}

scenarios::on!(Tokio);
support::usage_examples::examples!(durable_streams::tokio, super::Tokio);
