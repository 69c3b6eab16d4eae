//! One stream: its handle, and the operations that are one request each.

mod append;
mod create;
pub(crate) mod handle;
mod operations;
mod responses;
pub(crate) mod values;

pub use append::Append;
pub use create::{CreateOptions, Fork};
pub use handle::DurableStream;
pub use responses::{AppendResponse, CloseResponse, CreateResponse, HeadResponse, ProducerPosition};
