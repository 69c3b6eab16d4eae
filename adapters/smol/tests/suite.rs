//! The contract's suite on smol and isahc.
#![cfg(feature = "isahc")]
#![allow(clippy::unwrap_used)]

use durable_streams_contract::suite::{Limit, Stack};
use durable_streams_contract::{TransportOptions, runtime_suite, transport_suite};
use durable_streams_smol::{IsahcTransport, SmolRuntime};

fn stack() -> Stack {
    let make = || IsahcTransport::new(&TransportOptions::default()).unwrap();
    let stack = Stack::new(make, SmolRuntime::new(), smol::block_on).limits(&[
        Limit::HeadWithFirstByte,
        Limit::BodyEndedByClose,
        Limit::CutHead,
        Limit::TlsAlerts,
        Limit::AsciiRequestHeaders,
        Limit::NoReuse,
    ]);
    if IsahcTransport::supports_tls() { stack } else { stack.limits(&[Limit::NoTls]) }
}

transport_suite!(stack());
runtime_suite!(stack());
