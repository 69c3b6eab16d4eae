//! A consumer that can be killed at any moment and restarted, and still processes each message exactly once.
//!
//! Run it with `cargo run --example resume`. It starts a server, writes payments to a stream, and runs a consumer in
//! a process that it kills and restarts until all payments are processed. The consumer saves its results and its
//! checkpoint together, in one atomic write.

use durable_streams::tokio::Client;
use durable_streams::{Checkpoint, CreateOptions, LiveMode};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use test_servers::RustServer;

const PAYMENTS: u64 = 5000;

#[derive(Serialize, Deserialize)]
struct Payment {
    number: u64,
    cents: u64,
}

/// The consumer's whole state: its results, and the checkpoint up to which they are complete.
///
/// An application with a database updates the two in one transaction. A consumer without results of its own uses
/// `ReaderBuilder::checkpoint_store`, and acknowledges what it has processed.
#[derive(Default, Serialize, Deserialize)]
struct Ledger {
    payments: u64,
    cents: u64,
    checkpoint: Option<Checkpoint>,
}

impl Ledger {
    fn load(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file atomically: a process that is killed meanwhile leaves the old state or the new one.
    fn save(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec(self)?)?;
        std::fs::rename(temporary, path)?;
        Ok(())
    }
}

/// Processes payments from the saved checkpoint to the end of the stream.
async fn consume(url: &str, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut ledger = Ledger::load(path)?;
    let stream = Client::builder().build()?.stream(url);
    let mut reader = stream.reader().live(LiveMode::Auto);
    if let Some(checkpoint) = ledger.checkpoint.clone() {
        reader = reader.offset(checkpoint);
    }
    let mut batches = reader.json::<Payment>().await?.batches(50);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for payment in batch.items {
            assert_eq!(payment.number, ledger.payments, "a payment was read twice or missed");
            ledger.payments += 1;
            ledger.cents += payment.cents;
        }
        ledger.checkpoint = Some(batch.checkpoint);
        ledger.save(path)?;
        // Slow enough to be killed several times.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match &std::env::args().collect::<Vec<_>>()[..] {
        [_, url, path] => return consume(url, Path::new(path)).await,
        [_] => {}
        _ => return Err("usage: resume [URL STATE-FILE]".into()),
    }

    // Write all payments.
    let server = RustServer::start()?;
    let stream = Client::builder().base_url(server.url()).build()?.stream("v1/stream/payments");
    stream.create(CreateOptions::new().content_type("application/json")).await?;
    let payments: Vec<Payment> =
        (0..PAYMENTS).map(|number| Payment { number, cents: number % 100 + 1 }).collect();
    for batch in payments.chunks(1000) {
        stream.append(serde_json::to_vec(batch)?).await?;
    }
    stream.close().await?;

    let path: PathBuf = std::env::temp_dir().join(format!("resume-{}.json", std::process::id()));
    // Run the consumer in a child process, and kill it every 150 ms until it finishes.
    let mut runs = 0;
    let status = loop {
        runs += 1;
        let mut consumer = Command::new(std::env::current_exe()?)
            .args([stream.url()?.as_ref(), path.as_os_str()])
            .stdin(Stdio::null())
            .spawn()?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        if let Some(status) = consumer.try_wait()? {
            break status;
        }
        consumer.kill()?;
        consumer.wait()?;
        let ledger = Ledger::load(&path)?;
        let saved = ledger.checkpoint.map_or("none".to_owned(), |checkpoint| checkpoint.to_string());
        println!("killed   {} payments processed, checkpoint {saved}", ledger.payments);
    };

    // Each payment counts exactly once.
    let ledger = Ledger::load(&path)?;
    std::fs::remove_file(&path)?;
    assert!(status.success(), "the consumer failed: {status}");
    assert_eq!(ledger.payments, PAYMENTS);
    assert_eq!(ledger.cents, payments.iter().map(|payment| payment.cents).sum::<u64>());
    println!("finished {} payments, {} cents, in {runs} runs", ledger.payments, ledger.cents);
    Ok(())
}
