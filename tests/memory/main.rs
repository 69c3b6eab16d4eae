//! How much memory a reader occupies, whatever it is sent: guarantees 6 and 25.
//!
//! Memory is a figure of a process, so each read is one of its own: this test binary again, with one test
//! that does what it is told. Without optimisation the gigabyte is an eighth of one; all of it is read by
//! `cargo test --release --features full --test memory`.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "each test binary has the shared modules it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gigabyte;
mod large_events;
mod process;
#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "not all of what the scenarios share is needed here"
)]
mod support;

use std::future::Future;
use support::{Stack, in_time};

struct Tokio;
struct AsyncStd;
struct Smol;

impl Stack for Tokio {
    type Transport = durable_streams::tokio::ReqwestTransport;
    type Runtime = durable_streams::tokio::TokioRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("tokio starts").block_on(in_time::<Self, F>(future))
    }
}

impl Stack for AsyncStd {
    type Transport = durable_streams::async_std::SurfTransport;
    type Runtime = durable_streams::async_std::AsyncStdRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        futures_lite::future::block_on(in_time::<Self, F>(future))
    }
}

impl Stack for Smol {
    type Transport = durable_streams::smol::IsahcTransport;
    type Runtime = durable_streams::smol::SmolRuntime;

    fn block_on<F: Future + Send>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        futures_lite::future::block_on(in_time::<Self, F>(future))
    }
}
