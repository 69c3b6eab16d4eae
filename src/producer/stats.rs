/// What a producer has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerStats {
    /// Records that are not settled: queued or on their way.
    pub queued_records: usize,
    /// What they occupy, in bytes: the records and a few bytes for each.
    pub queued_bytes: usize,
    /// Batches on their way at this moment.
    pub in_flight: usize,
    /// Records that are stored.
    pub acked_records: u64,
    /// The size of the bodies that stored them, in bytes.
    pub acked_bytes: u64,
    /// Batches that are stored.
    pub acked_batches: u64,
    /// Records that failed.
    pub failed_records: u64,
    /// Appends sent, every attempt counted.
    pub requests: u64,
    /// Those of them that sent a batch again.
    pub resent: u64,
    /// Batches that the server already had, from an attempt whose answer was lost.
    pub duplicates: u64,
    /// Batches that came before their predecessor, and had to be sent again.
    pub gaps: u64,
    /// How often a higher epoch was claimed.
    pub claims: u64,
}
