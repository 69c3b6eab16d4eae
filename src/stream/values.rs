//! The caller's values as header values, checked.

use crate::error::{Error, StreamError};
use crate::exchange::headers::header_value;
use crate::protocol::headers::MAX_NUMBER;
use http::{HeaderValue, header};

/// A content type: `type/subtype`, with parameters or without.
pub(crate) fn content_type_value(text: &str) -> Result<HeaderValue, Error> {
    let is_type =
        text.split_once('/').is_some_and(|(kind, rest)| !kind.trim().is_empty() && !rest.trim().is_empty());
    if !is_type {
        let option = header::CONTENT_TYPE.as_str();
        let reason = "not a content type; write it like application/json";
        return Err(StreamError::config(option, format!("{text:?}"), reason).into());
    }
    header_value("content_type", text)
}

/// A producer's id.
pub(crate) fn producer_id_value(id: &str) -> Result<HeaderValue, Error> {
    if id.trim().is_empty() {
        return Err(StreamError::config("producer_id", format!("{id:?}"), "it must not be empty").into());
    }
    exact_value("producer_id", id)
}

/// A producer's epoch or sequence number.
pub(crate) fn producer_number(option: &str, number: u64) -> Result<HeaderValue, Error> {
    if number > MAX_NUMBER {
        return Err(StreamError::config(option, number.to_string(), "it must be at most 2^53-1").into());
    }
    Ok(HeaderValue::from(number))
}

/// A value that must arrive unchanged. HTTP removes the white space around a header's value.
pub(super) fn exact_value(option: &str, text: &str) -> Result<HeaderValue, Error> {
    if text.trim() != text {
        let reason = "it must not begin or end with white space, which HTTP removes";
        return Err(StreamError::config(option, format!("{text:?}"), reason).into());
    }
    header_value(option, text)
}
