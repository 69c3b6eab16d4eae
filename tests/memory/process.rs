//! One read in a child process, which reports its memory.

use crate::support::{AsyncStd, Smol, SmolHyper, Stack, StackStream, Tokio, TokioHyper};
use durable_streams::{LiveMode, RetryConfig, StreamError};
use serde::Deserialize;
use std::process::Command;
use std::time::Duration;

/// The environment variable with the child's task, as one line of words: see [`Task`].
const TASK: &str = "DURABLE_STREAMS_TEST_READ";
/// The prefix of the line of output with the measurement. The test harness prints other lines.
const REPORT: &str = "memory: ";

/// The path at which the servers of `large_events` have a stream of ordinary content, for warming up.
pub const ORDINARY: &str = "/ordinary";

/// The text that every stream repeats.
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
    /// By server-sent events, until the reader reports one that is too large.
    Events,
    /// By a plain request, until the reader reports a message that is too large.
    Messages,
    /// Until the HTTP library reports a head that it does not accept.
    Head,
}

/// What the child process has to read.
struct Task {
    stack: String,
    /// The name of a variant of [`Read`].
    read: String,
    url: String,
    /// The content in bytes or messages, or the reader's limit in bytes.
    amount: u64,
}

/// The memory of a child process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The peak of its resident memory during the read.
    pub peak: u64,
    /// The part of the peak that the read added, after the client had been warmed up.
    pub grown: u64,
}

pub const STACKS: [&str; 5] = ["tokio", "tokio-hyper", "async-std", "smol", "smol-hyper"];

/// Reads in a child process, which also checks the content.
pub fn read(stack: &str, read: Read, url: &str, amount: u64) -> Memory {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::child_process_reads_and_reports_memory", "--ignored", "--nocapture"])
        // glibc keeps a heap for each thread, whose reserves would be measured too.
        .env("MALLOC_ARENA_MAX", "1")
        .env(TASK, format!("{stack} {read:?} {url} {amount}"))
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
#[ignore = "the other tests start it in a child process"]
fn child_process_reads_and_reports_memory() {
    let Ok(line) = std::env::var(TASK) else { return };
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().expect("four words");
    let task = Task { stack: word(), read: word(), url: word(), amount: word().parse().expect("an amount") };
    match task.stack.as_str() {
        "tokio" => Tokio::block_on(run::<Tokio>(task)),
        "tokio-hyper" => TokioHyper::block_on(run::<TokioHyper>(task)),
        "async-std" => AsyncStd::block_on(run::<AsyncStd>(task)),
        "smol" => Smol::block_on(run::<Smol>(task)),
        "smol-hyper" => SmolHyper::block_on(run::<SmolHyper>(task)),
        other => panic!("no stack {other}"),
    }
}

async fn run<S: Stack>(task: Task) {
    let mut retry = RetryConfig { initial_backoff: Duration::from_millis(5), ..RetryConfig::default() };
    if task.read == "Head" {
        retry.max_retries = Some(0);
    }
    let client = S::builder().retry_config(retry).build().unwrap();
    let stream = client.stream(&task.url);
    // Warm up, so that connections, buffers, threads and code pages of a first use are not measured.
    if task.read == "Events" || task.read == "Messages" {
        let ordinary = client.stream(task.url.replace("/s", ORDINARY));
        let mut chunks = ordinary.reader().chunks().await.unwrap();
        while chunks.try_next().await.unwrap().is_some() {}
        too_large::<S>(&stream, mode(&task.read), 1000).await;
    } else {
        stream.head().await.unwrap();
    }
    // Writing 5 resets the peak (VmHWM) to the current resident memory.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let amount = task.amount;
    match task.read.as_str() {
        "Bytes" => bytes::<S>(&stream, amount).await,
        "Json" => json::<S>(&stream, amount).await,
        "Head" => {
            let error = stream.reader().chunks().await.unwrap_err();
            assert!(matches!(error.kind(), StreamError::Network(_)), "{error}");
        }
        read => too_large::<S>(&stream, mode(read), amount).await,
    }
    let peak = status("VmHWM:");
    // The test harness has begun a line of its own: start a new one.
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
        assert!(chunk.data == expected, "wrong content after {read} bytes");
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
    let StreamError::TooLarge { limit: reported, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(*reported, limit);
}

/// This field of `/proc/self/status`, in bytes.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}
