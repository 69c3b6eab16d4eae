//! What must hold for any text from a server or a saved file. Shared by the fuzz targets and by `tests/texts.rs`, which runs the
//! same checks on stable.

use durable_streams::__internals::{response_offsets, retry_after};
use durable_streams::{Checkpoint, HeaderMap, HeaderName, HeaderValue, Offset};
use std::time::{Duration, SystemTime};

/// A checkpoint's text form parses to the same checkpoint.
pub(crate) fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(checkpoint) = text.parse::<Checkpoint>() else { return };
    let shown = checkpoint.to_string();
    assert_eq!(shown.parse::<Checkpoint>().expect("its own text parses"), checkpoint);
    // A count has leading zeros, or is zero and left out. Else there is one spelling.
    let has_zeros = text.contains(",b0") || text.contains(",m0");
    assert!(shown == text || has_zeros, "{text:?} became {shown:?}");
}

/// The rule for offsets, written a second time.
fn is_offset(text: &str) -> bool {
    let is_forbidden = |c: char| matches!(c, ',' | '&' | '=' | '?' | '/') || c.is_control();
    !text.is_empty() && text.len() <= 4096 && !text.contains(is_forbidden)
}

/// An offset is valid by the rule, and its text is the token.
pub(crate) fn offset(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = text.parse::<Offset>();
    assert_eq!(parsed.is_ok(), is_offset(text), "{text:?}");
    if let Ok(offset) = parsed {
        assert_eq!(offset.to_string(), text);
        assert_eq!(text.parse::<Checkpoint>().expect("an offset is a checkpoint").offset(), &offset);
    }
}

const NAMES: [&str; 13] = [
    "content-type",
    "etag",
    "stream-next-offset",
    "stream-cursor",
    "stream-up-to-date",
    "stream-closed",
    "stream-ttl",
    "stream-expires-at",
    "stream-sse-data-encoding",
    "producer-epoch",
    "producer-seq",
    "producer-expected-seq",
    "producer-received-seq",
];

/// Response headers: each line is one, and its first byte chooses the name. Offsets of a response are valid, errors are short and
/// have no control characters.
pub(crate) fn head(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]), value);
    }
    let results = response_offsets(&headers);
    for result in &results {
        match result {
            Ok(Some(offset)) => assert!(is_offset(&offset.to_string()) && matches!(offset, Offset::At(_))),
            Ok(None) => {}
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() < 4000 && !text.contains(char::is_control), "{text:?}");
            }
        }
    }
    let [all, read, refusal] = results.map(Result::ok);
    // What is valid as a whole is valid in part.
    if let Some(all) = all {
        assert_eq!((Some(&all), Some(&all)), (read.as_ref(), refusal.as_ref()));
    }
}

/// `Retry-After` in the first line, `Date` in the second.
pub(crate) fn retry(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, value) in ["retry-after", "date"].into_iter().zip(data.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let wait = retry_after(&headers, SystemTime::UNIX_EPOCH);
    let text = headers.get("retry-after").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(seconds) = text.trim().parse::<u64>() {
        assert_eq!(wait, Some(Duration::from_secs(seconds)));
    }
}
