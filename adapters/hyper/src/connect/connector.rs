use crate::byte_stream::ByteStream;
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
