use durable_streams_contract::{TransportError, TransportErrorKind};
use http::Uri;
use http::header::HeaderValue;
use http::uri::Scheme;
use std::net::IpAddr;

/// Scheme, host and port: what a connection is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    /// In lower case; an IPv6 address without its brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Result<Self, TransportError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            scheme => {
                let scheme = scheme.map_or("missing", Scheme::as_str);
                return Err(TransportError::new(TransportErrorKind::InvalidRequest)
                    .with_message(format!("the scheme is {scheme}, not http or https")));
            }
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| {
            TransportError::new(TransportErrorKind::InvalidRequest).with_message("the URL has no host")
        })?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase().into_boxed_str();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port })
    }

    /// The host as an address, if it is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The `host` and port of a `CONNECT` request.
    pub(crate) fn authority(&self) -> String {
        match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The `Host` header of a request to `uri`: without user information, and without the scheme's own port.
pub(crate) fn host_header(uri: &Uri, tls: bool) -> Option<HeaderValue> {
    let host = uri.host()?;
    match uri.port_u16() {
        Some(port) if port != if tls { 443 } else { 80 } => {
            HeaderValue::from_maybe_shared(format!("{host}:{port}")).ok()
        }
        _ => HeaderValue::from_str(host).ok(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn origin(uri: &'static str) -> Origin {
        Origin::of(&Uri::from_static(uri)).unwrap()
    }

    #[test]
    fn origin_without_a_port_has_the_schemes_port() {
        assert_eq!(origin("http://example.com/a").port, 80);
        assert_eq!(origin("https://example.com/a").port, 443);
    }

    #[test]
    fn origins_that_differ_in_case_alone_are_equal() {
        assert_eq!(origin("http://EXAMPLE.com/a"), origin("http://example.com:80/b"));
    }

    #[test]
    fn ipv6_host_is_an_address_and_has_brackets_in_its_authority() {
        let origin = origin("http://[::1]:8080/a");
        assert!(origin.address().is_some());
        assert_eq!(origin.authority(), "[::1]:8080");
    }

    #[test]
    fn host_header_has_neither_user_information_nor_the_default_port() {
        let header = |uri, tls| host_header(&Uri::from_static(uri), tls).unwrap();
        assert_eq!(header("http://user:secret@example.com:80/a", false), "example.com");
        assert_eq!(header("http://[::1]:81/", false), "[::1]:81");
        assert_eq!(header("https://example.com:80/", true), "example.com:80");
    }
}
