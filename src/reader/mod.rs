//! Reading a stream: what is there, and what comes.

mod ahead;
mod builder;
mod bytes;
mod chunk;
mod chunks;
mod driver;
#[cfg(feature = "json")]
mod json;
mod machine;
mod options;
mod request;
mod response;
mod source;
mod store;
mod text;
#[cfg(feature = "json")]
mod texts;
mod view;

pub use builder::ReaderBuilder;
pub use bytes::ByteStream;
pub use chunk::Chunk;
pub use chunks::ChunkIterator;
#[cfg(feature = "json")]
pub use json::{JsonBatch, JsonBatches, JsonStream};
pub use options::LiveMode;
pub use request::StreamRequest;
pub use response::StreamResponse;
pub use store::{CheckpointStore, FileCheckpointStore};
pub use text::TextStream;
pub use view::WithCheckpoints;

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
