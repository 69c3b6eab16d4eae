//! Query parameters: which names are the protocol's, and how they are added to a URL.

use crate::error::{Error, StreamError};
use std::borrow::Cow;
use url::Url;

/// Parameters that the protocol defines. Neither a stream's URL nor the application may set them.
const RESERVED: [&str; 3] = ["cursor", "live", "offset"];

/// The first parameter of `url` that the protocol defines.
pub(super) fn reserved_parameter(url: &Url) -> Option<String> {
    url.query_pairs().map(|(key, _)| key).find(|key| RESERVED.contains(&&**key)).map(Cow::into_owned)
}

/// Refuses a parameter of the application that the protocol defines.
pub(super) fn check_parameter(key: &str) -> Result<(), Error> {
    if RESERVED.contains(&key) {
        let reason = "the protocol defines this query parameter; use another name";
        return Err(StreamError::config("query_provider", format!("{key:?}"), reason).into());
    }
    Ok(())
}

/// `url` with these parameters added. A key that the URL already has is replaced.
///
/// The result is sorted by key, so that equal reads have equal URLs and HTTP caches can serve them.
pub(super) fn with_query<'q>(
    url: &Url,
    added: impl IntoIterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
) -> Url {
    let added: Vec<(String, String)> =
        added.into_iter().map(|(key, value)| (encode(&key), encode(&value))).collect();
    // Nothing to add, and at most one parameter: already sorted.
    if added.is_empty() && url.query().is_none_or(|query| !query.contains('&')) {
        return url.clone();
    }
    // The URL's own parameters keep their spelling.
    let own = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(&str, Cow<'_, str>)> = own
        .map(|pair| (pair.split_once('=').map_or(pair, |(key, _)| key), Cow::Borrowed(pair)))
        // An added parameter replaces the URL's own. That is how a redirect's query is corrected.
        .filter(|(key, _)| added.iter().all(|(added, _)| added != key))
        .collect();
    pairs.extend(added.iter().map(|(key, value)| (key.as_str(), Cow::Owned(format!("{key}={value}")))));
    // A stable sort: repeated keys keep their order.
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let query = pairs.iter().map(|(_, pair)| &**pair).collect::<Vec<_>>().join("&");
    let mut url = url.clone();
    url.set_query(Some(&query));
    url
}

/// `url` with those parameters of `query` that it lacks, as they are spelled there. Sorted by key.
pub(super) fn with_missing_parameters(url: &Url, query: &str) -> Url {
    let present: Vec<String> = url.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let is_missing = |pair: &&str| {
        let key = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(key, _)| key);
        key.is_some_and(|key| !present.iter().any(|present| *present == key))
    };
    let missing = query.split('&').filter(is_missing);
    let own = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<&str> = own.chain(missing).collect();
    // A stable sort: repeated keys keep their order.
    pairs.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(key, _)| key));
    let query = pairs.join("&");
    let mut url = url.clone();
    url.set_query((!query.is_empty()).then_some(&query));
    url
}

/// Percent-encodes all but unreserved characters. A space becomes `%20`: some servers do not read `+` as a space.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_sorted_and_percent_encoded() {
        let url = Url::parse("http://h/s?z=%41&live=old&b").unwrap();
        let pairs = [("offset", "a+b %&=é"), ("live", "sse")].map(|(k, v)| (Cow::from(k), Cow::from(v)));
        let built = with_query(&url, pairs);
        assert_eq!(built.query(), Some("b&live=sse&offset=a%2Bb%20%25%26%3D%C3%A9&z=%41"));
        let offset = built.query_pairs().find(|(key, _)| key == "offset").unwrap().1.into_owned();
        assert_eq!(offset, "a+b %&=é");
    }
}
