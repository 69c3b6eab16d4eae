//! What a scenario is about. Faults that need several rare events at once are met in themed scenarios, and hardly ever
//! otherwise.

use durable_streams_sim::Rng;
use std::time::Duration;

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
    /// Connections that lead to a broken backend for an hour, or that lose their state without a sign.
    FailedConnections,
    /// A gateway that refuses requests without processing them, with 421 or 425.
    NotProcessed,
    /// A gateway with a limit for bodies, which responds 413, or an error that does not tell its reason.
    SizeLimit,
    /// A captive portal, for a while.
    Interceptor,
    /// Caches that ignore the query, or deny a stream, and a proxy that drops bodies.
    WrongCaches,
    /// Large records over a slow uplink.
    SlowUplink,
    /// A server that drops the older half of a stream.
    Retention,
    /// Streams that are deleted and created again.
    Recreation,
    /// Several servers behind one name, of which some lag behind.
    LaggingServers,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Mixed,
        Self::StateLoss,
        Self::SpentRetries,
        Self::TooLarge,
        Self::ConcurrentClose,
        Self::EpochContention,
        Self::Detaching,
        Self::RepeatedCrashes,
        Self::BrokenConnections,
        Self::FailedConnections,
        Self::NotProcessed,
        Self::SizeLimit,
        Self::Interceptor,
        Self::WrongCaches,
        Self::SlowUplink,
        Self::Retention,
        Self::Recreation,
        Self::LaggingServers,
    ];

    /// The first of those about the network path.
    const FIRST_OF_PATH: usize = 9;

    /// Every third scenario has no particular theme.
    pub(crate) fn of(rng: &mut Rng) -> Self {
        if rng.percent(34) { Self::Mixed } else { *rng.pick(&Self::ALL[1..Self::FIRST_OF_PATH]) }
    }

    /// Every fourth scenario is about the network path instead.
    pub(crate) fn of_path(rng: &mut Rng) -> Option<Self> {
        rng.percent(25).then(|| *rng.pick(&Self::ALL[Self::FIRST_OF_PATH..]))
    }

    /// The longest that a scenario takes whose faults do not last. An hour with a broken backend is more than that.
    pub(crate) fn time_limit(self) -> Option<Duration> {
        let minutes = match self {
            Self::FailedConnections => 15,
            Self::SizeLimit => 45,
            Self::SlowUplink => 120,
            _ => return None,
        };
        Some(Duration::from_secs(60 * minutes))
    }
}
