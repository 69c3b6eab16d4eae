//! All scenarios on async-std and surf.
#![cfg(feature = "async-std")]
#![allow(unreachable_pub, reason = "each stack has a test binary of its own around the shared modules")]
#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

mod scenarios;
mod support;

use std::future::Future;

struct AsyncStd;

impl support::Stack for AsyncStd {
    type Transport = durable_streams::async_std::SurfTransport;
    type Runtime = durable_streams::async_std::AsyncStdRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        // This stack's timers and sockets run on threads of their own, so any executor works.
        futures_lite::future::block_on(support::in_time::<Self, F>(future))
    }
}

scenarios::on!(AsyncStd);
support::usage_examples::examples!(durable_streams::async_std, super::AsyncStd);
