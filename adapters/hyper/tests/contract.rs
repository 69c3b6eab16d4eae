//! The contract's suite on hyper, over the connections of async-io and of tokio.
#![cfg(all(feature = "async-io", feature = "tokio"))]
#![allow(clippy::unwrap_used)]

use durable_streams_contract::suite::{Limit, Stack};
use durable_streams_contract::{Runtime, TransportOptions, transport_suite};
use durable_streams_hyper::{AsyncIoConnect, Connect, HyperTransport, TokioConnect};
use durable_streams_smol::SmolRuntime;
use durable_streams_tokio::TokioRuntime;

fn limits() -> &'static [Limit] {
    if cfg!(feature = "rustls") { &[] } else { &[Limit::NoTls] }
}

fn make<C: Connect + Clone, R: Runtime + Clone>(
    connect: C,
    runtime: R,
) -> impl Fn() -> HyperTransport<C, R> + Send + Sync + 'static {
    let options = TransportOptions::default();
    move || HyperTransport::new(connect.clone(), runtime.clone(), &options).unwrap()
}

mod async_io {
    use super::*;

    fn stack() -> Stack {
        let runtime = SmolRuntime::new();
        Stack::new(make(AsyncIoConnect::new(), runtime), runtime, smol::block_on).limits(limits())
    }

    transport_suite!(stack());
}

mod tokio_inside {
    use super::*;

    fn stack() -> Stack {
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let connect = TokioConnect::new(tokio.handle().clone());
        let make = make(connect, runtime.clone());
        Stack::new(make, runtime, move |task| tokio.block_on(task)).limits(limits())
    }

    transport_suite!(stack());
}

mod tokio_outside {
    use super::*;
    use std::time::Duration;

    fn stack() -> Stack {
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let connect = TokioConnect::new(tokio.handle().clone());
        let make = make(connect, runtime.clone());
        Stack::new(make, runtime, move |task| {
            // Keeps the runtime alive without entering it.
            let _tokio = &tokio;
            futures_lite::future::block_on(task);
        })
        .limits(limits())
        .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
}
