//! The contract's suite on async-std and surf.
#![allow(clippy::unwrap_used)]

use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};
use durable_streams_contract::suite::{Limit, Stack};
use durable_streams_contract::{TransportOptions, runtime_suite, transport_suite};

fn stack() -> Stack {
    let make = || SurfTransport::new(&TransportOptions::default()).unwrap();
    let stack = Stack::new(make, AsyncStdRuntime::new(), async_std::task::block_on);
    if SurfTransport::supports_tls() { stack } else { stack.limits(&[Limit::NoTls]) }
}

transport_suite!(stack());
runtime_suite!(stack());
