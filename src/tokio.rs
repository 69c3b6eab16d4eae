//! tokio and reqwest.
//!
//! Import [`Client`] from here, not the module: a module named `tokio` in scope hides the crate that
//! `#[tokio::main]` expands to.

pub use durable_streams_tokio::{ReqwestTransport, TokioRuntime};

/// A client on tokio and reqwest.
pub type Client = crate::Client<ReqwestTransport, TokioRuntime>;
/// A builder of a client on tokio and reqwest.
pub type ClientBuilder = crate::ClientBuilder<ReqwestTransport, TokioRuntime>;
/// A stream's handle on tokio and reqwest.
pub type DurableStream = crate::DurableStream<ReqwestTransport, TokioRuntime>;
/// An exactly-once producer on tokio and reqwest.
pub type IdempotentProducer = crate::IdempotentProducer<ReqwestTransport, TokioRuntime>;
