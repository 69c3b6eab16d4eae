//! What every process of a run needs.

use crate::record_log::RecordLog;
use crate::scenario::Scenario;
use durable_streams_sim::{SimRuntime, SimServer, SimTransport, Spawner};
use std::sync::Arc;

/// The scenario, the record log, and access to the server and to new processes.
#[derive(Clone)]
pub(crate) struct RunContext {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) record_log: RecordLog,
    pub(crate) transport: SimTransport,
    /// Outside of any process: it neither crashes nor sleeps.
    pub(crate) runtime: SimRuntime,
    pub(crate) server: SimServer,
    pub(crate) spawner: Spawner,
}

impl Scenario {
    /// The path of a stream.
    #[must_use]
    pub fn path(stream: usize) -> String {
        format!("/s{stream}")
    }
}
