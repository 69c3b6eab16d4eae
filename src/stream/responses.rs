use crate::Offset;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The answer to a create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateResponse {
    /// The tail, after the first content if any was given.
    pub next_offset: Offset,
    /// The stream's content type.
    pub content_type: String,
    /// Whether this call created it; false where it was there already. Where a first attempt went
    /// unanswered the answer to the second is told, which may find the first one's stream.
    pub created: bool,
    /// Whether the stream is closed.
    pub closed: bool,
}

/// The answer to an append.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendResponse {
    /// The tail after the record.
    pub next_offset: Offset,
    /// Whether the record was there already, from an earlier attempt with the same producer's identity.
    pub duplicate: bool,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// Where the producer stands, for an append with a producer's identity.
    pub producer: Option<ProducerPosition>,
}

/// Where the server sees a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerPosition {
    /// Its epoch.
    pub epoch: u64,
    /// The highest sequence number accepted in that epoch.
    pub seq: u64,
}

/// The answer to a close.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseResponse {
    /// The stream's last offset: nothing comes after it.
    pub final_offset: Offset,
}

/// The answer to a head: what the server says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadResponse {
    /// The tail: where the next record will go.
    pub next_offset: Offset,
    /// The stream's content type.
    pub content_type: String,
    /// How long the stream lives after the last read or write, if it expires that way.
    pub ttl: Option<Duration>,
    /// When the stream expires, if a time is set.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the stream is closed.
    pub closed: bool,
    /// The entity tag, if the server sent one.
    pub etag: Option<String>,
}
