//! Proxies of the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case.

use crate::byte_stream::ByteStream;
use crate::classify::{Phase, classify};
use crate::origin::Origin;
use crate::upload::Upload;
use crate::wire::Wire;
use bytes::Bytes;
use durable_streams_contract::{Sent, TransportError, TransportErrorKind};
use futures_lite::future::or;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, Uri};
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::Matcher;

/// Which requests go through which proxy.
pub(crate) struct Proxies(Matcher);

/// The proxy of an origin.
pub(crate) struct Proxy {
    pub(crate) origin: Origin,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxies {
    pub(crate) fn of_environment() -> Self {
        Self(Matcher::from_env())
    }

    /// The proxy for requests to `uri`, if there is one.
    pub(crate) fn proxy_of(&self, uri: &Uri) -> Result<Option<Proxy>, TransportError> {
        let Some(found) = self.0.intercept(uri) else { return Ok(None) };
        let origin = Origin::of(found.uri()).map_err(|_| {
            let scheme = found.uri().scheme_str().unwrap_or("missing");
            TransportError::new(TransportErrorKind::Unsupported).with_message(format!(
                "the scheme of the proxy is {scheme}, and only http and https are supported"
            ))
        })?;
        Ok(Some(Proxy { origin, authorization: found.basic_auth().cloned() }))
    }
}

/// A connection to `authority` through the proxy at the other end of `stream` (RFC 9110, section 9.3.6).
pub(crate) async fn tunnel(
    stream: ByteStream,
    authority: &str,
    authorization: Option<HeaderValue>,
) -> Result<ByteStream, TransportError> {
    let failed = |error| {
        let error = classify(error, Phase::Head, Sent::No);
        refused(format!("the proxy did not open a tunnel: {error}")).with_source(error)
    };
    let (wire, _) = Wire::new(stream);
    let (mut sender, driver) = http1::handshake::<_, Upload>(wire).await.map_err(failed)?;
    let driver = driver.with_upgrades();
    let mut request = Request::new(Upload::whole(Bytes::new()));
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(|_| refused(format!("{authority} is no authority")))?;
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(authorization) = authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
    }
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(refused(format!("the proxy answered CONNECT with {}", response.status())));
        }
        hyper::upgrade::on(response).await.map_err(failed)
    };
    let drive = async {
        // Its error reaches the exchange.
        let _ = driver.await;
        std::future::pending().await
    };
    let parts = or(exchange, drive)
        .await?
        .downcast::<Wire>()
        .map_err(|_| refused("the proxy's connection is lost".to_owned()))?;
    if !parts.read_buf.is_empty() {
        return Err(refused("the proxy sent bytes behind its answer to CONNECT".to_owned()));
    }
    Ok(parts.io.into_stream())
}

fn refused(message: String) -> TransportError {
    TransportError::new(TransportErrorKind::Connect).with_message(message)
}
