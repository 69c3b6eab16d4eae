//! `explore --seeds N [--first S]` tries N seeds; `explore --seed S [--trace]` replays one.

mod arguments;

use arguments::{Asked, USAGE};
use explore::{Scenario, play, shrunk};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let failures = match Asked::of(std::env::args().skip(1)) {
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
        Ok(Asked::Help) => {
            println!("{USAGE}");
            0
        }
        Ok(Asked::Replay { seed, trace }) => replay(seed, trace),
        Ok(Asked::Explore { seeds, first, stop }) => explore(seeds, first, stop),
    };
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs many seeds.
fn explore(seeds: u64, first: u64, stop: bool) -> u64 {
    let started = Instant::now();
    let (mut tried, mut failures, mut requests) = (0u64, 0, 0);
    for seed in first..first + seeds {
        let played = play(&Scenario::new(seed), false);
        tried += 1;
        requests += played.requests;
        if let Some(failure) = played.failure {
            failures += 1;
            println!("seed {seed}: {failure}");
            if stop {
                break;
            }
        }
    }
    let rate = tried as f64 / started.elapsed().as_secs_f64();
    eprintln!("{requests} requests, {rate:.0} seeds a second");
    println!("{tried} seeds, {failures} failures");
    failures
}

/// Runs one seed. If it fails, prints the smallest scenario that still fails.
fn replay(seed: u64, trace: bool) -> u64 {
    let scenario = Scenario::new(seed);
    let played = play(&scenario, false);
    let Some(failure) = played.failure else {
        if trace {
            show(&scenario);
        }
        println!("1 seeds, 0 failures");
        return 0;
    };
    println!("seed {seed}: {failure}");
    let small = shrunk(&scenario);
    println!("{} failures are enough:", small.failures.len());
    small.failures.iter().for_each(|failure| println!("  {failure}"));
    if trace {
        show(&small);
    }
    println!("1 seeds, 1 failures");
    1
}

fn show(scenario: &Scenario) {
    println!("{:?}\n{:?}", scenario.server, scenario.network);
    println!("streams: {:?}", scenario.streams);
    scenario.writers.iter().for_each(|writer| println!("{writer:?}"));
    scenario.readers.iter().for_each(|reader| println!("{reader:?}"));
    let played = play(scenario, true);
    played.trace.iter().for_each(|line| println!("{line}"));
    match played.failure {
        Some(failure) => println!("=> {failure}"),
        None => println!("=> no failure"),
    }
}
