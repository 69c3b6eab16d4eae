//! A log shipper: lines from standard input, each stored exactly once.
//!
//! `some-program | cargo run --example produce -- URL [PRODUCER-ID [PATIENCE]]` ends at the end of its input or on
//! SIGTERM or Ctrl-C, with every line stored that it has read; its exit status says whether that is so. It rides out an
//! outage of so many seconds (60 by default); after that it gives up, and names the lines that it could not store. Without
//! a URL it starts a server of its own.

use durable_streams::tokio::{Client, IdempotentProducer};
use durable_streams::{CreateOptions, Offset, RetryConfig, StreamError};
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use test_servers::RustServer;
use tokio::io::{AsyncBufReadExt, BufReader};

const USAGE: &str = "usage: produce [URL [PRODUCER-ID [PATIENCE]]], with the patience in seconds";

fn main() -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let shipped = runtime.block_on(run());
    // A read of standard input that waits for more cannot be taken back, and is not to be waited for.
    runtime.shutdown_background();
    Ok(match shipped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("produce: {error}");
            ExitCode::FAILURE
        }
    })
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first.starts_with('-')) {
        return Err(USAGE.into());
    }
    let mut own_server = None;
    let url = match arguments.next() {
        Some(url) => url,
        None => format!("{}/log", own_server.insert(RustServer::start()?).url()),
    };
    let id = arguments.next().unwrap_or_else(|| "produce-example".to_owned());

    let patience = arguments.next().map_or(Ok(60), |seconds| seconds.parse()).map_err(|_| USAGE)?;

    // For as long as nothing gets through; whatever does renews it.
    let retry = RetryConfig { max_elapsed: Some(Duration::from_secs(patience)), ..RetryConfig::default() };
    let stream = Client::builder().retry_config(retry).build()?.try_stream(url)?;
    match stream.create(CreateOptions::new().content_type("text/plain")).await {
        // It is there already, as somebody else made it.
        Err(error) if matches!(error.kind(), StreamError::Conflict) => {}
        created => drop(created?),
    }

    // An earlier run with this id may have ended anyhow: its epoch is left behind.
    let producer = stream.producer(id).auto_claim(true).build();
    let shipped = ship(&producer, pin!(asked_to_stop()?)).await;
    let ended = producer.close().await;
    let stats = producer.stats();
    eprintln!("stored {} lines in {} batches at {}", stats.acked_records, stats.acked_batches, stream.url()?);
    for record in producer.take_unsent() {
        // It halted. What may be stored nevertheless can be found in the stream, from there on.
        let place = producer.unsent_from().unwrap_or(Offset::Beginning);
        let doubt =
            if record.may_be_stored { format!("look behind {place} for") } else { "not stored".into() };
        eprint!("{doubt}: {}", String::from_utf8_lossy(&record.data));
    }
    shipped?;
    Ok(ended?)
}

/// Hands each line to the producer, waiting for room where the server is slower than the input.
async fn ship(
    producer: &IdempotentProducer,
    mut stop: impl Future<Output = ()> + Unpin,
) -> Result<(), Box<dyn Error>> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        tokio::select! {
            read = input.read_until(b'\n', &mut line) => if read? == 0 { return Ok(()) },
            () = &mut stop => return Ok(()),
        }
        // The receipt is not needed: `close` says whether all are stored.
        if let Err(error) = producer.append_wait(line.clone()).await {
            eprint!("not stored: {}", String::from_utf8_lossy(&line));
            return Err(error.into());
        }
    }
}

/// Ready on SIGTERM or Ctrl-C.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ready on Ctrl-C.
#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
