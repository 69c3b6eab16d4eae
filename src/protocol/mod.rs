//! The protocol's syntax: headers, JSON framing, event streams. No I/O, no clock, no async.
//!
//! The parsers have `pub` items for the fuzz targets and the benchmarks, which use them through the crate's
//! hidden module `__internals`. Nothing here is public API.

#[allow(unreachable_pub)]
pub(crate) mod base64;
mod buffer;
pub(crate) mod content_type;
pub(crate) mod encoding;
pub(crate) mod head;
pub(crate) mod headers;
#[allow(unreachable_pub)]
pub(crate) mod json;
pub(crate) mod operation;
pub(crate) mod refusal;
pub(crate) mod retry_after;
#[allow(unreachable_pub)]
pub(crate) mod sse;
#[cfg(test)]
mod testing;
