//! The contract's suite on tokio and reqwest, polled inside the runtime, outside of it, and on one thread.
#![allow(clippy::unwrap_used)]

use durable_streams_contract::suite::{Limit, Stack};
use durable_streams_contract::{TransportOptions, runtime_suite, transport_suite};
use durable_streams_tokio::{ReqwestTransport, TokioRuntime};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

fn limits() -> Vec<Limit> {
    let mut limits = Vec::new();
    if !ReqwestTransport::supports_tls() {
        limits.push(Limit::NoTls);
    }
    if ReqwestTransport::asks_for_compression() {
        limits.push(Limit::Compression);
    }
    limits
}

fn stack(tokio: &Runtime) -> impl Fn() -> ReqwestTransport + Send + Sync + 'static {
    let handle = tokio.handle().clone();
    move || ReqwestTransport::new(handle.clone(), &TransportOptions::default()).unwrap()
}

mod many_threads {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        Stack::new(super::stack(&tokio), runtime, move |task| tokio.block_on(task)).limits(&limits())
    }

    transport_suite!(stack());
    runtime_suite!(stack());
}

mod one_thread {
    use super::*;

    fn stack() -> Stack {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        Stack::new(super::stack(&tokio), runtime, move |task| tokio.block_on(task))
            .limits(&limits())
            .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
    runtime_suite!(stack());
}

mod polled_outside {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let make = super::stack(&tokio);
        Stack::new(make, runtime, move |task| {
            // Keeps the runtime alive without entering it.
            let _tokio = &tokio;
            futures_lite::future::block_on(task);
        })
        .limits(&limits())
        .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
    runtime_suite!(stack());
}

/// A client of the user's own, which cannot be replaced.
mod given_client {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let handle = tokio.handle().clone();
        let make = move || {
            let client = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .tcp_nodelay(true)
                .build()
                .unwrap();
            ReqwestTransport::from_client(client, handle.clone())
        };
        let mut limits = limits();
        limits.push(Limit::NoFreshConnection);
        Stack::new(make, runtime, move |task| tokio.block_on(task))
            .limits(&limits)
            .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
}
