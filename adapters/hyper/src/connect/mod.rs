//! Opening connections: the trait, and its implementations on async-io and tokio.

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "async-io")]
pub use self::async_io::AsyncIoConnect;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioConnect;

use crate::ByteStream;
#[cfg(any(feature = "async-io", feature = "tokio"))]
use durable_streams_contract::{DefaultRuntime, RuntimeError, Sent, TransportErrorKind};
use durable_streams_contract::{TransportError, async_trait};
use std::net::SocketAddr;

/// Resolves names and opens connections.
///
/// The transport decides which addresses to try and when, and bounds the time that it takes. It asks for a name's addresses
/// again for each new connection.
///
/// A connector for a Unix socket ignores the address:
///
/// ```
/// use durable_streams_contract::{TransportError, async_trait};
/// use durable_streams_hyper::{ByteStream, Connect};
/// use std::net::SocketAddr;
///
/// struct InMemory;
///
/// #[async_trait]
/// impl Connect for InMemory {
///     async fn resolve(&self, _host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError> {
///         Ok(vec![([127, 0, 0, 1], port).into()])
///     }
///
///     async fn connect(&self, _address: SocketAddr) -> Result<ByteStream, TransportError> {
///         Ok(ByteStream::new(futures_lite::io::Cursor::new(Vec::new())))
///     }
/// }
/// ```
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// The addresses of `host`, which is a name and not an address, in the resolver's order.
    ///
    /// # Errors
    ///
    /// [`Dns`](durable_streams_contract::TransportErrorKind::Dns) where the name does not resolve.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the resolution up.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError>;

    /// A connection to `address`. It should not delay small writes (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// [`Connect`](durable_streams_contract::TransportErrorKind::Connect) where there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    async fn connect(&self, address: SocketAddr) -> Result<ByteStream, TransportError>;
}

/// The error of a failed resolution.
#[cfg(any(feature = "async-io", feature = "tokio"))]
fn dns_error(error: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Dns).with_message(error.to_string()).with_source(error)
}

/// The error of a failed connection attempt.
#[cfg(any(feature = "async-io", feature = "tokio"))]
fn connect_error(address: SocketAddr, error: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Connect)
        .with_message(format!("{address}: {error}"))
        .with_source(error)
}

/// The runtime of the code that calls this, for a transport that a client builds itself.
#[cfg(any(feature = "async-io", feature = "tokio"))]
fn current<R: DefaultRuntime>() -> Result<R, TransportError> {
    R::current().map_err(no_runtime)
}

#[cfg(any(feature = "async-io", feature = "tokio"))]
fn no_runtime(error: RuntimeError) -> TransportError {
    TransportError::new(TransportErrorKind::Runtime).with_sent(Sent::No).with_message(error.to_string())
}
