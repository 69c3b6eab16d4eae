//! Answers the commands of the conformance runner with the client's public API.
//!
//! One JSON command a line comes in on stdin, one JSON answer a line goes out on stdout.
//! `conformance-adapter --stack tokio|tokio-hyper|async-std|smol|smol-hyper` chooses the stack.

mod answer;
mod command;
mod dynamic;
mod fields;
mod producers;
mod producing;
mod reading;
mod session;
mod stack;
mod validate;

use session::Session;
use stack::{AsyncStd, Smol, SmolHyper, Stack, Tokio, TokioHyper};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        [] | ["--stack", "tokio"] => serve::<Tokio>(),
        ["--stack", "async-std"] => serve::<AsyncStd>(),
        ["--stack", "smol"] => serve::<Smol>(),
        ["--stack", "smol-hyper"] => serve::<SmolHyper>(),
        ["--stack", "tokio-hyper"] => serve::<TokioHyper>(),
        _ => {
            eprintln!("usage: conformance-adapter [--stack tokio|tokio-hyper|async-std|smol|smol-hyper]");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance-adapter: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve<S: Stack>() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    S::block_on(async {
        let mut session = Session::<S>::default();
        for line in io::stdin().lock().lines() {
            let (answer, goes_on) = session.answer(&line?).await;
            // Both are line ends to some readers of lines, and legal within JSON.
            let text = answer.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
            writeln!(stdout, "{text}")?;
            stdout.flush()?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    })
}
