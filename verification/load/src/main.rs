//! Load on a Durable Streams server, through the client and through the stack's HTTP library alone.
//!
//! Every run moves real records and compares what it moved; a run that could not compare reports
//! `"verified":false` and fails.

mod args;
mod content;
mod meter;
mod raw;
mod report;
mod rounds;
mod scenario;
mod server;
mod stack;

use args::{Args, StackName};
use report::Report;
use stack::Stack;
use std::process::ExitCode;

/// What went wrong, for a person to read.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("load: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match args.rounds {
        Some(rounds) => rounds::run(&args, rounds),
        None => run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let outcome = match args.stack {
        StackName::Tokio => run_on::<stack::Tokio>(args),
        StackName::TokioHyper => run_on::<stack::TokioHyper>(args),
        StackName::AsyncStd => run_on::<stack::AsyncStd>(args),
        StackName::Smol => run_on::<stack::Smol>(args),
        StackName::SmolHyper => run_on::<stack::SmolHyper>(args),
    };
    match outcome {
        Ok(measured) => Report::new(args, measured).print(),
        Err(error) => {
            Report::failed(args, error.to_string()).print()?;
            Err(error)
        }
    }
}

fn run_on<S: Stack>(args: &Args) -> Result<report::Measured> {
    let server = server::Server::find(args.url.as_deref())?;
    S::block_on(scenario::run::<S>(args, &server))?
}
