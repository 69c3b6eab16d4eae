//! The library from end to end: create a stream, write records exactly once, read them back, and tail the stream.
//!
//! Run it with `cargo run --example quickstart`. It starts a server of its own; to use another one, set
//! `DURABLE_STREAMS_URL=http://…`.

use durable_streams::tokio::Client;
use durable_streams::{CreateOptions, LiveMode, Offset};
use serde::{Deserialize, Serialize};
use test_servers::RustServer;

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u32,
    item: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The server runs until this variable is dropped.
    let mut own_server = None;
    let url = match std::env::var("DURABLE_STREAMS_URL") {
        Ok(url) => url,
        Err(_) => own_server.insert(RustServer::start()?).url().to_owned(),
    };
    println!("server     {url}");

    let client = Client::builder().base_url(&url).build()?;
    let stream = client.stream(format!("v1/stream/quickstart-{}", std::process::id()));
    let created = stream.create(CreateOptions::new().content_type("application/json")).await?;
    println!("created    {} ({})", stream.url()?, created.content_type);

    // Write 1000 records. A batch may be sent more than once, but the server stores it only once.
    let producer = stream.producer("quickstart").build();
    for id in 0..1000 {
        producer.append_json(&Order { id, item: format!("item {id}") })?;
    }
    producer.flush().await?;
    let stats = producer.stats();
    println!(
        "wrote      {} records ({} bytes, {} batches, {} requests, {} resent)",
        stats.acked_records, stats.acked_bytes, stats.acked_batches, stats.requests, stats.resent
    );

    // Read them back.
    let orders: Vec<Order> = stream.reader().read_json().await?;
    assert!(orders.iter().map(|order| order.id).eq(0..1000), "the content differs from what was written");
    println!("read back  {} records, from {:?} to {:?}", orders.len(), orders[0], orders[999]);

    // Tail the stream: from now on, until it is closed.
    let mut tail = stream.reader().offset(Offset::Now).live(LiveMode::Auto).json::<Order>().await?;
    let writer = tokio::spawn(async move {
        for id in 1000..1003 {
            producer.append_json(&Order { id, item: "live".into() })?;
            producer.flush().await?;
        }
        producer.close_stream().await
    });
    while let Some(order) = tail.next().await {
        println!("live       {:?}, checkpoint {}", order?, tail.checkpoint());
    }
    writer.await??;
    println!("closed     the stream is closed, and the tail has ended");
    Ok(())
}
