//! Opening connections: the trait, and its implementations on async-io and tokio.

#[cfg(feature = "async-io")]
mod async_io;
mod connector;
#[cfg(any(feature = "async-io", feature = "tokio"))]
mod errors;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "async-io")]
pub use self::async_io::AsyncIoConnect;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioConnect;
pub use connector::Connect;
