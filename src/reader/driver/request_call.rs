//! A request of the machine as a call of the exchange.

use crate::exchange::call::{Call, Wait};
use crate::exchange::headers::replace;
use crate::protocol::operation::Operation;
use crate::reader::machine::{Request, RequestKind};
use http::{HeaderValue, header};
use std::time::Duration;

/// The call for `request`: the reader's `template` with what this request adds.
pub(super) fn request_call(template: &Call, request: Request, idle_timeout: Duration) -> Call {
    let mut call = template.clone();
    // Headers of the error handler replace those of the builder and the handle, a fresh token for instance.
    replace(&mut call.extra_headers, request.headers);
    let mut read = |live: Option<&str>, wait| {
        call.query.push(("offset", request.offset.to_query_value().to_owned()));
        call.query.extend(live.map(|live| ("live", live.to_owned())));
        call.wait = wait;
    };
    match request.kind {
        // HEAD has no query: the protocol defines none for it.
        RequestKind::Head => call.operation = Operation::Head,
        RequestKind::Tail | RequestKind::Page => read(None, Wait::Page),
        RequestKind::LongPoll => read(Some("long-poll"), Wait::LongPoll(idle_timeout)),
        RequestKind::Sse => {
            read(Some("sse"), Wait::EventStream);
            call.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
    }
    // The parameters' order is the same in every request: caches compare whole URLs.
    call.query.extend(request.cursor.map(|cursor| ("cursor", cursor)));
    if let Some(etag) = request.if_none_match {
        call.headers.insert(header::IF_NONE_MATCH, etag);
    }
    call
}
