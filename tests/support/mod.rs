//! What the scenarios share: a trait for the stacks, streams of their own, and reads that bypass the client.

pub mod live;
mod stack;
mod stacks;
mod streams;
pub mod usage_examples;

pub use stack::{Chunks, Stack, StackStream};
pub use stacks::*;
pub use streams::{new_stream, numbered, on_each_server, scripted, stored, unique};
