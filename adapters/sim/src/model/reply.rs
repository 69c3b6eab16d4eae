use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

pub(super) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
pub(super) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
pub(super) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
pub(super) const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
pub(super) const TTL: HeaderName = HeaderName::from_static("stream-ttl");
pub(super) const EXPIRES_AT: HeaderName = HeaderName::from_static("stream-expires-at");
pub(super) const SEQ: HeaderName = HeaderName::from_static("stream-seq");
pub(super) const FORKED_FROM: HeaderName = HeaderName::from_static("stream-forked-from");
pub(super) const FORK_OFFSET: HeaderName = HeaderName::from_static("stream-fork-offset");
pub(super) const FORK_SUB_OFFSET: HeaderName = HeaderName::from_static("stream-fork-sub-offset");
pub(super) const PRODUCER_ID: HeaderName = HeaderName::from_static("producer-id");
pub(super) const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
pub(super) const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");
pub(super) const EXPECTED_SEQ: HeaderName = HeaderName::from_static("producer-expected-seq");
pub(super) const RECEIVED_SEQ: HeaderName = HeaderName::from_static("producer-received-seq");
pub(super) const SSE_ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");

/// An answer without a body.
pub(super) fn status(status: u16) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

/// A refusal and its reason.
pub(super) fn error(code: u16, reason: &'static str) -> Response<Bytes> {
    let mut answer = status(code).map(|_| Bytes::from_static(reason.as_bytes()));
    answer.set(http::header::CONTENT_TYPE, "text/plain");
    answer
}

pub(super) trait Set {
    /// Sets a header to a text.
    fn set(&mut self, name: HeaderName, value: &str);

    /// Sets a header to a number.
    fn set_number(&mut self, name: HeaderName, value: u64);
}

impl<T> Set for Response<T> {
    fn set(&mut self, name: HeaderName, value: &str) {
        // What the model writes is legal; what came from a request was legal there.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers_mut().insert(name, value);
        }
    }

    fn set_number(&mut self, name: HeaderName, value: u64) {
        self.headers_mut().insert(name, HeaderValue::from(value));
    }
}

/// The text of a request's header.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// The query's values for `key`, percent-decoded.
pub(super) fn query(uri: &http::Uri, key: &str) -> Vec<String> {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.split_once('=').or(Some((pair, ""))))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| decode(value))
        .collect()
}

/// Percent-decoding as of a form: `+` is a space.
fn decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%')
            .then(|| value.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        match hex {
            Some(byte) => {
                out.push(byte);
                i += 2;
            }
            None => out.push(if bytes[i] == b'+' { b' ' } else { bytes[i] }),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let uri: http::Uri = "http://h/p?offset=a%2Bb+c%zz&live=sse&offset=".parse().expect("a URI");
        assert_eq!(query(&uri, "offset"), ["a+b c%zz", ""]);
        assert_eq!(query(&uri, "live"), ["sse"]);
        assert!(query(&uri, "cursor").is_empty());
    }
}
