//! Where a stream is: its URL, checked once, and the requests' URLs made from it.

use crate::error::{Error, StreamError};
use http::Uri;
use std::borrow::Cow;
use std::sync::Arc;
use url::Url;

/// Query keys that are the protocol's own.
const RESERVED: [&str; 3] = ["cursor", "live", "offset"];

/// A stream's URL, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Target(Result<Place, Error>);

impl Target {
    pub(crate) fn resolve(base: Option<&Url>, url: &str) -> Self {
        Self(resolve(base, url).and_then(Place::new))
    }

    pub(crate) fn place(&self) -> Result<&Place, Error> {
        self.0.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn url(&self) -> Result<&Url, Error> {
        self.place().map(Place::url)
    }
}

/// Where a request goes, in the forms that the client and the transport need. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Place(Arc<(Url, Uri)>);

impl Place {
    pub(crate) fn new(url: Url) -> Result<Self, Error> {
        match Uri::try_from(url.as_str()) {
            Ok(uri) => Ok(Self(Arc::new((url, uri)))),
            Err(error) => Err(refuse("url", url.as_str(), error.to_string())),
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0.0
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0.1
    }
}

fn refuse(option: &str, value: &str, reason: impl Into<String>) -> Error {
    StreamError::config(option, format!("{value:?}"), reason).into()
}

/// A URL that a client can use as its base.
pub(crate) fn base_url(text: &str) -> Result<Url, Error> {
    let url = parse("base_url", text)?;
    if url.query().is_some() {
        return Err(refuse("base_url", text, "it has a query; give parameters with query_provider"));
    }
    Ok(url)
}

fn resolve(base: Option<&Url>, text: &str) -> Result<Url, Error> {
    // The URL standard drops what surrounds a URL; before a path it would become a part of the stream's name.
    let text = text.trim();
    if text.is_empty() {
        return Err(refuse("url", text, "it is empty"));
    }
    let is_absolute = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !scheme.is_empty()
    });
    let url = match (is_absolute, base) {
        (true, _) => parse("url", text)?,
        (false, Some(base)) => {
            let joined = format!("{}/{}", base.as_str().trim_end_matches('/'), text.trim_start_matches('/'));
            let url = parse("url", &joined)?;
            // `..` must not lead out of the base, nor beside it: `/v10` is not below `/v1`.
            let below = url.path().strip_prefix(base.path().trim_end_matches('/'));
            if !below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
                return Err(refuse("url", text, format!("it leads out of the base URL {base}")));
            }
            url
        }
        (false, None) => {
            return Err(refuse(
                "url",
                text,
                "it does not begin with http:// or https://, and the client has no base_url to put before it",
            ));
        }
    };
    if let Some(key) = url.query_pairs().map(|(key, _)| key).find(|key| RESERVED.contains(&&**key)) {
        return Err(refuse("url", text, format!("the query parameter `{key}` is the protocol's own")));
    }
    Ok(url)
}

fn parse(option: &str, text: &str) -> Result<Url, Error> {
    let no_url = "it is no absolute URL, https://example.com/streams for instance";
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => refuse(option, text, no_url),
        error => refuse(option, text, error.to_string()),
    })?;
    let reason = if !text.contains("://") {
        // `localhost:4437` would be a URL of the scheme `localhost`.
        no_url
    } else if !matches!(url.scheme(), "http" | "https") {
        "its scheme is neither http nor https"
    } else if url.host_str().is_none_or(str::is_empty) {
        "it has no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it carries credentials; send them with default_header(\"Authorization\", …)"
    } else if url.fragment().is_some() {
        "it has a fragment, which is never sent"
    } else {
        return Ok(url);
    };
    // The text may hold a password: an error ends up in logs.
    let shown = if url.password().is_some() { "(a URL with a password)" } else { text };
    Err(refuse(option, shown, reason))
}

/// Refuses a caller's query parameter that would collide with the protocol's.
pub(crate) fn check_parameter(key: &str) -> Result<(), Error> {
    if RESERVED.contains(&key) {
        return Err(refuse("query_provider", key, "this query parameter is the protocol's own"));
    }
    Ok(())
}

/// `url` with these parameters added, all sorted by key, so that equal reads have equal URLs and
/// caches can serve them. A key that the URL has already is replaced.
pub(crate) fn with_query<'q>(
    url: &Url,
    added: impl IntoIterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
) -> Url {
    let added: Vec<(String, String)> =
        added.into_iter().map(|(key, value)| (encode(&key), encode(&value))).collect();
    if added.is_empty() && url.query().is_none_or(|query| !query.contains('&')) {
        return url.clone();
    }
    // What the URL came with stays as it was spelled.
    let own = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(&str, Cow<'_, str>)> = own
        .map(|pair| (pair.split_once('=').map_or(pair, |(key, _)| key), Cow::Borrowed(pair)))
        .filter(|(key, _)| added.iter().all(|(added, _)| added != key))
        .collect();
    pairs.extend(added.iter().map(|(key, value)| (key.as_str(), Cow::Owned(format!("{key}={value}")))));
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let query = pairs.iter().map(|(_, pair)| &**pair).collect::<Vec<_>>().join("&");
    let mut url = url.clone();
    url.set_query(Some(&query));
    url
}

/// Percent-encodes all but unreserved characters; a space is `%20`, which every server reads the same.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(base: Option<&str>, text: &str) -> Result<String, String> {
        let base = base.map(|base| base_url(base).unwrap());
        resolve(base.as_ref(), text).map(|url| url.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn paths_go_below_the_base() {
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
    fn what_cannot_work_is_refused_with_its_text() {
        for text in [
            "",
            "orders",
            "ftp://h/x",
            "http://",
            "http://h:99999/",
            "http://u@h/x",
            "http://h/x#y",
            "http://h/x?offset=3",
        ] {
            let error = resolved(None, text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        let error = resolved(None, "http://u:secret@h/x").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_base_without_a_scheme_is_called_that() {
        for text in ["localhost:4437", "127.0.0.1:4437", "example.com/streams", "/v1", ""] {
            let error = base_url(text).unwrap_err().to_string();
            assert!(error.contains("no absolute URL") && error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn queries_are_sorted_and_exact() {
        let url = Url::parse("http://h/s?z=%41&live=old&b").unwrap();
        let pairs = [("offset", "a+b %&=é"), ("live", "sse")].map(|(k, v)| (Cow::from(k), Cow::from(v)));
        let built = with_query(&url, pairs);
        assert_eq!(built.query(), Some("b&live=sse&offset=a%2Bb%20%25%26%3D%C3%A9&z=%41"));
        let offset = built.query_pairs().find(|(key, _)| key == "offset").unwrap().1.into_owned();
        assert_eq!(offset, "a+b %&=é");
    }
}
