//! async-std and surf.

pub use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};

/// A client on async-std and surf.
pub type Client = crate::Client<SurfTransport, AsyncStdRuntime>;
/// A builder of a client on async-std and surf.
pub type ClientBuilder = crate::ClientBuilder<SurfTransport, AsyncStdRuntime>;
/// A stream's handle on async-std and surf.
pub type DurableStream = crate::DurableStream<SurfTransport, AsyncStdRuntime>;
/// An exactly-once producer on async-std and surf.
pub type IdempotentProducer = crate::IdempotentProducer<SurfTransport, AsyncStdRuntime>;
