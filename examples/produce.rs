//! A log shipper: it appends each line of standard input to a stream, exactly once.
//!
//! Run it with `some-program | cargo run --example produce -- URL [PRODUCER-ID [RETRY-SECONDS]]`. Without a URL it
//! starts a server of its own.
//!
//! It exits at the end of its input, on SIGTERM and on Ctrl-C, after it has stored every line that it has read.
//! During an outage it retries for RETRY-SECONDS (60 by default). If the outage lasts longer, it prints the lines
//! that are not stored, and its exit status is not zero.

use durable_streams::tokio::{Client, IdempotentProducer};
use durable_streams::{CreateOptions, Offset, RetryConfig, StreamError};
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use test_servers::RustServer;
use tokio::io::{AsyncBufReadExt, BufReader};

const USAGE: &str = "usage: produce [URL [PRODUCER-ID [RETRY-SECONDS]]]";

fn main() -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(run());
    // tokio reads standard input on a thread that cannot be cancelled. Do not wait for it.
    runtime.shutdown_background();
    Ok(match result {
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
    // The server runs until this variable is dropped.
    let mut own_server = None;
    let url = match arguments.next() {
        Some(url) => url,
        None => format!("{}/log", own_server.insert(RustServer::start()?).url()),
    };
    let id = arguments.next().unwrap_or_else(|| "produce-example".to_owned());
    let retry_seconds = arguments.next().map_or(Ok(60), |seconds| seconds.parse()).map_err(|_| USAGE)?;

    // The time counts from the first failure after the last success.
    let retry =
        RetryConfig { max_elapsed: Some(Duration::from_secs(retry_seconds)), ..RetryConfig::default() };
    let stream = Client::builder().retry_config(retry).build()?.try_stream(url)?;
    match stream.create(CreateOptions::new().content_type("text/plain")).await {
        // The stream exists, with other options.
        Err(error) if matches!(error.kind(), StreamError::Conflict) => {}
        created => drop(created?),
    }

    // With auto-claim, this run takes over from an earlier one with the same id, however that one ended.
    let producer = stream.producer(id).auto_claim(true).build();
    let shipped = ship(&producer, pin!(shutdown_signal()?)).await;
    let closed = producer.close().await;
    let stats = producer.stats();
    eprintln!("stored {} lines in {} batches at {}", stats.acked_records, stats.acked_batches, stream.url()?);
    for record in producer.take_unacked() {
        // The producer halted. A record that may be stored can be looked up in the stream, after this offset.
        let offset = producer.unacked_from().unwrap_or(Offset::Beginning);
        let state =
            if record.may_be_stored { format!("may be stored after {offset}") } else { "not stored".into() };
        eprint!("{state}: {}", String::from_utf8_lossy(&record.data));
    }
    shipped?;
    Ok(closed?)
}

/// Appends each line, and waits while the producer's queue is full. Returns at the end of input or at `shutdown`.
async fn ship(
    producer: &IdempotentProducer,
    mut shutdown: impl Future<Output = ()> + Unpin,
) -> Result<(), Box<dyn Error>> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        tokio::select! {
            read = input.read_until(b'\n', &mut line) => if read? == 0 { return Ok(()) },
            () = &mut shutdown => return Ok(()),
        }
        // The receipt is not needed: `close` reports whether all lines are stored.
        if let Err(error) = producer.append_wait(line.clone()).await {
            eprint!("not stored: {}", String::from_utf8_lossy(&line));
            return Err(error.into());
        }
    }
}

/// Completes on SIGTERM or Ctrl-C.
#[cfg(unix)]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Completes on Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
