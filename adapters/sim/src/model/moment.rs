//! The time of a request.

use std::time::{Duration, SystemTime};

/// The time at which a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time since any fixed beginning.
    pub elapsed: Duration,
    /// The server's wall clock, for `Stream-Expires-At` and cursors.
    pub wall: SystemTime,
}
