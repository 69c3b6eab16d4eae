//! smol and hyper.
//!
//! The runtime is smol's, and needs none of its macros or a `main` of its own: the reactor is async-io's, which is there from
//! anywhere. So this stack serves programs on any other executor too.

pub use durable_streams_hyper::AsyncIoConnect;
pub use durable_streams_smol::SmolRuntime;

/// hyper over the connections of async-io, on smol.
pub type HyperTransport = durable_streams_hyper::HyperTransport<AsyncIoConnect, SmolRuntime>;

super::aliases::aliases!(HyperTransport, SmolRuntime, "smol and hyper");
