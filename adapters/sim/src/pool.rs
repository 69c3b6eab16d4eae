//! The connections of the clients. The host of a request's URL tells the clients apart.

use std::collections::HashMap;
use std::time::Duration;

/// A connection that a request is sent on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    /// Counted over the whole world.
    pub(crate) id: u64,
    /// It is of this generation: a reset of all connections begins the next.
    generation: u64,
    /// It carried a request before.
    pub(crate) is_reused: bool,
    /// The network has lost its state: nothing that is sent on it arrives.
    pub(crate) is_silent: bool,
}

/// The idle connections of every client, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    made: u64,
    idle: HashMap<String, Vec<Connection>>,
    /// Connections below this number are not kept when they become idle.
    discarded: HashMap<String, u64>,
    /// Connections below the number lead to a broken backend until then.
    pinned: Option<(u64, Duration)>,
}

impl Pool {
    /// A connection for a request to `host`: the one that was used last, or a new one. With `fresh` the idle ones are discarded.
    pub(crate) fn take(&mut self, host: &str, generation: u64, fresh: bool) -> Connection {
        if fresh {
            self.idle.remove(host);
            self.discarded.insert(host.to_owned(), self.made);
        }
        if let Some(idle) = self.idle.get_mut(host) {
            // The client has seen the reset.
            idle.retain(|connection| connection.generation == generation);
            if let Some(connection) = idle.pop() {
                return Connection { is_reused: true, ..connection };
            }
        }
        self.made += 1;
        Connection { id: self.made - 1, generation, is_reused: false, is_silent: false }
    }

    /// The response is complete: the next request may use the connection.
    pub(crate) fn give_back(&mut self, host: &str, connection: Connection) {
        if self.discarded.get(host).is_none_or(|below| connection.id >= *below) {
            self.idle.entry(host.to_owned()).or_default().push(connection);
        }
    }

    /// The idle connections lose their state in the network.
    pub(crate) fn silence_idle(&mut self) {
        self.idle.values_mut().flatten().for_each(|connection| connection.is_silent = true);
    }

    /// All present connections lead to a broken backend.
    pub(crate) fn pin(&mut self, until: Duration) {
        self.pinned = Some((self.made, until));
    }

    pub(crate) fn is_pinned(&self, connection: Connection, now: Duration) -> bool {
        self.pinned.is_some_and(|(below, until)| connection.id < below && now < until)
    }
}
