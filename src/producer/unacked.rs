//! Records that a halted producer returns.

use bytes::Bytes;

/// A record that was not acknowledged when its producer halted, from
/// [`IdempotentProducer::take_unacked`](crate::IdempotentProducer::take_unacked).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnackedRecord {
    /// The record as it was appended. For an `append_json`, its JSON text.
    pub data: Bytes,
    /// Whether the server may have stored it nevertheless: it was sent, and no response says what happened to it. If
    /// this is false, appending it again makes no second copy.
    pub may_be_stored: bool,
}
