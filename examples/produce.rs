//! A log shipper: lines from standard input, each stored exactly once.
//!
//! `some-program | cargo run --example produce -- URL [PRODUCER-ID]` ends at the end of its input or on SIGTERM or
//! Ctrl-C, with everything stored that it has read; its exit status says whether that is so. Without a URL it starts a
//! server of its own.

use durable_streams::tokio::{Client, IdempotentProducer};
use durable_streams::{CreateOptions, StreamError};
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use test_servers::RustServer;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut own_server = None;
    let url = match arguments.next() {
        Some(url) => url,
        None => format!("{}/log", own_server.insert(RustServer::start()?).url()),
    };
    let id = arguments.next().unwrap_or_else(|| "produce-example".to_owned());

    let stream = Client::builder().build()?.try_stream(url)?;
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
        let doubt = if record.may_be_stored { "perhaps stored" } else { "not stored" };
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
        producer.append_wait(line.clone()).await?;
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
