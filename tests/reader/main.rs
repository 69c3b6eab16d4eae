//! Readers in the simulated world: virtual time, a server in memory, and faults.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod idle;
mod suspend;

use durable_streams::{ClientBuilder, CreateOptions, DurableStream, ReaderBuilder};
use durable_streams_sim::{Process, SimRuntime, SimTransport, World};
use std::time::Duration;

type SimStream = DurableStream<SimTransport, SimRuntime>;

fn handle(world: &World, runtime: SimRuntime) -> SimStream {
    ClientBuilder::new(world.transport(), runtime).base_url("http://sim").build().unwrap().stream("s")
}

/// Creates an empty JSON stream.
fn stream(world: &mut World) -> SimStream {
    let stream = handle(world, world.runtime());
    let creating = stream.clone();
    let options = CreateOptions::new().content_type("application/json");
    world.run(async move { creating.create(options).await }).unwrap();
    stream
}

/// A reader of that stream in a process of its own.
fn reader_on(world: &World, process: &Process) -> ReaderBuilder<SimTransport, SimRuntime> {
    handle(world, process.runtime()).with_content_type("application/json").reader()
}

const SECOND: Duration = Duration::from_secs(1);
