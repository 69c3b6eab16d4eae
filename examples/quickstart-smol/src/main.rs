//! The quickstart on smol: write exactly once, read back, tail live.
//!
//! `cargo run -p quickstart-smol` starts a server of its own; `DURABLE_STREAMS_URL` names another to use.

use durable_streams::smol::Client;
use durable_streams::{CreateOptions, LiveMode};
use std::error::Error;
use test_servers::RustServer;

fn main() -> Result<(), Box<dyn Error>> {
    // Kept until the end: dropping it stops the server.
    let mut own_server = None;
    let url = match std::env::var("DURABLE_STREAMS_URL") {
        Ok(url) => url,
        Err(_) => own_server.insert(RustServer::start()?).url().to_owned(),
    };
    smol::block_on(run(&url))
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().base_url(url).build()?;
    let stream = client.stream(format!("v1/stream/quickstart-{}", std::process::id()));
    stream.create(CreateOptions::new().content_type("application/json")).await?;

    let producer = stream.producer("quickstart").build();
    for number in 0..1000 {
        producer.append_json(&number)?;
    }
    producer.flush().await?;
    let numbers: Vec<u32> = stream.reader().read_json().await?;
    println!("wrote and read back {} records at {}", numbers.len(), stream.url()?);

    producer.append_json(&1000)?;
    producer.close_stream().await?;
    let mut tail = stream.reader().live(LiveMode::Auto).json::<u32>().await?;
    let mut count = 0;
    while let Some(number) = tail.next().await {
        number?;
        count += 1;
    }
    println!("a tail from the beginning saw {count} records, and ended since the stream is closed");
    Ok(())
}
