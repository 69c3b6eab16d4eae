//! The application's headers: where they come from, which are refused, and which of two wins.

use crate::error::{Error, StreamError};
use durable_streams_contract::{Sent, TransportError, TransportErrorKind};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type HeadersFuture = Pin<Box<dyn Future<Output = Result<HeaderMap, BoxError>> + Send>>;

/// The application's function that is called for the headers of each attempt.
#[derive(Clone)]
pub(crate) enum HeaderProvider {
    Sync(Arc<dyn Fn() -> HeaderMap + Send + Sync>),
    Async(Arc<dyn Fn() -> HeadersFuture + Send + Sync>),
}

impl HeaderProvider {
    pub(crate) fn from_async<F, Fut, E>(provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::Async(Arc::new(move || {
            let headers = provider();
            Box::pin(async move { headers.await.map_err(Into::into) })
        }))
    }

    /// The headers for one attempt. A provider that fails counts as an attempt that was not sent.
    pub(super) async fn headers(&self) -> Result<HeaderMap, TransportError> {
        match self {
            Self::Sync(provide) => Ok(provide()),
            Self::Async(provide) => provide().await.map_err(|error| {
                TransportError::new(TransportErrorKind::Other)
                    .with_sent(Sent::No)
                    .with_message(format!("the header provider failed: {error}"))
                    .with_source(error)
            }),
        }
    }
}

/// Replaces in `headers` every name that `stronger` has, with all of its values.
pub(crate) fn replace(headers: &mut HeaderMap, stronger: HeaderMap) {
    // The iterator of `HeaderMap` yields the name with its first value only.
    let mut current = None;
    for (name, value) in stronger {
        match name {
            Some(name) => {
                headers.insert(name.clone(), value);
                current = Some(name);
            }
            None => {
                if let Some(name) = &current {
                    headers.append(name.clone(), value);
                }
            }
        }
    }
}

/// Marks the values that may be secret: `Debug` output of the headers does not show them, and HTTP/2 keeps them out of its
/// compression table.
pub(super) fn mark_secrets(headers: &mut HeaderMap) {
    for (name, value) in headers {
        if may_be_secret(name.as_str()) {
            value.set_sensitive(true);
        }
    }
}

/// Parses a header given as text.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let parsed = HeaderName::try_from(name)
        .map_err(|_| StreamError::config("header", format!("{name:?}"), "not a valid header name"))?;
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        let reason = "the value must not contain control characters such as a line feed";
        // Errors are logged, and secrets must not be.
        let shown = if may_be_secret(name) { "(not shown)".to_owned() } else { format!("{value:?}") };
        StreamError::config("header", format!("{name}: {shown}"), reason)
    })?;
    check_framing(&parsed)?;
    value.set_sensitive(may_be_secret(name));
    Ok((parsed, value))
}

/// The value of the header `option`, from the caller's text.
pub(crate) fn header_value(option: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|_| {
        let reason = "it has control characters, which a header cannot carry";
        StreamError::config(option, format!("{text:?}"), reason).into()
    })
}

/// Refuses headers that frame a message. The transport sets these.
///
/// With a `content-length` of the application (copied from another request, for instance), the server would store a
/// part of a record.
pub(super) fn check_framing(name: &HeaderName) -> Result<(), Error> {
    if matches!(*name, CONTENT_LENGTH | TRANSFER_ENCODING) {
        let reason = "the transport sets the length of a request; remove this header";
        return Err(StreamError::config("header", name.as_str(), reason).into());
    }
    Ok(())
}

fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A name is enough to decide. A value that is not secret, and hidden, does less harm than the reverse.
    ["auth", "cookie", "token", "key", "secret", "password"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{header, replace};
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn framing_headers_from_the_application_are_refused() {
        for name in ["content-length", "Transfer-Encoding"] {
            let error = header(name, "3").unwrap_err().to_string();
            assert!(error.contains(&name.to_ascii_lowercase()) && error.contains("transport"), "{error}");
        }
        assert!(header("content-language", "de").is_ok());
    }

    #[test]
    fn invalid_header_value_is_shown_unless_it_may_be_secret() {
        let error = header("x-trace", "a\nb").unwrap_err();
        assert!(error.to_string().contains(r#"x-trace: "a\nb""#), "{error}");
        let error = header("Authorization", "Bearer secret\n").unwrap_err();
        assert!(error.to_string().contains("Authorization"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }

    #[test]
    fn value_that_may_be_secret_is_marked_sensitive() {
        for name in ["Authorization", "cookie", "Proxy-Authorization", "x-api-key", "x-amz-security-token"] {
            let (_, value) = header(name, "hidden").unwrap();
            assert!(value.is_sensitive() && !format!("{value:?}").contains("hidden"), "{name}");
        }
        assert!(!header("x-trace", "shown").unwrap().1.is_sensitive());
    }

    #[test]
    fn replacing_a_header_replaces_all_of_its_values() {
        let map = |pairs: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(*name, HeaderValue::from_static(value));
            }
            map
        };
        let mut headers = map(&[("a", "1"), ("a", "2"), ("b", "3")]);
        replace(&mut headers, map(&[("a", "4"), ("a", "5"), ("c", "6")]));
        assert_eq!(headers, map(&[("a", "4"), ("a", "5"), ("b", "3"), ("c", "6")]));
    }
}
