//! Encodings of a response's body.

use crate::error::{StreamError, truncate_for_display};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Refuses a response whose body is encoded, because its bytes are not the stored ones.
///
/// # Errors
///
/// [`StreamError::UnexpectedEncoding`] with the encoding's name; [`StreamError::Protocol`] for a transfer encoding,
/// which HTTP libraries do not decode unless asked.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), StreamError> {
    if let Some(encoding) = unusual(headers, &header::CONTENT_ENCODING, "identity") {
        return Err(StreamError::UnexpectedEncoding { encoding });
    }
    if let Some(coding) = unusual(headers, &header::TRANSFER_ENCODING, "chunked") {
        let message = format!("the server sent Transfer-Encoding {coding}, which was not asked for");
        return Err(StreamError::protocol(message));
    }
    Ok(())
}

/// The first value of the header that names an encoding other than `usual`.
fn unusual(headers: &HeaderMap, name: &HeaderName, usual: &str) -> Option<String> {
    let is_usual = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        ["", "identity", usual].iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    };
    // Both headers are lists, and may be repeated.
    let mut lists = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let list = lists.find(|list| !list.split(|byte| *byte == b',').all(is_usual))?;
    Some(truncate_for_display(&String::from_utf8_lossy(list.trim_ascii())).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn unrequested_encoding_is_refused_with_its_name() {
        let check = |value| check_encoding(&headers(&[("content-encoding", value)]));
        assert!(check("").is_ok() && check(" Identity").is_ok() && check_encoding(&headers(&[])).is_ok());
        assert!(check("gzip, br").unwrap_err().to_string().contains("gzip, br"));
        assert!(check("identity, GZIP").unwrap_err().to_string().contains("GZIP"));
        // Nor is one that comes second, or that is one of the transfer.
        let mut twice = headers(&[("content-encoding", "identity")]);
        twice.append("content-encoding", HeaderValue::from_static("gzip"));
        assert!(check_encoding(&twice).unwrap_err().to_string().contains("gzip"));
        let transfer = |value| check_encoding(&headers(&[("transfer-encoding", value)]));
        assert!(transfer("chunked").is_ok() && transfer("identity, Chunked").is_ok());
        assert!(transfer("gzip, chunked").unwrap_err().to_string().contains("gzip, chunked"));
    }
}
