//! What a scenario is about. Faults that need several rare events at once are met in themed scenarios, and hardly ever
//! otherwise.

use durable_streams_sim::Rng;

/// What a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// No particular theme.
    Mixed,
    /// A server that crashes and loses its producers' state, while some responses are lost.
    StateLoss,
    /// Producers with a small retry budget, whose `unacked_from` is checked.
    SpentRetries,
    /// A proxy that sometimes refuses bodies for their size, while responses are lost.
    TooLarge,
    /// A stream that is closed while others still write to it.
    ConcurrentClose,
    /// Two processes that claim the epoch from each other repeatedly.
    EpochContention,
    /// Producers that are detached during an outage.
    Detaching,
    /// A producer that crashes repeatedly and whose requests arrive late.
    RepeatedCrashes,
    /// Readers whose connections break all the time.
    BrokenConnections,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mixed,
        Self::StateLoss,
        Self::SpentRetries,
        Self::TooLarge,
        Self::ConcurrentClose,
        Self::EpochContention,
        Self::Detaching,
        Self::RepeatedCrashes,
        Self::BrokenConnections,
    ];

    /// Every third scenario has no particular theme.
    pub(crate) fn of(rng: &mut Rng) -> Self {
        if rng.percent(34) { Self::Mixed } else { *rng.pick(&Self::ALL[1..]) }
    }
}
