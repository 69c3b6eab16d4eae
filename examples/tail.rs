//! `tail -f` for a stream: it prints the stored content, then new content, until the stream is closed.
//!
//! Run it with `cargo run --example tail -- URL [--from now|OFFSET|CHECKPOINT] [--live auto|sse|long-poll]`. Without
//! a URL it starts a server of its own and tails a stream that a background task writes to.
//!
//! The reader reconnects by itself. This example reports each outage once, on standard error.

use durable_streams::tokio::Client;
use durable_streams::{Checkpoint, CreateOptions, ErrorAction, LiveMode, StreamError};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_servers::RustServer;

const USAGE: &str = "usage: tail [URL] [--from now|OFFSET|CHECKPOINT] [--live auto|sse|long-poll]";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tail: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    // The server runs until this variable is dropped.
    let mut own_server = None;
    let url = match options.url {
        Some(url) => url,
        None => demo_stream(own_server.insert(RustServer::start()?)).await?,
    };

    let client = Client::builder().build()?;
    // Without a handler the reader retries the same errors. This one also reports the first error of each outage.
    let outage = Arc::new(AtomicBool::new(false));
    let reported = outage.clone();
    let on_error = move |error: &StreamError| {
        if !error.is_retryable() {
            return ErrorAction::Stop;
        }
        if !reported.swap(true, Ordering::Relaxed) {
            eprintln!("[{error}; retrying]");
        }
        ErrorAction::Retry { headers: None }
    };
    let reader = client.stream(&url).reader().offset(options.from).live(options.live).on_error(on_error);
    let mut chunks = match reader.chunks().await {
        Err(error) if matches!(error.kind(), StreamError::NotFound { .. }) => {
            return Err(format!("there is no stream at {url}").into());
        }
        chunks => chunks?,
    };
    eprintln!("[{} from {}]", chunks.content_type(), chunks.checkpoint());

    let mut stdout = std::io::stdout();
    let mut caught_up = false;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        outage.store(false, Ordering::Relaxed);
        if !chunk.is_empty() {
            stdout.write_all(&chunk.data)?;
            stdout.flush()?;
        }
        if chunk.up_to_date && !caught_up {
            caught_up = true;
            eprintln!("[up to date at {}; waiting for new content]", chunk.checkpoint);
        }
    }
    eprintln!("[closed at {}]", chunks.checkpoint());
    Ok(())
}

struct Options {
    url: Option<String>,
    from: Checkpoint,
    live: LiveMode,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn std::error::Error>> {
        let mut options = Self { url: None, from: "-1".parse()?, live: LiveMode::Auto };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--from" => options.from = arguments.next().ok_or("--from needs a position")?.parse()?,
                "--live" => {
                    options.live = match arguments.next().as_deref() {
                        Some("auto") => LiveMode::Auto,
                        Some("sse") => LiveMode::Sse,
                        Some("long-poll") => LiveMode::LongPoll,
                        other => {
                            let other = other.unwrap_or("nothing");
                            return Err(format!("--live is auto, sse or long-poll, not {other}").into());
                        }
                    }
                }
                url if options.url.is_none() && !url.starts_with('-') => options.url = Some(argument),
                other => return Err(format!("unknown argument {other:?}\n{USAGE}").into()),
            }
        }
        Ok(options)
    }
}

/// Creates a stream that a task writes to for three seconds and then closes. Returns its URL.
async fn demo_stream(server: &RustServer) -> Result<String, Box<dyn std::error::Error>> {
    let stream = Client::builder().base_url(server.url()).build()?.stream("v1/stream/tail");
    stream.create(CreateOptions::new().content_type("text/plain")).await?;
    stream.append("stored before the tail\n").await?;
    let url = stream.url()?.to_owned();
    tokio::spawn(async move {
        for number in 1..=5 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            stream.append(format!("live line {number}\n")).await?;
        }
        stream.close().await
    });
    Ok(url)
}
