use crate::Memory;
use crate::model::{Model, StreamView};
use crate::net::Net;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The simulated server: to look at what it stored, and to make it fail.
#[derive(Clone)]
pub struct SimServer {
    net: Arc<Net>,
}

impl SimServer {
    pub(crate) fn new(net: Arc<Net>) -> Self {
        Self { net }
    }

    /// The stored stream at `path`, if there is one.
    #[must_use]
    pub fn stream(&self, path: &str) -> Option<StreamView> {
        self.net.look(|model| model.stream(path))
    }

    /// Changes the server's state, and wakes the requests that wait for a change.
    pub fn with<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        self.net.with_model(change)
    }

    /// Dies with every connection, and is back after `down`.
    pub fn restart(&self, down: Duration, memory: Memory) {
        self.net.restart(down, memory);
    }
}

impl fmt::Debug for SimServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimServer")
    }
}
