//! Time, processor time, memory and latencies of this process.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What a measured section cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Measures from its start to its end.
#[derive(Debug)]
pub(crate) struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_time(), wall: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Cost {
        Cost { wall: self.wall.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

/// The processor time of all threads of this process.
fn cpu_time() -> Duration {
    // Every Unix has this clock; without it the figure is zero, and shows.
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Forgets the memory's peak so far, so that preparations do not count. Where the system does not offer
/// that, they do.
pub(crate) fn reset_peak() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        eprintln!("load: the peak of memory includes preparations: {error}");
    }
}

/// The peak resident memory, in bytes. `None` if the system does not report it.
pub(crate) fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// The memory that is resident now, in bytes.
pub(crate) fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Latencies, each kept.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn with_capacity(count: u64) -> Self {
        Self(Vec::with_capacity(count as usize))
    }

    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Drops what came before the clock started.
    pub(crate) fn forget_first(&mut self, count: u64) {
        self.0.drain(..count as usize);
    }

    /// p50, p99 and p99.9, in microseconds.
    pub(crate) fn percentiles(mut self) -> [f64; 3] {
        self.0.sort_unstable();
        [0.5, 0.99, 0.999].map(|share| {
            let index = (self.0.len() as f64 * share) as usize;
            let latency = self.0.get(index).or(self.0.last()).copied().unwrap_or_default();
            latency.as_nanos() as f64 / 1000.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut latencies = Latencies::with_capacity(1000);
        for micros in (1..=1000).rev() {
            latencies.push(Duration::from_micros(micros));
        }
        assert_eq!(latencies.percentiles(), [501.0, 991.0, 1000.0]);
    }

    #[test]
    fn work_costs_processor_time_and_memory_is_known() {
        let meter = Meter::start();
        while meter.stop().cpu < Duration::from_millis(5) {}
        assert!(meter.stop().wall > Duration::ZERO);
        if cfg!(target_os = "linux") {
            // Not compared: the tests beside this one allocate between the two looks.
            assert!(peak_memory() > Some(100_000) && resident_memory() > Some(100_000));
        }
    }
}
