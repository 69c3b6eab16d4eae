//! Client for the [Durable Streams](https://github.com/durable-streams/durable-streams) protocol, on any async runtime.
//!
//! A durable stream is a URL. An application appends bytes or JSON to it, reads it from any offset, and tails it live. This
//! crate writes every record exactly once, resumes a reader exactly where it stopped, and continues a live read through
//! outages.
//!
//! # Main types
//!
//! | type | purpose |
//! |---|---|
//! | [`Client`], [`ClientBuilder`] | the transport, the runtime, and what all streams share: base URL, headers, timeouts, retries |
//! | [`DurableStream`] | the handle to one stream: [`create`](DurableStream::create), [`append`](DurableStream::append), [`head`](DurableStream::head), [`close`](DurableStream::close), [`delete`](DurableStream::delete) |
//! | [`ReaderBuilder`] | a reader: from where, live or not, and as what |
//! | [`ChunkIterator`], [`ByteStream`], [`TextStream`], `JsonStream` | a stream as chunks, bytes, text or typed JSON |
//! | [`Checkpoint`], [`Offset`] | a position that an application saves; a position that a server names |
//! | [`CheckpointStore`], [`FileCheckpointStore`] | where a reader keeps its checkpoint |
//! | [`IdempotentProducer`], [`ProducerBuilder`], [`Delivery`] | exactly-once writes in batches; the result of one record |
//! | [`Error`], [`StreamError`], [`ProducerError`] | what failed, as a text and as a kind to match on |
//! | [`RetryConfig`], [`ErrorAction`] | when failures are retried |
//! | [`contract`] | the traits of a stack: [`HttpTransport`](contract::HttpTransport), [`Executor`](contract::Executor), [`Timer`](contract::Timer) |
//!
//! Each stack has a module with aliases of these types: `tokio`, `tokio_hyper`, `async_std`, `smol`, `smol_hyper`.
//!
//! # Write exactly once
//!
#![cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
//! # async fn run(client: durable_streams::tokio::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use durable_streams::CreateOptions;
//!
//! let stream = client.stream("https://streams.example.com/v1/orders");
//! stream.create(CreateOptions::new().content_type("application/json")).await?;
//!
//! let producer = stream.producer("order-service-1").auto_claim(true).build();
//! for id in 0..1000 {
//!     producer.append_json_wait(&serde_json::json!({ "order_id": id })).await?;
//! }
//! producer.close().await?; // everything is stored, once
//! # Ok(()) }
//! ```
//!
//! # Read what is stored
//!
#![cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
//! # #[derive(serde::Deserialize)] struct Order { order_id: u64 }
//! # async fn run(client: durable_streams::tokio::Client) -> Result<(), durable_streams::Error> {
//! let stream = client.stream("https://streams.example.com/v1/orders");
//! let orders: Vec<Order> = stream.reader().read_json().await?;
//! # let _ = orders; Ok(()) }
//! ```
//!
//! # Tail live
//!
#![cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
//! # #[derive(serde::Deserialize, Debug)] struct Order { order_id: u64 }
//! # async fn run(client: durable_streams::tokio::Client) -> Result<(), durable_streams::Error> {
//! use durable_streams::{LiveMode, Offset};
//!
//! let stream = client.stream("https://streams.example.com/v1/orders");
//! let mut orders = stream.reader().offset(Offset::Now).live(LiveMode::Auto).json::<Order>().await?;
//! while let Some(order) = orders.next().await {
//!     println!("{:?}", order?);
//! }
//! # Ok(()) }
//! ```
//!
//! # Resume from a checkpoint
//!
#![cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
//! # async fn run(client: durable_streams::tokio::Client, saved: String) -> Result<(), durable_streams::Error> {
//! use durable_streams::{Checkpoint, LiveMode};
//!
//! let checkpoint: Checkpoint = saved.parse()?;
//! let stream = client.stream("https://streams.example.com/v1/orders");
//! let mut chunks = stream.reader().offset(checkpoint).live(LiveMode::Auto).chunks().await?;
//! while let Some(chunk) = chunks.next().await {
//!     let chunk = chunk?;
//!     println!("{} bytes; save {} once they are processed", chunk.data.len(), chunk.checkpoint);
//! }
//! # Ok(()) }
//! ```
//!
//! # Handle a failure
//!
#![cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
//! # async fn run(client: durable_streams::tokio::Client) -> Result<(), durable_streams::Error> {
//! use durable_streams::StreamError;
//!
//! let stream = client.stream("https://streams.example.com/v1/orders");
//! match stream.head().await {
//!     Ok(head) => println!("the tail is {}", head.next_offset),
//!     Err(error) if matches!(error.kind(), StreamError::NotFound { .. }) => println!("create it first"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(()) }
//! ```
//!
//! # Write a library that is independent of the stack
//!
//! Take the types without parameters. An application converts its client with [`Client::to_any`].
//!
//! ```
//! use durable_streams::{DurableStream, Error};
//!
//! /// Appends audit lines to a stream.
//! pub struct Audit {
//!     stream: DurableStream,
//! }
//!
//! impl Audit {
//!     pub fn new(stream: DurableStream) -> Self {
//!         Self { stream }
//!     }
//!
//!     pub async fn log(&self, line: &str) -> Result<(), Error> {
//!         self.stream.append(format!("{line}\n")).await?;
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tokio` | yes | the module `tokio`: tokio and reqwest |
//! | `async-std` | | the module `async_std`: async-std and surf |
//! | `smol` | | the module `smol`: smol and isahc |
//! | `smol-hyper` | | the module `smol_hyper`: smol and hyper |
//! | `tokio-hyper` | | the module `tokio_hyper`: tokio and hyper |
//! | `json` | yes | typed JSON: `append_json`, `json::<T>()`, serde for positions |
//! | `rustls` | yes | TLS by rustls, for the stacks that support it |
//! | `native-tls` | | TLS by the operating system's library, for the stacks that support it |
//! | `http2` | | HTTP/2 where a TLS server offers it, for the stacks that support it |
//! | `compression` | | requests compressed responses and decodes them, on tokio |
//! | `tracing` | | log events for retries, reconnects and epochs |
//! | `full` | | every stack, and every option that needs no system library |
//!
//! Without features the crate is the bare core: no runtime and no HTTP library in its dependency tree.
//!
//! The numbered guarantees of the library, with the tests that show them, are in `docs/guarantees.md` of the repository.

mod checkpoint;
mod client;
mod error;
mod exchange;
mod offset;
mod outage;
mod producer;
mod protocol;
mod reader;
mod retry;
mod stacks;
mod stream;
mod sync;
#[cfg(test)]
mod testing;

pub use bytes::Bytes;
pub use checkpoint::Checkpoint;
pub use chrono::{DateTime, Utc};
pub use client::{Client, ClientBuilder};
pub use durable_streams_contract as contract;
pub use error::{ConfigError, Error, JsonError, StreamError};
pub use exchange::error_action::ErrorAction;
pub use http::{HeaderMap, HeaderName, HeaderValue};
pub use offset::Offset;
pub use outage::{ConnectionStatus, Outage};
pub use producer::{
    Ack, Delivery, IdempotentProducer, ProducerBuilder, ProducerError, ProducerStats, UnackedRecord,
};
pub use reader::{
    ByteStream, CheckpointStore, Chunk, ChunkIterator, FileCheckpointStore, LiveMode, ReaderBuilder,
    StreamRequest, StreamResponse, TextStream, WithCheckpoints,
};
#[cfg(feature = "json")]
pub use reader::{JsonBatch, JsonBatches, JsonStream};
pub use retry::RetryConfig;
#[cfg(feature = "async-std")]
pub use stacks::async_std;
#[cfg(feature = "smol")]
pub use stacks::smol;
#[cfg(feature = "smol-hyper")]
pub use stacks::smol_hyper;
#[cfg(feature = "tokio")]
pub use stacks::tokio;
#[cfg(feature = "tokio-hyper")]
pub use stacks::tokio_hyper;
pub use stream::{
    Append, AppendResponse, CloseResponse, CreateOptions, CreateResponse, DurableStream, Fork, HeadResponse,
    ProducerPosition,
};

#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod __internals {
    pub use crate::protocol::base64::{InvalidBase64, decode};
    use crate::protocol::head::Head;
    pub use crate::protocol::json::{Frame, Framing, FramingError, ItemError, JsonSplitter, batch};
    pub use crate::protocol::sse::{Control, ControlError, EventName, EventTooLarge, SseEvent, SseParser};
    use crate::{Offset, StreamError};
    use http::HeaderMap;
    use std::time::{Duration, SystemTime};

    /// The offset of a response, by each of the three ways to parse its headers: all of them, those that reading needs,
    /// and those of a response that is not a success.
    pub fn response_offsets(headers: &HeaderMap) -> [Result<Option<Offset>, StreamError>; 3] {
        [
            Head::parse(headers).map(|head| head.next_offset),
            Head::for_read(headers).map(|head| head.next_offset),
            Ok(Head::for_refusal(headers).next_offset),
        ]
    }

    /// The wait that a response asks for.
    pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
        crate::protocol::retry_after::retry_after(headers, now)
    }
}

/// The examples of the README, compiled as tests.
#[cfg(all(doctest, feature = "tokio", feature = "json"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
