//! Whether a response can be the answer to its request: a head may be cut, and something between may have answered.

use super::call::Call;
use crate::protocol::content_type;
use crate::protocol::headers;
use crate::protocol::operation::Operation;
use http::{HeaderMap, StatusCode, header};

const STREAM_NEXT_OFFSET: &str = "stream-next-offset";

/// Whether the response has at least one header that only a Durable Streams server sends.
pub(super) fn has_protocol_header(response: &HeaderMap) -> bool {
    response.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("stream-") || name.starts_with("producer-")
    })
}

/// Whether a success for `operation` names the protocol. A delete has no header of it, and neither has the head of an event
/// stream, whose events carry the offsets.
pub(super) fn is_in_terms(operation: Operation, response: &HeaderMap) -> bool {
    operation == Operation::Delete || has_protocol_header(response) || {
        let content_type = response.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(content_type::is_event_stream)
    }
}

/// Whether a success lacks a header that the protocol demands, so that its head may have been cut before it.
pub(super) fn lacks_header(call: &Call, status: StatusCode, response: &HeaderMap) -> bool {
    let has = |name: &str| response.contains_key(name);
    let closes = call.headers.contains_key(headers::STREAM_CLOSED);
    let is_produced = call.headers.contains_key(headers::PRODUCER_ID);
    match call.operation {
        Operation::Delete => false,
        Operation::Head => !has(STREAM_NEXT_OFFSET) || !has("content-type"),
        Operation::Create | Operation::Read => !has(STREAM_NEXT_OFFSET),
        Operation::Append | Operation::Close => {
            // A server may leave the offset out for a duplicate, which has its producer's position.
            let is_duplicate = is_produced && status == StatusCode::NO_CONTENT;
            (!is_duplicate && !has(STREAM_NEXT_OFFSET))
                || (is_produced && !call.accepts_missing_epoch && !has(headers::PRODUCER_EPOCH.as_str()))
                || (closes && !has(headers::STREAM_CLOSED.as_str()))
        }
    }
}
