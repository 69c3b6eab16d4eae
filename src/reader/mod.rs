//! Readers: the data that exists, and new data as it is appended.
//!
//! From bottom to top: [`position`] and [`output`], the [`machine`], the [`driver`], [`prefetch`], a [`started`] reader,
//! the [`views`] of its content, and the [`builder`]. Imports point down this list.

mod builder;
mod driver;
mod machine;
mod options;
mod output;
mod position;
mod prefetch;
mod request;
mod response;
mod started;
mod store;
mod views;

pub use builder::ReaderBuilder;
pub use options::LiveMode;
pub use output::Chunk;
pub use request::StreamRequest;
pub use response::StreamResponse;
pub use store::{CheckpointStore, FileCheckpointStore};
pub use views::bytes::ByteStream;
pub use views::chunks::ChunkIterator;
#[cfg(feature = "json")]
pub use views::json::{JsonBatch, JsonBatches, JsonStream};
pub use views::text::TextStream;
pub use views::with_checkpoints::WithCheckpoints;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_send_and_sync() {
        fn check<T: Send + Sync>() {}
        check::<(ReaderBuilder, StreamResponse, ChunkIterator, ByteStream, TextStream)>();
        #[cfg(feature = "json")]
        check::<(JsonStream<String>, JsonBatches<String>, WithCheckpoints<JsonStream<String>>)>();
    }
}
