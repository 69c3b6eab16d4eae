//! Redirects: which are followed, and what a request to another origin leaves out.

use super::call::Call;
use super::query::{with_missing_parameters, with_query};
use super::target::{Endpoint, shown_url};
use crate::error::{Error, StreamError, truncate_for_display};
use crate::protocol::operation::Operation;
use durable_streams_contract::TransportError;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::borrow::Cow;
use url::Url;

/// How many redirects one attempt follows.
pub(super) const MAX_REDIRECTS: usize = 10;

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL that a redirect leads to.
///
/// # Errors
///
/// [`StreamError::Redirect`] where following it would be wrong: no usable `Location`, a write that may become a GET, a
/// change from https to http.
pub(super) fn redirect_target(
    call: &Call,
    from: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Url, Error> {
    let refuse = |reason: String| Err(refused(call, Some(status), reason));
    let Some(location) = headers.get(header::LOCATION).map(HeaderValue::as_bytes) else {
        return refuse("the response has no Location".into());
    };
    // A Location may be relative. It is resolved like a link on a page.
    let location = String::from_utf8_lossy(location);
    let Ok(mut to) = from.join(&location) else {
        return refuse(format!(
            "the Location is not a URL: {:?}",
            truncate_for_display(shown_url(&location))
        ));
    };
    // A fragment is not sent, and would make the URL invalid for the transport.
    to.set_fragment(None);
    // Some libraries make an `Authorization` of these, which would be the server's and not the application's. Errors show
    // the URL, and must not show a password. Both fail for a URL without a host alone, which is refused below.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    let shown = truncate_for_display(shown_url(to.as_str())).into_owned();
    // Clients turn a POST into a GET after 301, 302 and 303. Only 307 and 308 keep the method.
    let is_read = matches!(call.operation, Operation::Read | Operation::Head);
    if !is_read && !matches!(status.as_u16(), 307 | 308) {
        let method = call.method();
        return refuse(format!(
            "{status} to {shown} may turn a {method} into a GET; use the new URL for writes"
        ));
    }
    if !matches!(to.scheme(), "http" | "https") || to.host_str().is_none() {
        return refuse(format!("{shown} is neither http nor https"));
    }
    // The headers of the protocol and the data would be readable on the network.
    if from.scheme() == "https" && to.scheme() == "http" {
        return refuse(format!("{shown} would be without encryption; use an https URL"));
    }
    // A Location without the query would send a reader back to the start of the stream. Another origin gets the protocol's
    // parameters alone: the others may be credentials.
    if to.origin() == from.origin() {
        return Ok(with_missing_parameters(&to, from.query().unwrap_or_default()));
    }
    let present: Vec<String> = to.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let missing = call.query.iter().filter(|(key, _)| !present.iter().any(|p| p == key));
    Ok(with_query(&to, missing.map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_str())))))
}

/// Whether a redirect leads away from the origin of `from`, or nowhere.
pub(super) fn leads_to_another_origin(from: &Url, headers: &HeaderMap) -> bool {
    let location = headers.get(header::LOCATION).map(|location| String::from_utf8_lossy(location.as_bytes()));
    let to = location.and_then(|location| from.join(&location).ok());
    to.is_none_or(|to| to.origin() != from.origin())
}

/// The error for a redirect that is not followed.
pub(super) fn refused(call: &Call, status: Option<StatusCode>, reason: String) -> Error {
    call.error(StreamError::Redirect { reason }).with_status(status)
}

/// The transport's error of a request to a redirect target. The caller knows only the call's own URL.
pub(super) fn with_redirect_context(error: &TransportError, endpoint: &Endpoint) -> TransportError {
    // The kind's text is a prefix of the error's. The new message keeps what follows it.
    let text = error.to_string();
    let kind = error.kind().to_string();
    let message = format!("{}{}", redirected_to(endpoint), text.strip_prefix(&kind).unwrap_or_default());
    TransportError::new(error.kind()).with_sent(error.sent()).with_message(message).with_source(error.clone())
}

/// Names the origin that redirects led to. Its path and query may contain secrets.
pub(super) fn redirected_to(endpoint: &Endpoint) -> String {
    format!("redirected to {}", endpoint.url().origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(operation: Operation, from: &str, status: u16, location: &str) -> Result<String, Error> {
        let mut call = Call::new(operation, &Endpoint::new(Url::parse(from).unwrap()).unwrap());
        call.query.push(("offset", "a+1".into()));
        let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
        let status = StatusCode::from_u16(status).unwrap();
        let sent = with_query(call.url(), [("offset".into(), "a+1".into())]);
        redirect_target(&call, &sent, status, &headers).map(|url| url.to_string())
    }

    #[test]
    fn redirect_from_https_to_http_is_refused() {
        let to = |location| redirect(Operation::Read, "https://h/s", 307, location);
        let error = to("http://h/s").unwrap_err();
        assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{error}");
        assert!(error.to_string().contains("without encryption"), "{error}");
        assert_eq!(to("https://other/t").unwrap(), "https://other/t?offset=a%2B1");
        assert_eq!(to("//other/t").unwrap(), "https://other/t?offset=a%2B1");
        // From http to https is an upgrade.
        assert!(redirect(Operation::Read, "http://h/s", 301, "https://h/s").is_ok());
    }

    #[test]
    fn location_within_the_origin_keeps_every_parameter_that_it_lacks() {
        let to = |location| redirect(Operation::Read, "http://h/s?token=a%2Fb&flag", 307, location).unwrap();
        assert_eq!(to("/t"), "http://h/t?flag&offset=a%2B1&token=a%2Fb");
        assert_eq!(to("/t?token=c&x=1"), "http://h/t?flag&offset=a%2B1&token=c&x=1");
        // The others may be credentials.
        assert_eq!(to("http://other/t?x=1"), "http://other/t?offset=a%2B1&x=1");
        let append = redirect(Operation::Append, "http://h/s?token=1", 308, "http://h/t").unwrap();
        assert!(append.contains("token=1"), "{append}");
    }

    #[test]
    fn errors_name_the_location_without_its_query() {
        for location in ["https://h/t?sig=SECRET", "ftp://h/t?sig=SECRET", "http://[/?sig=SECRET"] {
            let error = redirect(Operation::Append, "http://h/s", 302, location).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn credentials_in_a_location_are_neither_sent_nor_shown() {
        let to = |location| redirect(Operation::Read, "http://h/s", 307, location);
        assert_eq!(to("http://u:SECRET@other/t").unwrap(), "http://other/t?offset=a%2B1");
        assert_eq!(to("//u@h/t").unwrap(), "http://h/t?offset=a%2B1");
        for location in ["https://u:SECRET@h/t", "ftp://u:SECRET@h/t", "http://u:SECRET@[/", "u:SECRET@h"] {
            let error = redirect(Operation::Append, "http://h/s", 302, location).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn location_without_the_query_keeps_the_offset() {
        let to = |location| redirect(Operation::Read, "http://h/s", 302, location).unwrap();
        assert_eq!(to("/t#part"), "http://h/t?offset=a%2B1");
        assert_eq!(to("t?zone=1"), "http://h/t?offset=a%2B1&zone=1");
        assert_eq!(to("/t?offset=b"), "http://h/t?offset=b");
        assert!(redirect(Operation::Append, "http://h/s", 302, "/t").is_err());
    }
}
