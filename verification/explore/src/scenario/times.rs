//! Durations that scenarios have in common.

use std::time::Duration;

/// Longer than any run.
pub(crate) const UNBOUNDED: Duration = Duration::from_secs(24 * 3600);

/// The time in which the writers work. Most failures happen in it.
pub(crate) const BUSY: Duration = Duration::from_millis(600);
