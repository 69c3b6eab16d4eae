//! What everybody in a world is given.

use crate::ledger::Ledger;
use crate::plan::Plan;
use durable_streams_sim::{SimRuntime, SimServer, SimTransport, Spawner};
use std::sync::Arc;

/// The plan, the ledger, and the way to the server and to new processes.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ledger: Ledger,
    pub(crate) transport: SimTransport,
    /// Outside of any process: it neither crashes nor sleeps.
    pub(crate) runtime: SimRuntime,
    pub(crate) server: SimServer,
    pub(crate) spawner: Spawner,
}

impl Plan {
    /// Where a stream is.
    #[must_use]
    pub fn path(stream: usize) -> String {
        format!("/s{stream}")
    }
}
