//! Whole producers in a simulated world: virtual time, a server in memory, faults at chosen points.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod endings;
#[cfg(feature = "tracing")]
mod events;
mod histories;
mod pressure;
mod restarts;
mod trouble;

use durable_streams::{Client, ClientBuilder, CreateOptions, DurableStream, IdempotentProducer};
use durable_streams_sim::model::StreamView;
use durable_streams_sim::{SimRuntime, SimTransport, World};
use std::time::Duration;

type SimStream = DurableStream<SimTransport, SimRuntime>;
type SimProducer = IdempotentProducer<SimTransport, SimRuntime>;

const PATH: &str = "/orders";

fn client(world: &World, runtime: SimRuntime) -> Client<SimTransport, SimRuntime> {
    ClientBuilder::new(world.transport(), runtime).base_url("http://sim").build().unwrap()
}

/// A stream of lines that exists.
fn lines(world: &mut World) -> SimStream {
    stream(world, "text/plain")
}

fn stream(world: &mut World, content_type: &str) -> SimStream {
    let stream = client(world, world.runtime()).stream("orders");
    let creating = stream.clone();
    let options = CreateOptions::new().content_type(content_type);
    world.run(async move { creating.create(options).await }).unwrap();
    stream
}

fn stored(world: &World) -> StreamView {
    world.server().stream(PATH).expect("the stream is there")
}

/// The stored records, one for each line.
fn stored_lines(world: &World) -> Vec<String> {
    let text = String::from_utf8(stored(world).data.to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn posts(world: &World) -> usize {
    world.requests().iter().filter(|request| request.method == http::Method::POST).count()
}

const SECOND: Duration = Duration::from_secs(1);
