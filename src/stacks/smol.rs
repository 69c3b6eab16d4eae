//! smol and isahc.

pub use durable_streams_smol::{IsahcTransport, SmolRuntime};

/// A client on smol and isahc.
pub type Client = crate::client::Client<IsahcTransport, SmolRuntime>;
/// A builder of a client on smol and isahc.
pub type ClientBuilder = crate::client::ClientBuilder<IsahcTransport, SmolRuntime>;
/// A stream's handle on smol and isahc.
pub type DurableStream = crate::stream::DurableStream<IsahcTransport, SmolRuntime>;
/// An exactly-once producer on smol and isahc.
pub type IdempotentProducer = crate::producer::IdempotentProducer<IsahcTransport, SmolRuntime>;
/// Sets up a reader on smol and isahc.
pub type ReaderBuilder = crate::reader::ReaderBuilder<IsahcTransport, SmolRuntime>;
/// A reader's chunks on smol and isahc.
pub type ChunkIterator = crate::reader::ChunkIterator<IsahcTransport, SmolRuntime>;
/// A reader's bytes on smol and isahc.
pub type ByteStream = crate::reader::ByteStream<IsahcTransport, SmolRuntime>;
/// A reader's text on smol and isahc.
pub type TextStream = crate::reader::TextStream<IsahcTransport, SmolRuntime>;
/// A reader's JSON values on smol and isahc.
#[cfg(feature = "json")]
pub type JsonStream<V> = crate::reader::JsonStream<V, IsahcTransport, SmolRuntime>;
/// A single read on smol and isahc.
pub type StreamRequest = crate::reader::StreamRequest<IsahcTransport, SmolRuntime>;
/// A reader that has started, on smol and isahc.
pub type StreamResponse = crate::reader::StreamResponse<IsahcTransport, SmolRuntime>;
/// Sets up an exactly-once producer on smol and isahc.
pub type ProducerBuilder = crate::producer::ProducerBuilder<IsahcTransport, SmolRuntime>;

/// Reads the stream at `url`, an absolute URL: awaiting it gives a [`StreamResponse`].
///
/// For a read now and then. Each has a client, and so connections, of its own; a [`Client`] shares them.
pub fn stream(url: impl AsRef<str>) -> StreamRequest {
    StreamRequest::new(url.as_ref())
}
