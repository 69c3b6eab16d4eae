//! tokio and hyper, without reqwest.

pub use durable_streams_hyper::TokioConnect;
pub use durable_streams_tokio::TokioRuntime;

/// hyper over the connections of tokio.
pub type HyperTransport = durable_streams_hyper::HyperTransport<TokioConnect, TokioRuntime>;

super::aliases::aliases!(HyperTransport, TokioRuntime, "tokio and hyper");
