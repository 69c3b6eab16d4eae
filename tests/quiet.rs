//! What a producer costs while it cannot do anything: processor time and memory. In a process of its own, and one after
//! the other, because it is this process that is measured.
#![cfg(all(target_os = "linux", feature = "tokio", feature = "async-std", feature = "smol"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use durable_streams::{Client, CreateOptions, DurableStream, ProducerError};
use futures_lite::future::block_on;
use std::thread;
use std::time::{Duration, Instant};
use test_servers::{Action, Proxy, RustServer, wait_until};

/// Runs `check` with a way to make clients of each stack.
fn on_each_stack(check: impl Fn(&str, &dyn Fn(&str) -> Client)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    check("tokio", &|url| {
        let builder = durable_streams::tokio::Client::builder().base_url(url);
        runtime.block_on(async { builder.build().unwrap().to_any() })
    });
    check("async-std", &|url| {
        durable_streams::async_std::Client::builder().base_url(url).build().unwrap().to_any()
    });
    check("smol", &|url| durable_streams::smol::Client::builder().base_url(url).build().unwrap().to_any());
}

fn new_stream(client: &Client) -> DurableStream {
    let stream = client.stream("quiet");
    block_on(stream.create(CreateOptions::new().content_type("text/plain"))).unwrap();
    stream
}

/// The processor time of all threads of this process.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = tasks.filter_map(|task| {
        // A thread may have ended since.
        let schedstat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap()
}

/// Guarantee 39: a flush that waits uses under 2 % of a core, and returns when what came before it is settled.
fn check_cpu_of_waiting_flush(name: &str, client: &dyn Fn(&str) -> Client) {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream(&client(proxy.url()));
    let producer = stream.producer("p").max_batch_items(10).build();
    for _ in 0..100 {
        producer.append("x\n").unwrap();
    }
    block_on(producer.flush()).unwrap();
    proxy.forget_requests();
    proxy.rule(|_, _| Action::DelayResponse(Duration::from_secs(3)));
    for _ in 0..20 {
        producer.append("x\n").unwrap();
    }
    let waiting = thread::spawn({
        let producer = producer.clone();
        move || block_on(producer.flush())
    });
    assert!(proxy.wait_for_requests(1, Duration::from_secs(20)));
    // What it takes to send them, and to settle down, does not count.
    thread::sleep(Duration::from_millis(500));
    let (start, before) = (Instant::now(), cpu_time());
    thread::sleep(Duration::from_millis(1500));
    let share = cpu_time().saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("{name}: a waiting flush takes {:.2} % of a core", share * 100.0);
    assert!(!waiting.is_finished(), "it waited all the time");
    assert!(share < 0.02, "{name}: {:.2} % of a core", share * 100.0);
    proxy.pass();
    waiting.join().unwrap().unwrap();
    assert_eq!(producer.stats().acked_records, 120);
}

/// Guarantee 34: an application that never stops appending to a server that does not answer.
fn check_memory_of_full_queue(name: &str, client: &dyn Fn(&str) -> Client) {
    const LIMIT: usize = 8_000_000;
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream(&client(proxy.url()));
    let before = resident_bytes();
    let producer = stream.producer("p").max_buffered_bytes(LIMIT).build();
    proxy.rule(|_, _| Action::Hang);
    let record = vec![7; 100];
    let (mut taken, mut refused) = (0u64, 0u64);
    while refused < 2_000_000 {
        match producer.append_slice(&record) {
            Ok(_) => taken += 1,
            Err(ProducerError::QueueFull { record: back }) => {
                assert!(back == record);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(wait_until(Duration::from_secs(20), || producer.stats().in_flight > 0));
    let grown = resident_bytes().saturating_sub(before);
    println!("{name}: {taken} records in a queue of {LIMIT} bytes: the process grew by {grown}");
    // The queue, what is on its way (which the proxy holds once more in this process), and small change.
    let allowed = LIMIT as u64 + 5 * 2 * 1_000_000 + 8_000_000;
    assert!(grown < allowed, "{name}: {grown} bytes for {taken} records in a queue of {LIMIT}");
    assert!(taken > LIMIT as u64 / 110, "{name}: only {taken} records fit");
}

/// One test: they would disturb each other. Guarantees 34 and 39.
#[test]
fn waiting_flush_and_full_queue_stay_within_limits() {
    on_each_stack(check_cpu_of_waiting_flush);
    on_each_stack(check_memory_of_full_queue);
}
