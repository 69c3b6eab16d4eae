//! async-std and surf.

pub use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};

super::aliases::aliases!(SurfTransport, AsyncStdRuntime, "async-std and surf");
