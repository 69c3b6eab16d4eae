//! `explore --seeds N [--first S]` tries N seeds; `explore --seed S [--trace]` replays one.

use explore::{Plan, play, shrunk};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "\
usage: explore [--seeds N] [--first S] [--stop]
       explore --seed S [--trace]

  --seeds N   try N seeds (default: 1000)
  --first S   from seed S on (default: 0)
  --stop      stop at the first failure
  --seed S    replay one seed, and shrink it if it fails
  --trace     print what happens, line by line";

struct Arguments {
    seeds: u64,
    first: u64,
    stop: bool,
    seed: Option<u64>,
    trace: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 1000, first: 0, stop: false, seed: None, trace: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || {
            let value = given.next().ok_or(format!("{argument} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{argument}: {value:?} is no number"))
        };
        match argument.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--first" => arguments.first = number()?,
            "--seed" => arguments.seed = Some(number()?),
            "--stop" => arguments.stop = true,
            "--trace" => arguments.trace = true,
            _ => return Err(format!("{argument:?} is not known")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let failures = match arguments.seed {
        Some(seed) => replay(seed, arguments.trace),
        None => explore(&arguments),
    };
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries seed after seed.
fn explore(arguments: &Arguments) -> u64 {
    let started = Instant::now();
    let (mut seeds, mut failures, mut requests) = (0u64, 0, 0);
    for seed in arguments.first..arguments.first.saturating_add(arguments.seeds) {
        let played = play(&Plan::new(seed), false);
        seeds += 1;
        requests += played.requests;
        if let Some(failure) = played.failure {
            failures += 1;
            println!("seed {seed}: {failure}");
            if arguments.stop {
                break;
            }
        }
    }
    let rate = seeds as f64 / started.elapsed().as_secs_f64();
    eprintln!("{requests} requests, {rate:.0} seeds a second");
    println!("{seeds} seeds, {failures} failures");
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
