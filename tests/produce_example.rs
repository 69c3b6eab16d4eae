//! The log shipper of `examples/produce.rs`, as a process: the end of its input, SIGTERM, and a server that is away.
#![cfg(all(unix, feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use test_servers::{Proxy, RustServer, direct, wait_until};

const SOON: Duration = Duration::from_secs(20);

struct Shipper {
    child: Child,
    input: ChildStdin,
}

impl Shipper {
    fn start(url: &str, patience: u64) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.parent().unwrap().parent().unwrap().join("examples/produce");
        assert!(program.is_file(), "build it first, as `cargo test` does: cargo build --example produce");
        let mut child = Command::new(program)
            .args([url, "shipper", &patience.to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        Self { child, input }
    }

    fn write(&mut self, lines: std::ops::Range<u32>) {
        self.input.write_all(numbered(lines).as_bytes()).unwrap();
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for its end; what it said comes with its exit status. `input` stays open where it is given back.
    fn end(mut self, keep_input: bool) -> (ExitStatus, String) {
        let input = keep_input.then_some(self.input);
        let deadline = Instant::now() + SOON;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("it does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        drop(input);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

fn numbered(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("line {number}\n")).collect()
}

/// What is stored; nothing as long as there is no stream.
fn stored(url: &str) -> String {
    let answer = direct("GET", url, (), "").unwrap();
    if answer.status == 200 { answer.text() } else { String::new() }
}

#[test]
fn end_of_input_stores_every_line() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    // Twice: the second run takes over from the first.
    for run in 1..=2 {
        let mut shipper = Shipper::start(&url, 60);
        shipper.write(0..3000);
        shipper.input.write_all(b"no line feed").unwrap();
        let (status, said) = shipper.end(false);
        assert!(status.success() && said.contains("stored 3001 lines"), "{said}");
        assert!(stored(&url) == format!("{}no line feed", numbered(0..3000)).repeat(run));
    }
}

#[test]
fn sigterm_stores_every_line_read() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 60);
    shipper.write(0..100);
    assert!(wait_until(SOON, || stored(&url) == numbered(0..100)));
    // It is in the midst of these when it is told to end.
    shipper.write(100..3000);
    shipper.terminate();
    let (status, said) = shipper.end(true);
    let stored = stored(&url);
    let lines = stored.lines().count();
    assert!(status.success() && said.contains(&format!("stored {lines} lines")), "{said}");
    assert!(lines >= 100 && stored == numbered(0..lines as u32));
}

#[test]
fn sigterm_ends_wait_for_silent_input() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 60);
    shipper.write(0..100);
    assert!(wait_until(SOON, || stored(&url) == numbered(0..100)));
    shipper.terminate();
    let (status, said) = shipper.end(true);
    assert!(status.success() && said.contains("stored 100 lines"), "{said}");
}

#[test]
fn recovered_server_gets_every_line() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&format!("{}/log", proxy.url()), 60);
    shipper.write(0..100);
    assert!(wait_until(SOON, || stored(&url) == numbered(0..100)));
    proxy.refuse();
    proxy.kill_connections();
    shipper.write(100..2000);
    // SIGTERM comes while nothing gets through.
    shipper.terminate();
    std::thread::sleep(Duration::from_secs(1));
    assert!(shipper.child.try_wait().unwrap().is_none(), "it gave up");
    proxy.resume().unwrap();
    let (status, said) = shipper.end(true);
    let stored = stored(&url);
    assert!(status.success(), "{said}");
    assert!(stored == numbered(0..stored.lines().count() as u32));
}

#[test]
fn absent_server_is_given_up_and_its_lines_are_named() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 1);
    shipper.write(0..100);
    assert!(wait_until(SOON, || stored(&url) == numbered(0..100)));
    server.kill().unwrap();
    shipper.write(100..150);
    let (status, said) = shipper.end(false);
    assert!(!status.success() && said.contains("stored 100 lines"), "{said}");
    for number in 100..150 {
        assert_eq!(said.matches(&format!(": line {number}\n")).count(), 1, "{said}");
    }
    // And one that finds nobody does not wait for ever either.
    let (status, said) = Shipper::start(&url, 1).end(true);
    assert!(!status.success() && said.contains(&url), "{said}");
}
