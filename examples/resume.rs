//! A consumer that may be killed at any moment and started again: nothing twice, nothing missing.
//!
//! `cargo run --example resume` starts a server and, in one process after the other, a consumer that is killed
//! again and again. What it did is kept with the position it was done up to, in one file and one write.

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

/// The consumer's whole state: its results, and the position they are right for. An application with a
/// database keeps the two in one transaction; a consumer without results of its own uses
/// `ReaderBuilder::checkpoint_store` and acknowledges what it has dealt with.
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

    /// The old state or the new one, never half of it: a process may be killed in the middle of this.
    fn save(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(self)?)?;
        std::fs::rename(beside, path)?;
        Ok(())
    }
}

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
            assert_eq!(payment.number, ledger.payments, "read twice, or missed");
            ledger.payments += 1;
            ledger.cents += payment.cents;
        }
        ledger.checkpoint = Some(batch.checkpoint);
        ledger.save(path)?;
        // A payment takes its time, so that there is something to be killed in.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match &std::env::args().collect::<Vec<_>>()[..] {
        [_, url, path] => return consume(url, Path::new(path)).await,
        [_] => {}
        _ => return Err("usage: resume, or resume URL STATE-FILE for the consumer alone".into()),
    }
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
    let mut lives = 0;
    let ended = loop {
        lives += 1;
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
        let at = ledger.checkpoint.map_or("nothing yet".to_owned(), |checkpoint| checkpoint.to_string());
        println!("killed   {} payments done, saved as {at}", ledger.payments);
    };
    let ledger = Ledger::load(&path)?;
    std::fs::remove_file(&path)?;
    assert!(ended.success(), "the consumer failed: {ended}");
    assert_eq!(ledger.payments, PAYMENTS);
    assert_eq!(ledger.cents, payments.iter().map(|payment| payment.cents).sum::<u64>());
    println!(
        "finished {} payments, {} cents, in {lives} lives: none twice, none missing",
        ledger.payments, ledger.cents
    );
    Ok(())
}
