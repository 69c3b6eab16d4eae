//! From an origin to an open connection.

use crate::byte_stream::ByteStream;
use crate::connect::Connect;
use crate::http1;
#[cfg(feature = "http2")]
use crate::http2;
use crate::origin::Origin;
use crate::proxy::{Proxies, Proxy, tunnel};
use crate::race::connect_first;
#[cfg(feature = "rustls")]
use crate::tls::Tls;
use durable_streams_contract::{AnyRuntime, Sent, Timer, TransportError, TransportErrorKind};
use futures_lite::future::or;
use http::Uri;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Dialer {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) runtime: AnyRuntime,
    pub(crate) connect_timeout: Duration,
    pub(crate) proxies: Option<Proxies>,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Tls,
    /// Servers without TLS speak HTTP/2. A proxy before them does not.
    #[cfg(feature = "http2")]
    pub(crate) http2_prior_knowledge: bool,
    #[cfg(feature = "http2")]
    pub(crate) keep_alive: http2::KeepAlive,
}

/// An open connection, by the protocol that both sides agreed on.
pub(crate) enum Opened {
    Http1(Box<http1::Connection>),
    #[cfg(feature = "http2")]
    Http2(http2::Connection),
}

impl Dialer {
    /// The proxy for requests to `uri`, if there is one.
    pub(crate) fn proxy_of(&self, uri: &Uri) -> Result<Option<Proxy>, TransportError> {
        self.proxies.as_ref().map_or(Ok(None), |proxies| proxies.proxy_of(uri))
    }

    /// Whether a connection to this origin may turn out to be HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn may_share(&self, origin: &Origin) -> bool {
        origin.tls || self.http2_prior_knowledge
    }

    /// The output of `opening`, within the connect timeout.
    pub(crate) async fn in_time<O>(
        &self,
        opening: impl Future<Output = Result<O, TransportError>>,
    ) -> Result<O, TransportError> {
        let late = async {
            self.runtime.sleep(self.connect_timeout).await;
            Err(TransportError::new(TransportErrorKind::Timeout)
                .with_message(format!("no connection within {:?}", self.connect_timeout)))
        };
        // Nothing of the request has left.
        or(opening, late).await.map_err(|error| error.with_sent(Sent::No))
    }

    /// Resolves, connects and shakes hands.
    pub(crate) async fn open(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
    ) -> Result<Opened, TransportError> {
        let stream = match proxy {
            None => self.connect_tcp(origin).await?,
            Some(proxy) => self.connect_through(proxy, origin).await?,
        };
        let (stream, http2) =
            if origin.tls { self.handshake(origin, stream).await? } else { (stream, false) };
        #[cfg(feature = "http2")]
        if http2 || (!origin.tls && proxy.is_none() && self.http2_prior_knowledge) {
            return Ok(Opened::Http2(http2::Connection::open(stream, &self.runtime, self.keep_alive).await?));
        }
        #[cfg(not(feature = "http2"))]
        let _: bool = http2;
        Ok(Opened::Http1(http1::Connection::open(stream).await?))
    }

    async fn connect_tcp(&self, origin: &Origin) -> Result<ByteStream, TransportError> {
        let addresses = match origin.address() {
            Some(address) => vec![(address, origin.port).into()],
            None => self.connect.resolve(&origin.host, origin.port).await?,
        };
        connect_first(&*self.connect, &self.runtime, addresses).await
    }

    /// A connection to the proxy for an origin without TLS, and through it for one with TLS.
    async fn connect_through(&self, proxy: &Proxy, origin: &Origin) -> Result<ByteStream, TransportError> {
        let mut stream = self.connect_tcp(&proxy.origin).await?;
        if proxy.origin.tls {
            stream = self.handshake_with_proxy(&proxy.origin, stream).await?;
        }
        if origin.tls {
            stream = tunnel(stream, &origin.authority(), proxy.authorization.clone()).await?;
        }
        Ok(stream)
    }

    #[cfg(feature = "rustls")]
    async fn handshake(
        &self,
        origin: &Origin,
        stream: ByteStream,
    ) -> Result<(ByteStream, bool), TransportError> {
        self.tls.connect(&origin.host, stream).await
    }

    #[cfg(feature = "rustls")]
    async fn handshake_with_proxy(
        &self,
        proxy: &Origin,
        stream: ByteStream,
    ) -> Result<ByteStream, TransportError> {
        self.tls.connect_http1(&proxy.host, stream).await
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    async fn handshake(&self, _: &Origin, _: ByteStream) -> Result<(ByteStream, bool), TransportError> {
        Err(without_tls())
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    async fn handshake_with_proxy(&self, _: &Origin, _: ByteStream) -> Result<ByteStream, TransportError> {
        Err(without_tls())
    }
}

/// The error of an https URL in a build without TLS.
#[cfg(not(feature = "rustls"))]
pub(crate) fn without_tls() -> TransportError {
    TransportError::new(TransportErrorKind::Unsupported)
        .with_message("https needs the feature `rustls` of durable-streams-client or durable-streams-hyper")
}
