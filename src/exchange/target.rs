//! A stream's URL: parsed and checked once, when the handle is made.

use super::query::reserved_parameter;
use crate::error::{Error, StreamError, truncate_for_display};
use http::Uri;
use std::fmt;
use std::sync::Arc;
use url::{Origin, Url};

/// Where the streams of a client are.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// The URL that relative stream URLs are resolved below.
    pub(crate) url: Option<Url>,
    /// Other origins whose streams the client may use. They get none of the client's own headers and parameters.
    pub(crate) allowed: Vec<Origin>,
}

/// A stream's endpoint, or the error that its URL has.
#[derive(Clone, Debug)]
pub(crate) struct Target(Result<Endpoint, Error>);

impl Target {
    pub(crate) fn resolve(base: &Base, url: &str) -> Self {
        Self(base.endpoint(url))
    }

    pub(crate) fn endpoint(&self) -> Result<&Endpoint, Error> {
        self.0.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn url(&self) -> Result<&Url, Error> {
        self.endpoint().map(Endpoint::url)
    }
}

/// A URL that a request is sent to, in the forms of the `url` and the `http` crate. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<EndpointInner>);

struct EndpointInner {
    url: Url,
    uri: Uri,
    /// It is not at the origin of the client's base URL: the client's own headers and parameters are not for it.
    is_foreign: bool,
}

impl Endpoint {
    pub(crate) fn new(url: Url) -> Result<Self, Error> {
        Self::at(url, false)
    }

    fn at(url: Url, is_foreign: bool) -> Result<Self, Error> {
        match Uri::try_from(url.as_str()) {
            Ok(uri) => Ok(Self(Arc::new(EndpointInner { url, uri, is_foreign }))),
            // It may be a server's, of any length.
            Err(error) => {
                let shown = truncate_for_display(without_query(url.as_str()));
                Err(refuse("url", &shown, error.to_string()))
            }
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0.url
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The URL as texts show it.
    pub(crate) fn shown(&self) -> &str {
        without_query(self.0.url.as_str())
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.0.is_foreign
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.shown()).finish()
    }
}

/// A URL without its query, which may hold credentials, for texts that are logged.
pub(crate) fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

/// A URL as texts show it, which need not be valid: without its query, and not at all if it may contain a password.
pub(crate) fn shown_url(text: &str) -> &str {
    let shown = without_query(text);
    let after_scheme = shown.split_once("://").map_or(shown, |(_, rest)| rest);
    // Not only in front of the first slash: a password with an unescaped slash makes a URL that is not valid.
    match after_scheme.rsplit_once('@') {
        Some((before, _)) if before.contains(':') => "(a URL with a password)",
        _ => shown,
    }
}

fn refuse(option: &str, value: &str, reason: impl Into<String>) -> Error {
    StreamError::config(option, format!("{:?}", shown_url(value)), reason).into()
}

impl Base {
    fn endpoint(&self, text: &str) -> Result<Endpoint, Error> {
        let url = resolve(self.url.as_ref(), text)?;
        let is_foreign = self.url.as_ref().is_some_and(|base| base.origin() != url.origin());
        if is_foreign && !self.allowed.contains(&url.origin()) {
            let reason = "its origin is not that of the client's base_url; allow it with allow_origin, or use another client";
            return Err(refuse("url", text, reason));
        }
        Endpoint::at(url, is_foreign)
    }
}

/// Parses an origin that a client allows, given as a URL.
pub(crate) fn allowed_origin(text: &str) -> Result<Origin, Error> {
    let url = parse("allow_origin", text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err(refuse(
            "allow_origin",
            text,
            "it has a path or a query; write it like https://example.com",
        ));
    }
    Ok(url.origin())
}

/// Parses the base URL of a client.
pub(crate) fn base_url(text: &str) -> Result<Url, Error> {
    let url = parse("base_url", text)?;
    if url.query().is_some() {
        return Err(refuse("base_url", text, "it has a query; add parameters with query_provider"));
    }
    Ok(url)
}

fn resolve(base: Option<&Url>, text: &str) -> Result<Url, Error> {
    // The URL standard ignores white space around a URL. Around a path it would become a part of the stream's name.
    let text = text.trim();
    if text.is_empty() {
        return Err(refuse("url", text, "it is empty"));
    }
    // Not by parsing: `a:b` is a path of a stream to the caller, and a URL with a scheme to the standard.
    let is_absolute = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !scheme.is_empty()
    });
    let url = match (is_absolute, base) {
        (true, _) => parse("url", text)?,
        (false, Some(base)) => join(base, text)?,
        (false, None) => {
            let reason = "it is relative, and the client has no base_url; begin it with http:// or https://";
            return Err(refuse("url", text, reason));
        }
    };
    if let Some(key) = reserved_parameter(&url) {
        return Err(refuse(
            "url",
            text,
            format!("the protocol defines the query parameter `{key}`; remove it"),
        ));
    }
    Ok(url)
}

/// The URL of `path` below `base`.
fn join(base: &Url, path: &str) -> Result<Url, Error> {
    // Joined as text: `Url::join` would drop the last segment of the base, and take `//host` for another host.
    let joined = format!("{}/{}", base.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
    let url = parse("url", &joined)?;
    // `..` must lead neither above the base nor to a sibling: `/v10` is not below `/v1`.
    let below = url.path().strip_prefix(base.path().trim_end_matches('/'));
    if below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
        Ok(url)
    } else {
        Err(refuse("url", path, format!("it is not below the base URL {base}")))
    }
}

fn parse(option: &str, text: &str) -> Result<Url, Error> {
    let not_absolute = "not an absolute URL; write it like https://example.com/streams";
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => refuse(option, text, not_absolute),
        error => refuse(option, text, error.to_string()),
    })?;
    let reason = if !text.contains("://") {
        // The URL standard reads `localhost:4437` as a URL of the scheme `localhost`.
        not_absolute
    } else if !matches!(url.scheme(), "http" | "https") {
        "its scheme is neither http nor https"
    } else if url.host_str().is_none_or(str::is_empty) {
        "it has no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it contains credentials; send them with default_header(\"Authorization\", …)"
    } else if url.fragment().is_some() {
        "it has a fragment, which HTTP does not send"
    } else {
        return Ok(url);
    };
    Err(refuse(option, text, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(base: Option<&str>, text: &str) -> Result<String, String> {
        let base = base.map(|base| base_url(base).unwrap());
        resolve(base.as_ref(), text).map(|url| url.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn relative_paths_resolve_below_the_base_url() {
        for base in ["http://h/v1", "http://h/v1/"] {
            assert_eq!(resolved(Some(base), "/a/b").unwrap(), "http://h/v1/a/b");
            assert_eq!(resolved(Some(base), "ü b?x=1").unwrap(), "http://h/v1/%C3%BC%20b?x=1");
            assert_eq!(resolved(Some(base), "//evil/x").unwrap(), "http://h/v1/evil/x");
            assert_eq!(resolved(Some(base), "https://other/x").unwrap(), "https://other/x");
            assert_eq!(resolved(Some(base), " https://other/x\n").unwrap(), "https://other/x");
            assert_eq!(resolved(Some(base), " a/b\n").unwrap(), "http://h/v1/a/b");
            for out in ["../../etc", "../v1-secret/a", "..\\v12", "%2e%2e/v1x"] {
                assert!(resolved(Some(base), out).is_err(), "{out}");
            }
            assert_eq!(resolved(Some(base), "a/../../v1/b").unwrap(), "http://h/v1/b");
        }
    }

    #[test]
    fn unusable_urls_are_refused_with_their_text() {
        for text in [
            "",
            "orders",
            "ftp://h/x",
            "http://",
            "http://h:99999/",
            "http://u@h/x",
            "http://h/x#y",
            "http://h/x?offset=SECRET",
        ] {
            let error = resolved(None, text).unwrap_err();
            assert!(error.contains(&format!("{:?}", without_query(text))), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
        // Errors are logged.
        for text in [
            "http://u:secret@h/x",
            "http://u:secret@h:99999/",
            "http://u:se/secret@h",
            "u:secret@h",
            "ftp://u:secret@h",
        ] {
            let error = resolved(None, text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
            let error = base_url(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn stream_name_cannot_leave_the_path_of_the_request() {
        for (name, expected) in [
            ("a\r\nHost: evil", "http://h/v1/aHost:%20evil"),
            ("a HTTP/1.1", "http://h/v1/a%20HTTP/1.1"),
            ("@evil/x", "http://h/v1/@evil/x"),
            (":80@evil", "http://h/v1/:80@evil"),
            ("\\\\evil\\x", "http://h/v1///evil/x"),
            ("%0d%0aX: 1", "http://h/v1/%0d%0aX:%201"),
            ("a\0b", "http://h/v1/a%00b"),
        ] {
            let url = resolved(Some("http://h/v1"), name).unwrap();
            assert_eq!(url, expected, "{name:?}");
            let uri = Endpoint::new(Url::parse(&url).unwrap()).unwrap().uri().clone();
            assert_eq!(uri.authority().unwrap(), "h", "{name:?}");
        }
        for name in
            ["..", "a/../../..", "%2E%2E/x", "a#b", "a?offset=1", "a?%6fffset=1", "a?live=sse", "a?x&cursor"]
        {
            assert!(resolved(Some("http://h/v1"), name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn url_that_is_too_long_is_an_error_of_bounded_length() {
        let url = Url::parse(&format!("http://h/{}", "a".repeat(100_000))).unwrap();
        let error = Endpoint::new(url).unwrap_err().to_string();
        assert!(error.len() < 500, "{}", error.len());
    }

    #[test]
    fn stream_of_another_origin_has_to_be_allowed() {
        let url = Some(base_url("https://h/v1").unwrap());
        let base = Base { url, allowed: vec![allowed_origin("http://other:81").unwrap()] };
        for refused in
            ["https://evil/x", "http://h/v1/x", "https://h:444/v1/x", "http://other/x", "https://other:81/x"]
        {
            let error = base.endpoint(refused).unwrap_err();
            assert!(error.to_string().contains("allow_origin"), "{error}");
        }
        assert!(base.endpoint("http://other:81/x").unwrap().is_foreign());
        for own in ["x", "https://h/v1/x", "https://H:443/other"] {
            assert!(!base.endpoint(own).unwrap().is_foreign(), "{own}");
        }
        assert!(!Base::default().endpoint("https://anywhere/x").unwrap().is_foreign());
        for text in ["http://h/path", "h", "http://h/?x=1", "http://u:secret@h"] {
            let error = allowed_origin(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn texts_show_no_query() {
        let endpoint = Endpoint::new(Url::parse("http://h/s?sig=SECRET").unwrap()).unwrap();
        let target = Target::resolve(&Base::default(), "http://h/s?sig=SECRET");
        assert!(!format!("{endpoint:?} {target:?}").contains("SECRET"));
        assert_eq!(endpoint.shown(), "http://h/s");
    }

    #[test]
    fn base_url_without_a_scheme_is_reported_as_not_absolute() {
        for text in ["localhost:4437", "127.0.0.1:4437", "example.com/streams", "/v1", ""] {
            let error = base_url(text).unwrap_err().to_string();
            assert!(error.contains("not an absolute URL") && error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
