//! One read in a process of its own, and what it reports.

use crate::support::{Stack, StackClient, StackStream};
use durable_streams::{LiveMode, RetryConfig, StreamError};
use serde::Deserialize;
use std::process::Command;
use std::time::Duration;

/// What the process is told, as one line of words: see [`Told`].
const TOLD: &str = "DURABLE_STREAMS_TEST_READ";
/// Before the one line of output that is meant for us.
const REPORT: &str = "memory: ";

/// Where a server of what is too large has a stream of ordinary content.
pub const ORDINARY: &str = "/ordinary";

/// What the content of every stream is made of.
pub const TEXT: &str = "0123456789abcdefghijklmnopqrstuvwxyz-";

/// A message of a JSON stream. The first is number 0.
#[derive(Deserialize)]
struct Message {
    n: u64,
    text: String,
}

/// A message of about a kilobyte.
pub fn message(n: u64) -> String {
    format!(r#"{{"n":{n},"text":"{}"}}"#, TEXT.repeat(25))
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes,
    Json,
    /// By server-sent events that hold more than the reader takes, until it says so.
    Events,
    /// The same for a message that is too large.
    Messages,
}

/// A stack, how to read, the stream's URL, and how much is in it (bytes, or messages) or the reader's limit.
struct Told {
    stack: String,
    read: String,
    url: String,
    amount: u64,
}

/// What a read came to, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The most that the process ever had in memory.
    pub peak: u64,
    /// How much of that the read added to a client that was used before.
    pub grown: u64,
}

pub const STACKS: [&str; 3] = ["tokio", "async-std", "smol"];

/// Reads in a process of its own. The process checks what it reads.
pub fn read(stack: &str, read: Read, url: &str, amount: u64) -> Memory {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::child_process_reads_and_reports_memory", "--ignored", "--nocapture"])
        // What a heap for each thread keeps in reserve is the allocator's affair.
        .env("MALLOC_ARENA_MAX", "1")
        .env(TOLD, format!("{stack} {read:?} {url} {amount}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = text.lines().find_map(|line| line.split_once(REPORT));
    let Some((_, report)) = report.filter(|_| output.status.success()) else {
        panic!("{stack} {read:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let mut figures = report.split(' ').map(|figure| figure.parse().unwrap());
    let memory = Memory { peak: figures.next().unwrap(), grown: figures.next().unwrap() };
    println!("{stack} {read:?} {url}: {memory:?}");
    memory
}

#[test]
#[ignore = "the other tests start it, in a process of its own"]
fn child_process_reads_and_reports_memory() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let mut words = told.split(' ').map(str::to_owned);
    let mut word = || words.next().expect("a word more");
    let told = Told { stack: word(), read: word(), url: word(), amount: word().parse().expect("an amount") };
    match told.stack.as_str() {
        "tokio" => crate::Tokio::block_on(run::<crate::Tokio>(told)),
        "async-std" => crate::AsyncStd::block_on(run::<crate::AsyncStd>(told)),
        "smol" => crate::Smol::block_on(run::<crate::Smol>(told)),
        other => panic!("no stack {other}"),
    }
}

async fn run<S: Stack>(told: Told) {
    let retry = RetryConfig { initial_backoff: Duration::from_millis(5), ..RetryConfig::default() };
    let client: StackClient<S> = S::builder().retry_config(retry).build().unwrap();
    let stream = client.stream(&told.url);
    // What any use brings: connections, buffers, threads, code that was not touched before.
    if told.read == "Events" || told.read == "Messages" {
        let ordinary = client.stream(told.url.replace("/s", ORDINARY));
        let mut chunks = ordinary.reader().chunks().await.unwrap();
        while chunks.try_next().await.unwrap().is_some() {}
        too_large::<S>(&stream, mode(&told.read), 1000).await;
    } else {
        stream.head().await.unwrap();
    }
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let amount = told.amount;
    match told.read.as_str() {
        "Bytes" => bytes::<S>(&stream, amount).await,
        "Json" => json::<S>(&stream, amount).await,
        read => too_large::<S>(&stream, mode(read), amount).await,
    }
    let peak = status("VmHWM:");
    // The test harness has begun a line of its own.
    println!("\n{REPORT}{peak} {}", peak.saturating_sub(before));
}

fn mode(read: &str) -> LiveMode {
    if read == "Events" { LiveMode::Sse } else { LiveMode::Off }
}

async fn bytes<S: Stack>(stream: &StackStream<S>, amount: u64) {
    let pattern = TEXT.repeat((1 << 20) / TEXT.len() + 2);
    let mut chunks = stream.reader().chunks().await.unwrap();
    let mut read = 0;
    while let Some(chunk) = chunks.try_next().await.unwrap() {
        let expected = &pattern.as_bytes()[(read % TEXT.len() as u64) as usize..][..chunk.data.len()];
        assert!(chunk.data == expected, "other bytes after {read}");
        read += chunk.data.len() as u64;
    }
    assert_eq!(read, amount);
}

async fn json<S: Stack>(stream: &StackStream<S>, amount: u64) {
    let mut messages = stream.reader().json::<Message>().await.unwrap();
    let mut read = 0;
    while let Some(message) = messages.try_next().await.unwrap() {
        assert_eq!(message.n, read);
        assert!(message.text.starts_with(TEXT) && message.text.len() == TEXT.len() * 25);
        read += 1;
    }
    assert_eq!(read, amount);
}

async fn too_large<S: Stack>(stream: &StackStream<S>, mode: LiveMode, limit: u64) {
    let limit = usize::try_from(limit).unwrap();
    let reader = stream.reader().live(mode).max_event_bytes(limit);
    let mut chunks = reader.chunks().await.unwrap();
    let error = chunks.try_next().await.unwrap_err();
    let StreamError::TooLarge { limit: told, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(*told, limit);
}

/// A figure of this process, in bytes.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}
