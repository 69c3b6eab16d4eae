//! The results of the operations.

use crate::offset::Offset;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The result of a create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateResponse {
    /// The tail, after the first content if any was given.
    pub next_offset: Offset,
    /// The stream's content type.
    pub content_type: String,
    /// Whether this call created the stream; false if it existed already. If the first attempt had no response, this is
    /// the result of the second attempt, which may find the stream that the first one created.
    pub created: bool,
    /// Whether the stream is closed.
    pub closed: bool,
}

/// The result of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendResponse {
    /// The tail after the record.
    pub next_offset: Offset,
    /// Whether the record was stored already, by an earlier attempt with the same producer identity.
    pub duplicate: bool,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// The producer's position, for an append with a producer identity.
    pub producer: Option<ProducerPosition>,
}

/// The position of a producer, as the server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerPosition {
    /// Its epoch.
    pub epoch: u64,
    /// The highest sequence number accepted in that epoch.
    pub seq: u64,
}

/// The result of a close.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseResponse {
    /// The stream's last offset. There is no data after it.
    pub final_offset: Offset,
}

/// The result of a head: the metadata of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadResponse {
    /// The tail: the position of the next record.
    pub next_offset: Offset,
    /// The stream's content type.
    pub content_type: String,
    /// The time after the last read or write at which the stream expires, if it has one.
    pub ttl: Option<Duration>,
    /// When the stream expires, if it has a fixed time.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the stream is closed.
    pub closed: bool,
    /// The entity tag, if the server sent one.
    pub etag: Option<String>,
}
