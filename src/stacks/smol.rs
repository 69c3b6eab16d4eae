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
/// Sets up a reader on smol and isahc.
pub type ReaderBuilder = crate::ReaderBuilder<IsahcTransport, SmolRuntime>;
/// A reader's chunks on smol and isahc.
pub type ChunkIterator = crate::ChunkIterator<IsahcTransport, SmolRuntime>;
/// A reader's bytes on smol and isahc.
pub type ByteStream = crate::ByteStream<IsahcTransport, SmolRuntime>;
/// A reader's text on smol and isahc.
pub type TextStream = crate::TextStream<IsahcTransport, SmolRuntime>;
/// A reader's JSON values on smol and isahc.
#[cfg(feature = "json")]
pub type JsonStream<V> = crate::JsonStream<V, IsahcTransport, SmolRuntime>;
/// A single read on smol and isahc.
pub type StreamRequest = crate::StreamRequest<IsahcTransport, SmolRuntime>;
/// A reader that has started, on smol and isahc.
pub type StreamResponse = crate::StreamResponse<IsahcTransport, SmolRuntime>;
/// Sets up an exactly-once producer on smol and isahc.
pub type ProducerBuilder = crate::ProducerBuilder<IsahcTransport, SmolRuntime>;

/// Reads the stream at `url`, an absolute URL: awaiting it gives a [`StreamResponse`].
///
/// For a read now and then. Each has a client, and so connections, of its own; a [`Client`] shares them.
pub fn stream(url: impl AsRef<str>) -> StreamRequest {
    StreamRequest::new(url.as_ref())
}
