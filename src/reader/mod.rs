//! Reading a stream: what is there, and what comes.

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
    fn readers_can_be_borrowed_by_tasks_that_move_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<(ReaderBuilder, StreamResponse, ChunkIterator, ByteStream, TextStream)>();
        #[cfg(feature = "json")]
        check::<(JsonStream<String>, JsonBatches<String>, WithCheckpoints<JsonStream<String>>)>();
    }
}
