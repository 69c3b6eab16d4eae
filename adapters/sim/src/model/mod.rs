//! A Durable Streams server in memory, without I/O and without a clock of its own.

#![expect(clippy::result_large_err, reason = "a refusal is a response, with its headers")]

mod append;
mod create;
mod dialect;
mod live;
mod moment;
mod offset;
mod options;
mod pending;
mod read;
mod reply;
mod server;
mod start;
mod stream;

pub use dialect::Dialect;
pub use moment::Moment;
pub use offset::OffsetStyle;
pub use options::ServerOptions;
pub use pending::{Events, Step, Wait};
pub use server::{Handled, Model};
pub use stream::StreamView;
