//! From a response that is not a success to an error.

use super::encoding::check_encoding;
use super::head::Head;
use super::operation::Operation;
use super::retry_after::retry_after;
use crate::error::{Context, Error, StreamError};
use crate::offset::Offset;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// A response whose status is not a success.
pub(crate) struct Refusal<'a> {
    pub(crate) operation: Operation,
    pub(crate) url: &'a str,
    /// The offset that was asked for.
    pub(crate) offset: Option<&'a Offset>,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// The start of the body.
    pub(crate) message: &'a [u8],
    /// The size of the body that was sent.
    pub(crate) size: usize,
}

impl Refusal<'_> {
    /// The error of this response. `now` is the wall clock, for a date in `Retry-After`.
    pub(crate) fn into_error(self, now: SystemTime) -> Error {
        // An encoded body has no text to show.
        let message = check_encoding(self.headers).ok().and_then(|()| describe(self.message));
        let retry_after = retry_after(self.headers, now);
        // The epoch is meaningful only in the refusal of an append: elsewhere a 403 is about credentials.
        let is_append = matches!(self.operation, Operation::Append | Operation::Close);
        let server_epoch = match self.status {
            StatusCode::FORBIDDEN if is_append => Head::for_refusal(self.headers).producer_epoch,
            _ => None,
        };
        let kind = self.kind(message.as_deref(), retry_after);
        Error::with_context(
            kind,
            Context {
                operation: Some(self.operation.name()),
                url: Some(self.url.to_owned()),
                status: Some(self.status),
                server_message: message,
                offset: self.offset.cloned(),
                retry_after,
                server_epoch,
                ..Context::default()
            },
        )
    }

    fn kind(&self, message: Option<&str>, retry_after: Option<Duration>) -> StreamError {
        let url = || self.url.to_owned();
        let message_or_reason =
            || message.or(self.status.canonical_reason()).unwrap_or("no reason given").to_owned();
        match self.status.as_u16() {
            304 => StreamError::NotModified,
            300..=399 => StreamError::Redirect {
                reason: format!("{} is not a redirect that clients follow", self.status),
            },
            401 => StreamError::Unauthorized,
            403 => StreamError::Forbidden,
            404 => StreamError::NotFound { url: url() },
            405 | 501 => StreamError::NotSupported,
            // On a create, 409 is about the configuration. On an append it has three meanings, which the headers
            // distinguish.
            409 if self.operation == Operation::Create => StreamError::Conflict,
            409 => match Head::for_refusal(self.headers) {
                Head { closed: true, next_offset, .. } => {
                    StreamError::StreamClosed { final_offset: next_offset }
                }
                Head { expected_seq: Some(expected), received_seq: received, .. } => {
                    let received = received.map(|seq| format!(", and received {seq}")).unwrap_or_default();
                    StreamError::SeqConflict(format!(
                        "the server expects the producer's seq {expected}{received}"
                    ))
                }
                _ => StreamError::SeqConflict(message_or_reason()),
            },
            // On a read, the data before some offset is gone. Elsewhere the stream is.
            410 => match self.offset {
                Some(offset) => StreamError::OffsetGone { offset: offset.to_string() },
                None => StreamError::Gone { url: url() },
            },
            413 => StreamError::PayloadTooLarge { size: self.size },
            429 => StreamError::RateLimited { retry_after },
            // 408, 421 and 425 are the client's by number, but the server's by meaning: the same request may succeed later, or
            // on another connection.
            408 | 421 | 425 | 500.. => {
                StreamError::ServerError { status: self.status.as_u16(), message: message_or_reason() }
            }
            200..=299 => {
                let operation = self.operation.name();
                StreamError::protocol(format!(
                    "the response to {operation} has the unexpected status {}",
                    self.status
                ))
            }
            400 => StreamError::BadRequest { message: message_or_reason() },
            status => StreamError::ClientError { status, message: message_or_reason() },
        }
    }
}

/// The server's message on one line, or `None` if it is empty.
fn describe(message: &[u8]) -> Option<String> {
    let message = &message[..message.len().min(Context::MAX_MESSAGE)];
    let text = String::from_utf8_lossy(message);
    // Control characters could change the terminal that a log is shown on.
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn message_is_bounded_and_has_no_control_characters() {
        let long = "é".repeat(100_000);
        let of = |name| Head::parse(&HeaderMap::from_iter([(name, HeaderValue::from_str(&long).unwrap())]));
        for name in ["stream-next-offset", "stream-ttl", "stream-expires-at"] {
            let error = of(HeaderName::from_static(name)).unwrap_err().to_string();
            assert!(error.len() < 500 && error.contains("(200000 bytes)"), "{error}");
        }
        let refused = |headers: &HeaderMap, message: &[u8]| {
            let (operation, status) = (Operation::Read, StatusCode::BAD_GATEWAY);
            Refusal { operation, url: "http://h/s", offset: None, status, headers, message, size: 0 }
                .into_error(SystemTime::UNIX_EPOCH)
                .to_string()
        };
        let error = refused(&HeaderMap::new(), b"\x1b[31mno\0\r\n\tway\x07");
        assert!(error.contains("[31mno way;") || error.ends_with("[31mno way"), "{error:?}");
        assert!(!error.contains(char::is_control), "{error:?}");
        let error = refused(&headers(&[("content-encoding", "gzip")]), b"\x1f\x8b\x08garbage");
        assert!(!error.contains("garbage"), "{error:?}");
    }
}
