//! The two real servers: they start, die, come back and misbehave as their types promise.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use test_servers::{Durability, NodeServer, RustServer, direct, skip_without_node, wait_until};

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];

#[test]
fn rust_server_keeps_acknowledged_data_over_a_kill() {
    let server = RustServer::builder().durability(Durability::Wal).start().unwrap();
    let stream = format!("{}/durable", server.url());
    assert_eq!(direct("PUT", &stream, TEXT, "").unwrap().status, 201);
    assert_eq!(direct("POST", &stream, TEXT, "kept").unwrap().status, 204);

    let first = server.pid().unwrap();
    server.kill().unwrap();
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    assert_eq!(direct("GET", &stream, (), "").unwrap_err().kind(), ErrorKind::ConnectionRefused);

    server.restart().unwrap();
    assert_ne!(server.pid(), Some(first));
    assert_eq!(direct("GET", &stream, (), "").unwrap().text(), "kept");
}

#[test]
fn two_rust_servers_are_independent() {
    let (one, two) = (RustServer::start().unwrap(), RustServer::start().unwrap());
    assert_ne!(one.url(), two.url());
    assert_eq!(direct("PUT", &format!("{}/a", one.url()), TEXT, "").unwrap().status, 201);
    assert_eq!(direct("GET", &format!("{}/a", two.url()), (), "").unwrap().status, 404);
}

#[test]
fn long_poll_timeout_is_passed_to_the_server() {
    let timeout = Duration::from_millis(300);
    let server = RustServer::builder().long_poll_timeout(timeout).start().unwrap();
    let stream = format!("{}/quiet", server.url());
    let tail = direct("PUT", &stream, TEXT, "").unwrap().header("stream-next-offset").unwrap().to_owned();
    let began = Instant::now();
    let answer = direct("GET", &format!("{stream}?live=long-poll&offset={tail}"), (), "").unwrap();
    assert_eq!(answer.status, 204);
    assert!(began.elapsed() >= timeout, "{:?}", began.elapsed());
}

#[test]
fn server_that_cannot_start_reports_why() {
    let error = RustServer::builder().argument("--no-such-option").start().unwrap_err().to_string();
    assert!(error.contains("ended at once") && error.contains("--no-such-option"), "{error}");
}

#[test]
fn given_data_directory_is_kept() {
    let path = std::env::temp_dir().join(format!("durable-streams-given-{}", std::process::id()));
    let server = RustServer::builder().durability(Durability::Wal).data_dir(&path).start().unwrap();
    let stream = format!("{}/mine", server.url());
    assert_eq!(direct("PUT", &stream, TEXT, "mine").unwrap().status, 201);
    drop(server);

    let server = RustServer::builder().durability(Durability::Wal).data_dir(&path).start().unwrap();
    assert_eq!(direct("GET", &format!("{}/mine", server.url()), (), "").unwrap().text(), "mine");
    drop(server);
    assert!(path.is_dir());
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn reference_server_loses_its_data_in_a_restart() {
    let Some(server) = skip_without_node() else { return };
    let stream = format!("{}/v1/stream/a", server.url());
    assert_eq!(direct("PUT", &stream, TEXT, "").unwrap().status, 201);
    assert_eq!(direct("POST", &stream, TEXT, "hello").unwrap().status, 204);
    assert_eq!(direct("GET", &stream, (), "").unwrap().text(), "hello");
    server.restart().unwrap();
    assert_eq!(direct("GET", &stream, (), "").unwrap().status, 404);
}

#[test]
fn reference_server_injects_faults() {
    let Some(server) = skip_without_node() else { return };
    let stream = format!("{}/v1/stream/faulty", server.url());
    assert_eq!(direct("PUT", &stream, TEXT, "hello").unwrap().status, 201);

    let fault = r#"{"path": "/v1/stream/faulty", "count": 1, "status": 503, "retryAfter": 7}"#;
    server.inject_error(fault).unwrap();
    let refused = direct("GET", &stream, (), "").unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("7")));
    assert_eq!(direct("GET", &stream, (), "").unwrap().status, 200);

    server.inject_error(r#"{"path": "/v1/stream/faulty", "count": 9, "status": 500}"#).unwrap();
    server.clear_errors().unwrap();
    assert_eq!(direct("GET", &stream, (), "").unwrap().status, 200);
    assert!(server.inject_error("{}").is_err());
}

#[test]
fn reference_server_is_skipped_only_without_node() {
    assert_eq!(NodeServer::available(), skip_without_node().is_some());
}

/// A process that leaves without dropping its servers, as test harnesses do with statics, takes them along.
#[cfg(unix)]
#[test]
fn servers_do_not_outlive_the_process() {
    use std::process::Command;

    const CHILD: &str = "TEST_SERVERS_LEAVE_A_SERVER";
    if std::env::var_os(CHILD).is_some() {
        let server = RustServer::start().unwrap();
        // On a line of its own: the harness has begun one.
        println!("\nserver {} {}", server.pid().unwrap(), server.url());
        std::process::abort();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["servers_do_not_outlive_the_process", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let line = output.lines().find_map(|line| line.strip_prefix("server ")).unwrap();
    let (pid, url) = line.split_once(' ').unwrap();
    let gone = wait_until(Duration::from_secs(10), || direct("GET", &format!("{url}/x"), (), "").is_err());
    assert!(gone, "server {pid} is still there");
}
