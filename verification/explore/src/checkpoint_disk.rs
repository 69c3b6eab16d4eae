//! A reader's checkpoint store: slow, sometimes failing, and surviving crashes.

use crate::consumed::Consumed;
use crate::sync::lock;
use async_trait::async_trait;
use durable_streams::{Checkpoint, CheckpointStore};
use durable_streams_contract::Timer;
use durable_streams_sim::{Rng, SimRuntime};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

/// The longest that saving takes.
const SLOWEST: Duration = Duration::from_millis(20);

pub(crate) struct CheckpointDisk {
    consumed: Consumed,
    runtime: SimRuntime,
    rng: Mutex<Rng>,
}

impl CheckpointDisk {
    pub(crate) fn new(consumed: Consumed, runtime: SimRuntime, rng: Rng) -> Self {
        Self { consumed, runtime, rng: Mutex::new(rng) }
    }
}

#[async_trait]
impl CheckpointStore for CheckpointDisk {
    async fn load(&self) -> io::Result<Option<Checkpoint>> {
        let saved = self.consumed.saved();
        saved
            .map(|text| text.parse().map_err(|error| io::Error::other(format!("{text}: {error}"))))
            .transpose()
    }

    async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        // The output up to the saved checkpoint. A crash falls back to it.
        let length = self.consumed.length();
        let (wait, fails) = {
            let mut rng = lock(&self.rng);
            (rng.duration(Duration::ZERO, SLOWEST), rng.percent(5))
        };
        self.runtime.sleep(wait).await;
        if fails {
            return Err(io::Error::other("the disk is full"));
        }
        self.consumed.save_at(checkpoint.to_string(), length);
        Ok(())
    }
}
