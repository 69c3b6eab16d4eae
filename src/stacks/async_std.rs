//! async-std and surf.

pub use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};

/// A client on async-std and surf.
pub type Client = crate::client::Client<SurfTransport, AsyncStdRuntime>;
/// A builder of a client on async-std and surf.
pub type ClientBuilder = crate::client::ClientBuilder<SurfTransport, AsyncStdRuntime>;
/// A stream's handle on async-std and surf.
pub type DurableStream = crate::stream::DurableStream<SurfTransport, AsyncStdRuntime>;
/// An exactly-once producer on async-std and surf.
pub type IdempotentProducer = crate::producer::IdempotentProducer<SurfTransport, AsyncStdRuntime>;
/// Sets up a reader on async-std and surf.
pub type ReaderBuilder = crate::reader::ReaderBuilder<SurfTransport, AsyncStdRuntime>;
/// A reader's chunks on async-std and surf.
pub type ChunkIterator = crate::reader::ChunkIterator<SurfTransport, AsyncStdRuntime>;
/// A reader's bytes on async-std and surf.
pub type ByteStream = crate::reader::ByteStream<SurfTransport, AsyncStdRuntime>;
/// A reader's text on async-std and surf.
pub type TextStream = crate::reader::TextStream<SurfTransport, AsyncStdRuntime>;
/// A reader's JSON values on async-std and surf.
#[cfg(feature = "json")]
pub type JsonStream<V> = crate::reader::JsonStream<V, SurfTransport, AsyncStdRuntime>;
/// A single read on async-std and surf.
pub type StreamRequest = crate::reader::StreamRequest<SurfTransport, AsyncStdRuntime>;
/// A reader that has started, on async-std and surf.
pub type StreamResponse = crate::reader::StreamResponse<SurfTransport, AsyncStdRuntime>;
/// Sets up an exactly-once producer on async-std and surf.
pub type ProducerBuilder = crate::producer::ProducerBuilder<SurfTransport, AsyncStdRuntime>;

/// Reads the stream at `url`, an absolute URL: awaiting it gives a [`StreamResponse`].
///
/// For a read now and then. Each has a client, and so connections, of its own; a [`Client`] shares them.
pub fn stream(url: impl AsRef<str>) -> StreamRequest {
    StreamRequest::new(url.as_ref())
}
