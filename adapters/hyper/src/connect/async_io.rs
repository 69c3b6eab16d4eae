use super::connector::Connect;
use super::errors::{connect_error, dns_error};
use crate::byte_stream::ByteStream;
use async_io::Async;
use durable_streams_contract::{TransportError, async_trait};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

/// Connections of [async-io](https://docs.rs/async-io), whose reactor is there from anywhere: for smol, async-std and every
/// other executor.
///
/// Names are resolved by the operating system, on a thread of the crate `blocking`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIoConnect(());

impl AsyncIoConnect {
    /// The connector.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

#[async_trait]
impl Connect for AsyncIoConnect {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError> {
        let host = host.to_owned();
        let addresses = blocking::unblock(move || (host.as_str(), port).to_socket_addrs()).await;
        Ok(addresses.map_err(dns_error)?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> Result<ByteStream, TransportError> {
        let stream =
            Async::<TcpStream>::connect(address).await.map_err(|error| connect_error(address, error))?;
        // Without it a write in two parts waits for an acknowledgement.
        stream.get_ref().set_nodelay(true).map_err(|error| connect_error(address, error))?;
        Ok(ByteStream::new(stream).with_vectored_writes(true))
    }
}
