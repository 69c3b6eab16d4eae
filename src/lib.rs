#![doc = include_str!("../README.md")]

mod checkpoint;
mod client;
mod error;
mod exchange;
mod offset;
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
#[cfg(feature = "tokio")]
pub use stacks::tokio;
pub use stream::{
    Append, AppendResponse, CloseResponse, CreateOptions, CreateResponse, DurableStream, Fork, HeadResponse,
    ProducerPosition,
};

#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod __internals {
    pub use crate::protocol::base64::{InvalidBase64, decode};
    pub use crate::protocol::json::{Frame, Framing, FramingError, ItemError, JsonSplitter, batch};
    pub use crate::protocol::sse::{Control, ControlError, EventName, EventTooLarge, SseEvent, SseParser};
}
