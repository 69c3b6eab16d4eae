//! What the parsers and the framing cost, without a network.
//!
//! ```sh
//! cargo bench --no-default-features --features __internals --bench micro [-- NAME]
//! ```
//!
//! Each case is run several times, the cases of a group in turns, and the median counts. Every run checks what it
//! produced. "of" is the case's speed as a share of the group's first case, which is what can be had without
//! this library.

#![allow(clippy::unwrap_used)] // What fails here shall panic.

mod batching;
mod json;
mod sse;

use std::time::{Duration, Instant};

const ROUNDS: usize = 9;

/// One thing to measure: the bytes or records that a run goes through, and the run.
struct Case<'a> {
    name: &'static str,
    bytes: usize,
    records: usize,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Case<'a> {
    fn new(name: &'static str, bytes: usize, records: usize, run: impl FnMut() + 'a) -> Self {
        Self { name, bytes, records, run: Box::new(run) }
    }
}

fn group(title: &str, mut cases: Vec<Case<'_>>) {
    let wanted: Option<String> = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|wanted| !title.contains(&wanted)) {
        return;
    }
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..=ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let started = Instant::now();
            (case.run)();
            // The first round warms up.
            if round > 0 {
                times.push(started.elapsed());
            }
        }
    }
    println!("\n{title}");
    let mut base = None;
    for (case, times) in cases.iter().zip(&mut times) {
        times.sort_unstable();
        let median: Duration = times[times.len() / 2];
        let seconds = median.as_secs_f64();
        let speed = case.bytes as f64 / seconds / 1e9;
        let base = *base.get_or_insert(speed);
        println!(
            "  {:44} {:7.2} GB/s {:8.1} ns/record {:6.2} of",
            case.name,
            speed,
            seconds * 1e9 / case.records as f64,
            speed / base
        );
    }
}

fn main() {
    sse::run();
    json::run();
    batching::run();
}
