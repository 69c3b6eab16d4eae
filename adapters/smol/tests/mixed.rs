//! Transport and runtime are independent: each library under the executor of another stack.
#![cfg(feature = "isahc")]
#![allow(clippy::unwrap_used)]

use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};
use durable_streams_contract::suite::{Limit, Stack};
use durable_streams_contract::{TransportOptions, transport_suite};
use durable_streams_smol::{IsahcTransport, SmolRuntime};
use durable_streams_tokio::{ReqwestTransport, TokioRuntime};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What the libraries' own suites declare.
const ISAHC: &[Limit] = &[
    Limit::HeadWithFirstByte,
    Limit::BodyEndedByClose,
    Limit::CutHead,
    Limit::TlsAlerts,
    Limit::AsciiRequestHeaders,
    Limit::NoReuse,
];

fn tls(there: bool) -> &'static [Limit] {
    if there { &[] } else { &[Limit::NoTls] }
}

mod isahc_under_tokio {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let make = || IsahcTransport::new(&TransportOptions::default()).unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        Stack::new(make, runtime, move |task| tokio.block_on(task))
            .limits(ISAHC)
            .limits(tls(IsahcTransport::supports_tls()))
            .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
}

mod surf_under_tokio {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let make = || SurfTransport::new(&TransportOptions::default()).unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        Stack::new(make, runtime, move |task| tokio.block_on(task))
            .limits(&[])
            .limits(tls(SurfTransport::supports_tls()))
            .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
}

mod reqwest_under_smol {
    use super::*;

    fn stack() -> Stack {
        let tokio = Runtime::new().unwrap();
        let handle = tokio.handle().clone();
        let make = move || ReqwestTransport::new(handle.clone(), &TransportOptions::default()).unwrap();
        Stack::new(make, SmolRuntime::new(), move |task| {
            // Driven by its own threads; no thread enters it.
            let _tokio = &tokio;
            smol::block_on(task);
        })
        .limits(tls(ReqwestTransport::supports_tls()))
        .limits(if ReqwestTransport::asks_for_compression() { &[Limit::Compression] } else { &[] })
        .quiet_spell(Duration::from_millis(300))
    }

    transport_suite!(stack());
}

mod isahc_under_async_std {
    use super::*;

    fn stack() -> Stack {
        let make = || IsahcTransport::new(&TransportOptions::default()).unwrap();
        Stack::new(make, AsyncStdRuntime::new(), async_std_block_on)
            .limits(ISAHC)
            .limits(tls(IsahcTransport::supports_tls()))
            .quiet_spell(Duration::from_millis(300))
    }

    /// Any will do: async-std's tasks run on threads of their own.
    fn async_std_block_on(task: durable_streams_contract::Task) {
        futures_lite::future::block_on(task);
    }

    transport_suite!(stack());
}
