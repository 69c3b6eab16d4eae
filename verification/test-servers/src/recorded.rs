//! Requests as a test looks at them.

use std::time::Instant;

use bytes::Bytes;

use crate::headers::Headers;

/// A request that a [`Proxy`](crate::Proxy) or a [`Script`](crate::Script) has received in full.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent: nothing is decoded.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, without its transfer coding.
    pub body: Bytes,
    /// When its last byte had arrived.
    pub at: Instant,
    /// Which connection it came on; the first is 0. Requests with the same number shared a connection.
    pub connection: u64,
}

impl Recorded {
    /// The target up to its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of a query parameter, as sent: percent-encoding is not decoded. Empty for a key without `=`.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The first value of a header, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_but_not_decoded() {
        let mut request = Recorded {
            method: "GET".into(),
            target: "/a%20b?live=sse&offset=1%2F2&flag".into(),
            headers: Headers::new(),
            body: Bytes::new(),
            at: Instant::now(),
            connection: 0,
        };
        assert_eq!(request.path(), "/a%20b");
        assert_eq!(request.query("offset"), Some("1%2F2"));
        assert_eq!((request.query("flag"), request.query("off")), (Some(""), None));
        request.target = "/a".into();
        assert_eq!((request.path(), request.query("live")), ("/a", None));
    }
}
