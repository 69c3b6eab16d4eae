//! tokio and reqwest.
//!
//! Import [`Client`] from here, not the module, nor all of the crate by `use durable_streams::*`: a module named `tokio` in
//! scope hides the crate that `#[tokio::main]` expands to.

pub use durable_streams_tokio::{ReqwestTransport, TokioRuntime};

/// A client on tokio and reqwest.
pub type Client = crate::client::Client<ReqwestTransport, TokioRuntime>;
/// A builder of a client on tokio and reqwest.
pub type ClientBuilder = crate::client::ClientBuilder<ReqwestTransport, TokioRuntime>;
/// A stream's handle on tokio and reqwest.
pub type DurableStream = crate::stream::DurableStream<ReqwestTransport, TokioRuntime>;
/// An exactly-once producer on tokio and reqwest.
pub type IdempotentProducer = crate::producer::IdempotentProducer<ReqwestTransport, TokioRuntime>;
/// Sets up a reader on tokio and reqwest.
pub type ReaderBuilder = crate::reader::ReaderBuilder<ReqwestTransport, TokioRuntime>;
/// A reader's chunks on tokio and reqwest.
pub type ChunkIterator = crate::reader::ChunkIterator<ReqwestTransport, TokioRuntime>;
/// A reader's bytes on tokio and reqwest.
pub type ByteStream = crate::reader::ByteStream<ReqwestTransport, TokioRuntime>;
/// A reader's text on tokio and reqwest.
pub type TextStream = crate::reader::TextStream<ReqwestTransport, TokioRuntime>;
/// A reader's JSON values on tokio and reqwest.
#[cfg(feature = "json")]
pub type JsonStream<V> = crate::reader::JsonStream<V, ReqwestTransport, TokioRuntime>;
/// A single read on tokio and reqwest.
pub type StreamRequest = crate::reader::StreamRequest<ReqwestTransport, TokioRuntime>;
/// A reader that has started, on tokio and reqwest.
pub type StreamResponse = crate::reader::StreamResponse<ReqwestTransport, TokioRuntime>;
/// Sets up an exactly-once producer on tokio and reqwest.
pub type ProducerBuilder = crate::producer::ProducerBuilder<ReqwestTransport, TokioRuntime>;

/// Reads the stream at `url`, an absolute URL: awaiting it gives a [`StreamResponse`].
///
/// For a read now and then. Each has a client, and so connections, of its own; a [`Client`] shares them.
pub fn stream(url: impl AsRef<str>) -> StreamRequest {
    StreamRequest::new(url.as_ref())
}
