//! One exchange: which connection it takes, and when it moves to another.

use crate::dial::{Dialer, Opened};
use crate::http1;
use crate::http1_body::{self, Home};
#[cfg(feature = "http2")]
use crate::http2;
use crate::origin::Origin;
use crate::pool::Pool;
use crate::proxy::Proxy;
use crate::request;
use crate::upload::Upload;
use bytes::Bytes;
use durable_streams_contract::{Body, SendOptions, TransportError};
use http::{Request, Response};
use std::sync::Arc;
use std::time::Instant;

/// The exchanges of a transport.
pub(crate) struct Exchanges {
    dialer: Dialer,
    pool: Arc<Pool>,
}

/// What an exchange runs on.
enum Link {
    /// A connection of its own, and whether it was opened for this exchange.
    Http1(Box<http1::Connection>, bool),
    #[cfg(feature = "http2")]
    Http2(http2::Stream),
}

impl Exchanges {
    pub(crate) fn new(dialer: Dialer, pool: Pool) -> Self {
        Self { dialer, pool: Arc::new(pool) }
    }

    pub(crate) async fn send(
        &self,
        mut request: Request<Bytes>,
        options: &SendOptions,
    ) -> Result<Response<Body>, TransportError> {
        let origin = Origin::of(request.uri())?;
        #[cfg(not(feature = "rustls"))]
        if origin.tls {
            return Err(crate::dial::without_tls());
        }
        let proxy = self.dialer.proxy_of(request.uri())?;
        let fresh_since = options.is_fresh_connection().then(|| {
            self.pool.discard(&origin);
            Instant::now()
        });
        let uri = request.uri().clone();
        #[cfg(feature = "http2")]
        let mut moved = false;
        loop {
            match self.link(&origin, proxy.as_ref(), options.is_live(), fresh_since).await? {
                Link::Http1(connection, is_new) => {
                    let request1 = request::http1(request, &origin, proxy.as_ref());
                    match connection.send(request1, options.upload().cloned()).await {
                        Ok((response, exchange)) => {
                            let (head, incoming) = response.into_parts();
                            let home = Home { pool: Arc::clone(&self.pool), origin };
                            return Ok(Response::from_parts(
                                head,
                                http1_body::body(exchange, incoming, home),
                            ));
                        }
                        // It ended while it was idle.
                        Err(http1::Failure { request: Some(unsent), .. }) if !is_new => {
                            request = unsent.map(Upload::into_bytes);
                            *request.uri_mut() = uri.clone();
                        }
                        Err(failure) => return Err(failure.error),
                    }
                }
                #[cfg(feature = "http2")]
                Link::Http2(stream) => match stream.send(request::http2(request.clone(), options)).await {
                    Ok(response) => return Ok(response),
                    Err(failure) if failure.went_away && !moved => moved = true,
                    Err(failure) => return Err(failure.error),
                },
            }
        }
    }

    /// A connection or stream that is good for a request now; with `fresh_since`, one that was opened since.
    async fn link(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        live: bool,
        fresh_since: Option<Instant>,
    ) -> Result<Link, TransportError> {
        #[cfg(feature = "http2")]
        if let Some(stream) = self.pool.take_stream(origin, live, fresh_since) {
            return Ok(Link::Http2(stream));
        }
        if fresh_since.is_none()
            && let Some(connection) = self.pool.take_idle(origin)
        {
            return Ok(Link::Http1(connection, false));
        }
        self.dialer.in_time(self.open_or_wait(origin, proxy, live, fresh_since)).await
    }

    /// A new connection, or a stream on one that another exchange opens.
    #[cfg_attr(not(feature = "http2"), expect(unused_variables, reason = "only HTTP/2 shares connections"))]
    async fn open_or_wait(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        live: bool,
        fresh_since: Option<Instant>,
    ) -> Result<Link, TransportError> {
        #[cfg(feature = "http2")]
        if self.dialer.may_share(origin) && !self.pool.speaks_http1(origin) {
            // One exchange opens, and the others wait for what it finds out.
            let opening = self.pool.opening(origin);
            let _guard = opening.lock().await;
            if let Some(stream) = self.pool.take_stream(origin, live, fresh_since) {
                return Ok(Link::Http2(stream));
            }
            if !self.pool.speaks_http1(origin) {
                return self.open(origin, proxy, live).await;
            }
        }
        self.open(origin, proxy, live).await
    }

    #[cfg_attr(not(feature = "http2"), expect(unused_variables, reason = "only HTTP/2 shares connections"))]
    async fn open(&self, origin: &Origin, proxy: Option<&Proxy>, live: bool) -> Result<Link, TransportError> {
        match self.dialer.open(origin, proxy).await? {
            Opened::Http1(connection) => {
                #[cfg(feature = "http2")]
                self.pool.set_speaks_http1(origin);
                Ok(Link::Http1(connection, true))
            }
            #[cfg(feature = "http2")]
            Opened::Http2(connection) => {
                let stream = connection.reserve();
                self.pool.share(origin, connection, live);
                stream.map(Link::Http2).ok_or_else(http2::no_streams)
            }
        }
    }
}
