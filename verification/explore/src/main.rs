//! `explore --seeds N [--first S]` tries N seeds; `explore --seed S [--trace]` replays one.

mod arguments;

use arguments::{Asked, USAGE};
use explore::{Plan, play, shrunk};
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

/// Tries seed after seed.
fn explore(seeds: u64, first: u64, stop: bool) -> u64 {
    let started = Instant::now();
    let (mut tried, mut failures, mut requests) = (0u64, 0, 0);
    for seed in first..first + seeds {
        let played = play(&Plan::new(seed), false);
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

/// Plays one seed, and if it fails, the smallest plan that does.
fn replay(seed: u64, trace: bool) -> u64 {
    let plan = Plan::new(seed);
    let played = play(&plan, false);
    let Some(failure) = played.failure else {
        if trace {
            show(&plan);
        }
        println!("1 seeds, 0 failures");
        return 0;
    };
    println!("seed {seed}: {failure}");
    let small = shrunk(&plan);
    println!("{} mishaps are enough:", small.mishaps.len());
    small.mishaps.iter().for_each(|mishap| println!("  {mishap}"));
    if trace {
        show(&small);
    }
    println!("1 seeds, 1 failures");
    1
}

fn show(plan: &Plan) {
    println!("{:?}\n{:?}", plan.server, plan.network);
    println!("streams: {:?}", plan.streams);
    plan.writers.iter().for_each(|writer| println!("{writer:?}"));
    plan.readers.iter().for_each(|reader| println!("{reader:?}"));
    let played = play(plan, true);
    played.trace.iter().for_each(|line| println!("{line}"));
    match played.failure {
        Some(failure) => println!("=> {failure}"),
        None => println!("=> all is well"),
    }
}
