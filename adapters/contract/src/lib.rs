//! The line between the Durable Streams client and the world.
//!
//! The client decides which request to send, when to retry and where to resume. A stack does the rest:
//! [`HttpTransport`] sends a request, [`Executor`] runs a task, [`Timer`] reads the clock and sleeps.
//! A crate that implements these three is a complete stack; the client runs on it unchanged.
//!
//! Each trait's documentation states what an implementation must do. The feature `suite` adds the
//! tests that hold an implementation to it.

mod body;
mod error;
mod runtime;
#[cfg(feature = "suite")]
pub mod suite;
mod transport;
mod upload;

pub use async_trait::async_trait;
pub use body::Body;
pub use error::{Sent, TransportError, TransportErrorKind};
pub use runtime::{AnyRuntime, DefaultRuntime, Executor, Runtime, RuntimeError, Sleep, Task, Timer};
pub use transport::{
    AnyTransport, DefaultTransport, HeadMayBeCut, HttpTransport, SendOptions, TransportOptions,
};
pub use upload::UploadProgress;
