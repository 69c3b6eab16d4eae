//! Micro-benchmarks of the parsers and of batch framing, without a network.
//!
//! ```sh
//! cargo bench --no-default-features --features __internals --bench micro [-- NAME]
//! ```
//!
//! NAME selects the groups whose title contains it. The cases of a group run alternately, so that all of them see the
//! same load on the machine, and the median of each counts. Every run checks its result.
//!
//! The last column is the case's speed relative to the first case of its group, the baseline: work that any
//! implementation has to do, or the usual way without this library.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod batching;
mod json;
mod sse;

use std::time::{Duration, Instant};

const ROUNDS: usize = 9;

/// One thing to measure.
struct Case<'a> {
    name: &'static str,
    /// The bytes that one run processes.
    bytes: usize,
    /// The records that one run processes.
    records: usize,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Case<'a> {
    fn new(name: &'static str, bytes: usize, records: usize, run: impl FnMut() + 'a) -> Self {
        Self { name, bytes, records, run: Box::new(run) }
    }
}

/// Measures the cases and prints a line for each.
fn group(title: &str, mut cases: Vec<Case<'_>>) {
    let filter: Option<String> = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !title.contains(&filter)) {
        return;
    }
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..=ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let started = Instant::now();
            (case.run)();
            // Round 0 is the warm-up.
            if round > 0 {
                times.push(started.elapsed());
            }
        }
    }
    println!("\n{title}");
    let mut baseline = None;
    for (case, times) in cases.iter().zip(&mut times) {
        times.sort_unstable();
        let median: Duration = times[times.len() / 2];
        let seconds = median.as_secs_f64();
        let speed = case.bytes as f64 / seconds / 1e9;
        let baseline = *baseline.get_or_insert(speed);
        println!(
            "  {:44} {:7.2} GB/s {:8.1} ns/record {:6.2} of baseline",
            case.name,
            speed,
            seconds * 1e9 / case.records as f64,
            speed / baseline
        );
    }
}

fn main() {
    sse::run();
    json::run();
    batching::run();
}
