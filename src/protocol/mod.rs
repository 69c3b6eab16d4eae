//! The protocol as text: headers, framing, events. No I/O, no clock, no async.
//!
//! What is `pub` in the parsers is so for the fuzz targets and the benchmarks, which reach it through the crate's
//! hidden `__internals`; nothing here is public API.

pub(crate) mod answer;
#[allow(unreachable_pub)]
pub(crate) mod base64;
mod buffer;
pub(crate) mod content_type;
pub(crate) mod headers;
#[allow(unreachable_pub)]
pub(crate) mod json;
#[allow(unreachable_pub)]
pub(crate) mod sse;
#[cfg(test)]
mod testing;
