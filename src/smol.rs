//! smol and isahc.

pub use durable_streams_smol::{IsahcTransport, SmolRuntime};

/// A client on smol and isahc.
pub type Client = crate::Client<IsahcTransport, SmolRuntime>;
/// A builder of a client on smol and isahc.
pub type ClientBuilder = crate::ClientBuilder<IsahcTransport, SmolRuntime>;
/// A stream's handle on smol and isahc.
pub type DurableStream = crate::DurableStream<IsahcTransport, SmolRuntime>;
/// An exactly-once producer on smol and isahc.
pub type IdempotentProducer = crate::IdempotentProducer<IsahcTransport, SmolRuntime>;
