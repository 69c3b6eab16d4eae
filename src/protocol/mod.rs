//! The protocol as text: headers, framing, events. No I/O, no clock, no async.

pub(crate) mod answer;
pub(crate) mod content_type;
pub(crate) mod headers;
