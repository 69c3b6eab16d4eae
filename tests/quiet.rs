//! The processor time and memory of a producer that waits for a server that does not answer.
//!
//! Both are measured for the whole process, so this is a test binary of its own, and its checks run one after
//! another.
#![cfg(all(
    target_os = "linux",
    feature = "tokio",
    feature = "tokio-hyper",
    feature = "async-std",
    feature = "smol",
    feature = "smol-hyper"
))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use durable_streams::{Client, CreateOptions, DurableStream, ProducerError};
use futures_lite::future::block_on;
use std::thread;
use std::time::{Duration, Instant};
use test_servers::{Action, Proxy, RustServer, wait_until};

/// Runs `check` with the name of each stack and a function that makes a client of it.
fn on_each_stack(check: impl Fn(&str, &dyn Fn(&str) -> Client)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    check("tokio", &|url| {
        let builder = durable_streams::tokio::Client::builder().base_url(url);
        runtime.block_on(async { builder.build().unwrap().to_any() })
    });
    check("tokio-hyper", &|url| {
        let builder = durable_streams::tokio_hyper::Client::builder().base_url(url);
        runtime.block_on(async { builder.build().unwrap().to_any() })
    });
    check("async-std", &|url| {
        durable_streams::async_std::Client::builder().base_url(url).build().unwrap().to_any()
    });
    check("smol", &|url| durable_streams::smol::Client::builder().base_url(url).build().unwrap().to_any());
    check("smol-hyper", &|url| {
        durable_streams::smol_hyper::Client::builder().base_url(url).build().unwrap().to_any()
    });
}

fn new_stream(client: &Client) -> DurableStream {
    let stream = client.stream("quiet");
    block_on(stream.create(CreateOptions::new().content_type("text/plain"))).unwrap();
    stream
}

/// The processor time that the live threads of this process have used.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = tasks.filter_map(|task| {
        // The thread may have ended since the directory was read.
        let schedstat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The resident memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap()
}

/// Guarantee 39: a waiting flush uses less than 2 % of a core, and returns when the records before it are settled.
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
    // Sending the records is not measured: it is over half a second after the first request.
    thread::sleep(Duration::from_millis(500));
    let (start, before) = (Instant::now(), cpu_time());
    thread::sleep(Duration::from_millis(1500));
    let share = cpu_time().saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("{name}: a waiting flush takes {:.2} % of a core", share * 100.0);
    assert!(!waiting.is_finished(), "the flush returned early");
    assert!(share < 0.02, "{name}: {:.2} % of a core", share * 100.0);
    proxy.pass();
    waiting.join().unwrap().unwrap();
    assert_eq!(producer.stats().acked_records, 120);
}

/// Guarantee 34: an application keeps appending while the server does not answer.
fn check_memory_of_full_queue(name: &str, client: &dyn Fn(&str) -> Client) {
    const LIMIT: usize = 8_000_000;
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = new_stream(&client(proxy.url()));
    let before = resident_bytes();
    let producer = stream.producer("p").max_buffered_bytes(LIMIT).build();
    proxy.rule(|_, _| Action::Hang);
    let record = vec![7; 100];
    let (mut accepted, mut refused) = (0u64, 0u64);
    while refused < 2_000_000 {
        match producer.append_slice(&record) {
            Ok(_) => accepted += 1,
            Err(ProducerError::QueueFull { record: returned }) => {
                assert!(returned == record);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(wait_until(Duration::from_secs(20), || producer.stats().in_flight > 0));
    let grown = resident_bytes().saturating_sub(before);
    println!("{name}: {accepted} records in a queue of {LIMIT} bytes: the process grew by {grown}");
    // The queue, five batches in flight (which the proxy, in this process, holds a second time), and a margin.
    let allowed = LIMIT as u64 + 5 * 2 * 1_000_000 + 8_000_000;
    assert!(grown < allowed, "{name}: {grown} bytes for {accepted} records in a queue of {LIMIT}");
    assert!(accepted > LIMIT as u64 / 110, "{name}: only {accepted} records fit");
}

/// One test, because concurrent tests would be measured as well. Guarantees 34 and 39.
#[test]
fn waiting_flush_and_full_queue_stay_within_limits() {
    on_each_stack(check_cpu_of_waiting_flush);
    on_each_stack(check_memory_of_full_queue);
}
