//! tokio and reqwest.
//!
//! Import [`Client`] from here, not the module, nor all of the crate by `use durable_streams::*`: a module named `tokio` in
//! scope hides the crate that `#[tokio::main]` expands to.

pub use durable_streams_tokio::{ReqwestTransport, TokioRuntime};

super::aliases::aliases!(ReqwestTransport, TokioRuntime, "tokio and reqwest");
