//! The stacks: a runtime, the client's types on it, and its HTTP library alone.

use crate::Result;
use crate::raw::{Raw, isahc::IsahcRaw, reqwest::ReqwestRaw, transport::TransportRaw};
use durable_streams::async_std::{AsyncStdRuntime, SurfTransport};
use durable_streams::contract::{DefaultRuntime, DefaultTransport};
use durable_streams::smol::{IsahcTransport, SmolRuntime};
use durable_streams::tokio::{ReqwestTransport, TokioRuntime};
use durable_streams::{smol_hyper, tokio_hyper};
use std::future::Future;

pub(crate) trait Stack: 'static {
    type Transport: DefaultTransport;
    type Runtime: DefaultRuntime;
    type Raw: Raw;

    /// Runs `main` as the main function of a program on this stack would be.
    fn block_on<F: Future>(main: F) -> Result<F::Output>;
}

/// tokio and reqwest.
pub(crate) struct Tokio;

impl Stack for Tokio {
    type Transport = ReqwestTransport;
    type Runtime = TokioRuntime;
    type Raw = ReqwestRaw;

    fn block_on<F: Future>(main: F) -> Result<F::Output> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(runtime.block_on(main))
    }
}

/// async-std and surf, beside the transport alone.
pub(crate) struct AsyncStd;

impl Stack for AsyncStd {
    type Transport = SurfTransport;
    type Runtime = AsyncStdRuntime;
    type Raw = TransportRaw<SurfTransport>;

    fn block_on<F: Future>(main: F) -> Result<F::Output> {
        Ok(async_std::task::block_on(main))
    }
}

/// smol and isahc.
pub(crate) struct Smol;

impl Stack for Smol {
    type Transport = IsahcTransport;
    type Runtime = SmolRuntime;
    type Raw = IsahcRaw;

    fn block_on<F: Future>(main: F) -> Result<F::Output> {
        Ok(smol::block_on(main))
    }
}

/// tokio and hyper, beside reqwest alone: what a program on tokio would use otherwise.
pub(crate) struct TokioHyper;

impl Stack for TokioHyper {
    type Transport = tokio_hyper::HyperTransport;
    type Runtime = TokioRuntime;
    type Raw = ReqwestRaw;

    fn block_on<F: Future>(main: F) -> Result<F::Output> {
        Tokio::block_on(main)
    }
}

/// smol and hyper, beside the transport alone.
pub(crate) struct SmolHyper;

impl Stack for SmolHyper {
    type Transport = smol_hyper::HyperTransport;
    type Runtime = SmolRuntime;
    type Raw = TransportRaw<smol_hyper::HyperTransport>;

    fn block_on<F: Future>(main: F) -> Result<F::Output> {
        Smol::block_on(main)
    }
}
