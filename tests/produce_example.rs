//! The log shipper of `examples/produce.rs`, run as a process: end of input, SIGTERM, and an unreachable server.
#![cfg(all(unix, feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use test_servers::{Proxy, RustServer, direct, wait_until};

const TIMEOUT: Duration = Duration::from_secs(20);

struct Shipper {
    child: Child,
    input: ChildStdin,
}

impl Shipper {
    fn start(url: &str, retry_seconds: u64) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.parent().unwrap().parent().unwrap().join("examples/produce");
        assert!(program.is_file(), "not built; run `cargo build --example produce`, which `cargo test` does");
        let mut child = Command::new(program)
            .args([url, "shipper", &retry_seconds.to_string()])
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

    /// Waits for the process to exit. Returns its exit status and what it wrote to standard error.
    ///
    /// With `keep_input` its standard input stays open meanwhile.
    fn wait(mut self, keep_input: bool) -> (ExitStatus, String) {
        let input = keep_input.then_some(self.input);
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("the shipper does not exit");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        drop(input);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status, stderr)
    }
}

fn numbered(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("line {number}\n")).collect()
}

/// The content of the stream. Empty while there is no stream.
fn stored(url: &str) -> String {
    let response = direct("GET", url, (), "").unwrap();
    if response.status == 200 { response.text() } else { String::new() }
}

#[test]
fn end_of_input_stores_every_line() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    // The second run has the same producer id: it takes over from the first.
    for run in 1..=2 {
        let mut shipper = Shipper::start(&url, 60);
        shipper.write(0..3000);
        shipper.input.write_all(b"no line feed").unwrap();
        let (status, stderr) = shipper.wait(false);
        assert!(status.success() && stderr.contains("stored 3001 lines"), "{stderr}");
        assert!(stored(&url) == format!("{}no line feed", numbered(0..3000)).repeat(run));
    }
}

#[test]
fn sigterm_stores_every_line_read() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 60);
    shipper.write(0..100);
    assert!(wait_until(TIMEOUT, || stored(&url) == numbered(0..100)));
    // SIGTERM arrives while it is busy with these.
    shipper.write(100..3000);
    shipper.terminate();
    let (status, stderr) = shipper.wait(true);
    let stored = stored(&url);
    let lines = stored.lines().count();
    assert!(status.success() && stderr.contains(&format!("stored {lines} lines")), "{stderr}");
    assert!(lines >= 100 && stored == numbered(0..lines as u32));
}

#[test]
fn sigterm_ends_wait_for_silent_input() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 60);
    shipper.write(0..100);
    assert!(wait_until(TIMEOUT, || stored(&url) == numbered(0..100)));
    shipper.terminate();
    let (status, stderr) = shipper.wait(true);
    assert!(status.success() && stderr.contains("stored 100 lines"), "{stderr}");
}

#[test]
fn recovered_server_gets_every_line() {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&format!("{}/log", proxy.url()), 60);
    shipper.write(0..100);
    assert!(wait_until(TIMEOUT, || stored(&url) == numbered(0..100)));
    proxy.refuse();
    proxy.kill_connections();
    shipper.write(100..2000);
    // SIGTERM arrives during the outage.
    shipper.terminate();
    std::thread::sleep(Duration::from_secs(1));
    assert!(shipper.child.try_wait().unwrap().is_none(), "the shipper gave up");
    proxy.resume().unwrap();
    let (status, stderr) = shipper.wait(true);
    let stored = stored(&url);
    assert!(status.success(), "{stderr}");
    assert!(stored == numbered(0..stored.lines().count() as u32));
}

#[test]
fn absent_server_is_given_up_and_its_lines_are_named() {
    let server = RustServer::start().unwrap();
    let url = format!("{}/log", server.url());
    let mut shipper = Shipper::start(&url, 1);
    shipper.write(0..100);
    assert!(wait_until(TIMEOUT, || stored(&url) == numbered(0..100)));
    server.kill().unwrap();
    shipper.write(100..150);
    let (status, stderr) = shipper.wait(false);
    assert!(!status.success() && stderr.contains("stored 100 lines"), "{stderr}");
    for number in 100..150 {
        assert_eq!(stderr.matches(&format!(": line {number}\n")).count(), 1, "{stderr}");
    }
    // A shipper that never reaches the server gives up as well.
    let (status, stderr) = Shipper::start(&url, 1).wait(true);
    assert!(!status.success() && stderr.contains(&url), "{stderr}");
}
