//! The model against the real servers: the same random operations give the same statuses, protocol headers
//! and bodies on both. Offsets and entity tags look different; they must correspond one to one.
//!
//! What the two servers do not show by themselves is brought about: neither cuts what it has into pages (the model's pages
//! have to join to their whole), one takes bodies of any size and the other up to 1 GiB, and only one can be told to fail.
//!
//! `SIM_DIFFERENTIAL_SEEDS=N` runs more than the usual number of sequences.

#![allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "a test fails by panicking, and says all it knows"
)]

mod compare;
mod faults;
mod limits;
mod operation;
mod pages;
mod pair;

use durable_streams_sim::Rng;
use durable_streams_sim::model::Dialect;
use operation::{Operation, STREAMS};
use pair::Pair;
use std::time::Duration;
use test_servers::{RustServer, skip_without_node};

/// How long the servers' long-polls wait here.
const LONG_POLL: Duration = Duration::from_millis(20);

const LENGTH: usize = 60;

fn seeds() -> u64 {
    std::env::var("SIM_DIFFERENTIAL_SEEDS").ok().map_or(60, |seeds| seeds.parse().unwrap())
}

/// Runs the sequences, each on streams of its own.
fn hold_against(url: &str, dialect: Dialect) {
    let mut operations = 0;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for seed in 0..seeds() {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::new(url, &format!("/differential/{seed}"), dialect);
        let mut done = Vec::new();
        for n in 0..LENGTH {
            let operation = match n {
                n if n < STREAMS => Operation::first(&mut rng, n),
                _ => Operation::random(&mut rng, &pair.state(), dialect),
            };
            done.push(operation.to_string());
            match pair.run(&operation) {
                Ok(status) => *statuses.entry(status).or_default() += 1,
                Err(difference) => {
                    panic!("seed {seed}: after\n  {}\n{difference}", done.join("\n  "))
                }
            }
            operations += 1;
        }
    }
    println!("{operations} operations answered alike by the model and {dialect:?}: {statuses:?}");
    for expected in [200, 201, 204, 304, 400, 403, 404, 409, 410] {
        assert!(statuses.contains_key(&expected), "no operation was answered {expected}: {statuses:?}");
    }
}

#[test]
fn rust_server_responds_like_the_model() {
    let server = RustServer::builder().long_poll_timeout(LONG_POLL).start().unwrap();
    hold_against(server.url(), Dialect::Rust);
}

#[test]
fn node_server_responds_like_the_model() {
    if skip_without_node().is_none() {
        return;
    }
    let server = test_servers::NodeServer::builder().long_poll_timeout(LONG_POLL).start().unwrap();
    hold_against(server.url(), Dialect::Node);
}

/// Time to live: a read or a write renews it, a HEAD does not, and afterwards the stream is gone.
fn expiry(url: &str, dialect: Dialect) {
    use operation::Headers;
    let ttl = || Headers::new().with("stream-ttl", "2").with("content-type", "text/plain");
    let mut pair = Pair::new(url, "/differential/expiry", dialect);
    let mut run = |operation: Operation, wait: u64| {
        pair.run(&operation).unwrap_or_else(|difference| panic!("{operation}\n{difference}"));
        pair.pass(Duration::from_millis(wait));
    };
    run(Operation::new("PUT", 0).headers(ttl()), 0);
    run(Operation::new("PUT", 1).headers(ttl()), 1200);
    run(Operation::new("GET", 0), 0);
    run(Operation::new("HEAD", 1), 1200);
    run(Operation::new("HEAD", 0), 0);
    run(Operation::new("HEAD", 1), 0);
    run(Operation::new("PUT", 1).headers(ttl()), 1200);
    run(Operation::new("GET", 0), 0);
    run(Operation::new("POST", 1).headers(Headers::new().with("content-type", "text/plain")).body("x"), 1200);
    run(Operation::new("GET", 1), 0);
}

#[test]
fn streams_expire_alike() {
    let rust = RustServer::start().unwrap();
    let node = skip_without_node();
    std::thread::scope(|scope| {
        scope.spawn(|| expiry(rust.url(), Dialect::Rust));
        if let Some(node) = &node {
            scope.spawn(|| expiry(node.url(), Dialect::Node));
        }
    });
}
