//! Servers to test against: two real ones, a proxy that injects faults, and a scripted one.
//!
//! | what | from where | good for |
//! |---|---|---|
//! | [`RustServer`] | crates.io, installed once under the target directory | nearly everything; examples and load |
//! | [`NodeServer`] | npm, installed once under the target directory | paging, subscriptions, injected errors |
//! | [`Proxy`] | here | faults between a client and a real server: resets, delays, cut and edited answers |
//! | [`Script`] | here | answers that no real server gives, byte for byte |
//!
//! Everything is blocking and built on `std` alone, so tests on any runtime (and on none) can use it. A
//! server lives in its own process and ends when its value is dropped, and also when the test process dies
//! before it could drop anything.
//!
//! The crate knows nothing of the client under test. [`direct`] sends single requests without it, for a
//! test that must know what the server truly holds.

mod connection;
mod direct;
mod front;
mod headers;
mod message;
mod node_server;
mod port;
mod process;
mod proxy;
mod recorded;
mod rust_server;
mod script;
mod server;
mod sync;
mod temp;
mod tools;

pub use direct::{DirectResponse, direct};
pub use headers::Headers;
pub use node_server::{NodeServer, NodeServerBuilder, skip_without_node};
pub use proxy::{Action, Cut, End, Proxy, ResponseHead};
pub use recorded::Recorded;
pub use rust_server::{Durability, RustServer, RustServerBuilder};
pub use script::{Exchange, Flag, Script, sse_control, sse_data, stream_headers};
pub use sync::wait_until;
