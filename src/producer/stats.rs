//! Counters of a producer.

/// What a producer has done so far, and what it has queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerStats {
    /// Records that are not settled: queued or in flight.
    pub queued_records: usize,
    /// What these occupy, in bytes: the records, and a few bytes for each.
    pub queued_bytes: usize,
    /// Batches in flight now.
    pub in_flight: usize,
    /// Records that are stored.
    pub acked_records: u64,
    /// The size of the bodies that stored them, in bytes.
    pub acked_bytes: u64,
    /// Batches that are stored.
    pub acked_batches: u64,
    /// Records that failed.
    pub failed_records: u64,
    /// Requests that were sent, including every retry.
    pub requests: u64,
    /// How many of them sent a batch again.
    pub resent: u64,
    /// Batches that the server had stored already, by an attempt whose response was lost.
    pub duplicates: u64,
    /// Batches that arrived before their predecessor, and had to be sent again.
    pub gaps: u64,
    /// The number of epochs that were claimed.
    pub claims: u64,
}
