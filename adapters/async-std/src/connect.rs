//! From an origin to an open connection.

use crate::SurfTransport;
use async_std::io::{Read, Write};
use async_std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use durable_streams_contract::{TransportError, TransportErrorKind};
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll};
use surf::Url;
use surf::http::url::Host;

/// Scheme, host and port: what a connection is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    tls: bool,
    host: Host<String>,
    port: u16,
}

impl Origin {
    pub(crate) fn of(url: &Url) -> std::result::Result<Self, TransportError> {
        let tls = match url.scheme() {
            "http" => false,
            "https" if SurfTransport::supports_tls() => true,
            "https" => {
                return Err(TransportError::new(TransportErrorKind::Unsupported)
                    .with_message("https needs the feature `native-tls` of durable-streams-client or durable-streams-async-std"));
            }
            other => {
                return Err(TransportError::new(TransportErrorKind::InvalidRequest)
                    .with_message(format!("the scheme is {other}, not http or https")));
            }
        };
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { tls, host: host.to_owned(), port }),
            _ => {
                Err(TransportError::new(TransportErrorKind::InvalidRequest)
                    .with_message("the URL has no host"))
            }
        }
    }

    /// Looks the host up, connects, and shakes hands.
    pub(crate) async fn connect(&self) -> std::result::Result<Io, TransportError> {
        let stream = self.connect_tcp().await?;
        // Without it a write in two parts waits for an acknowledgement.
        stream.set_nodelay(true).map_err(connect_failed)?;
        if self.tls { self.handshake(stream).await } else { Ok(Io::Tcp(stream)) }
    }

    async fn connect_tcp(&self) -> std::result::Result<TcpStream, TransportError> {
        let addresses: Vec<SocketAddr> = match &self.host {
            Host::Ipv4(ip) => vec![(*ip, self.port).into()],
            Host::Ipv6(ip) => vec![(*ip, self.port).into()],
            Host::Domain(name) => {
                let addresses = (name.as_str(), self.port).to_socket_addrs().await;
                addresses
                    .map_err(|error| TransportError::new(TransportErrorKind::Dns).with_source(error))?
                    .collect()
            }
        };
        let mut last = TransportError::new(TransportErrorKind::Dns).with_message("the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = connect_failed(error),
            }
        }
        Err(last)
    }

    #[cfg(feature = "native-tls")]
    async fn handshake(&self, stream: TcpStream) -> std::result::Result<Io, TransportError> {
        let host = match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        match async_native_tls::TlsConnector::new().connect(host, stream).await {
            Ok(stream) => Ok(Io::Tls(Box::new(stream))),
            Err(error) => {
                // Below a broken connection is an I/O error; OpenSSL has none for its plain end.
                let mut broken = error.to_string().contains("unexpected EOF");
                let mut source = std::error::Error::source(&error);
                while let Some(inner) = source {
                    broken |= inner.is::<std::io::Error>();
                    source = inner.source();
                }
                let kind = if broken { TransportErrorKind::Connect } else { TransportErrorKind::Tls };
                Err(TransportError::new(kind).with_message(error.to_string()).with_source(error))
            }
        }
    }

    #[cfg(not(feature = "native-tls"))]
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    async fn handshake(&self, _stream: TcpStream) -> std::result::Result<Io, TransportError> {
        Err(TransportError::new(TransportErrorKind::Unsupported))
    }
}

fn connect_failed(error: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Connect).with_message(error.to_string()).with_source(error)
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Io {
    Tcp(TcpStream),
    #[cfg(feature = "native-tls")]
    Tls(Box<async_native_tls::TlsStream<TcpStream>>),
}

impl Io {
    /// Whether nothing came while it was idle: neither its end, nor bytes that nobody asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let waker = std::task::Waker::noop();
        let mut byte = [0];
        Pin::new(self).poll_read(&mut Context::from_waker(waker), &mut byte).is_pending()
    }
}

impl Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "native-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "native-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "native-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_close(cx),
            #[cfg(feature = "native-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}
