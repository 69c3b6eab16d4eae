//! Reading a stream: what is there, and what comes.

mod builder;
mod chunk;
mod chunks;
mod driver;
mod machine;
mod options;

pub use builder::ReaderBuilder;
pub use chunk::Chunk;
pub use chunks::ChunkIterator;
pub use options::{ErrorAction, LiveMode};
