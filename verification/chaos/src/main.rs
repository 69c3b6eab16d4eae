//! `chaos --seconds 600 --seed 1 --stack tokio`: see the library.

use chaos::{Memory, Plan, Stack};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: chaos [--seconds S] [--seed N] [--stack STACK] [--producers N] [--streams N] [--memory MEMORY]
             [--auto-claim]

  --seconds S     how long the faults last (default: 600)
  --seed N        what chance draws from (default: 1)
  --stack STACK   tokio (default), tokio-hyper, async-std, smol or smol-hyper
  --producers N   how many append (default: 4)
  --streams N     to how many streams (default: 2)
  --memory M      what the server knows of its producers when it was killed: lost (default) or lagging,
                  which is what it does unless told otherwise, and may make it store a batch twice
  --auto-claim    producers claim an epoch by themselves where nothing is in doubt

The last line says PASS or FAIL, and so does the exit status.";

fn plan(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan {
        duration: Duration::from_secs(600),
        seed: 1,
        stack: Stack::Tokio,
        producers: 4,
        streams: 2,
        memory: Memory::Lost,
        auto_claim: false,
    };
    while let Some(option) = words.next() {
        if option == "--auto-claim" {
            plan.auto_claim = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{option}: {value:?} is no number"));
        let small = || u32::try_from(number()?).map_err(|_| format!("{option}: {value} is too large"));
        match option.as_str() {
            "--seconds" => plan.duration = Duration::from_secs(number()?),
            "--seed" => plan.seed = number()?,
            "--stack" => plan.stack = value.parse()?,
            "--producers" => plan.producers = small()?,
            "--streams" => plan.streams = small()?,
            "--memory" => {
                plan.memory = match value.as_str() {
                    "lost" => Memory::Lost,
                    "lagging" => Memory::Lagging,
                    _ => return Err(format!("{value:?} is none of lost, lagging")),
                }
            }
            _ => return Err(format!("there is no option {option:?}")),
        }
    }
    if plan.producers == 0 || plan.streams == 0 {
        return Err("producers and streams start at 1".into());
    }
    Ok(plan)
}

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("chaos: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("chaos: {plan}");
    match chaos::run(&plan) {
        Ok(outcome) => {
            println!("{outcome}");
            if outcome.is_pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("FAIL: {error}");
            ExitCode::FAILURE
        }
    }
}
