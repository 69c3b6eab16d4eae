//! The quickstart on smol: write records exactly once, read them back, and tail the stream.
//!
//! Run it with `cargo run -p quickstart-smol`. It starts a server of its own; to use another one, set
//! `DURABLE_STREAMS_URL=http://…`.

use durable_streams::smol_hyper::Client;
use durable_streams::{CreateOptions, LiveMode};
use std::error::Error;
use test_servers::RustServer;

fn main() -> Result<(), Box<dyn Error>> {
    // The server runs until this variable is dropped.
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

    // Write 1000 records. A batch may be sent more than once, but the server stores it only once.
    let producer = stream.producer("quickstart").build();
    for number in 0..1000 {
        producer.append_json(&number)?;
    }
    producer.flush().await?;
    let numbers: Vec<u32> = stream.reader().read_json().await?;
    println!("wrote and read back {} records at {}", numbers.len(), stream.url()?);

    // Close the stream after one more record, and read it live: the tail ends where the stream ends.
    producer.append_json(&1000)?;
    producer.close_stream().await?;
    let mut tail = stream.reader().live(LiveMode::Auto).json::<u32>().await?;
    let mut count = 0;
    while let Some(number) = tail.next().await {
        number?;
        count += 1;
    }
    println!("the tail delivered {count} records, and ended because the stream is closed");
    Ok(())
}
