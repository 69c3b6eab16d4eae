//! Proxies of the environment. A process of its own: they are read from its variables.
#![cfg(feature = "async-io")]
#![allow(clippy::unwrap_used)]

mod support;

use durable_streams_contract::{Sent, TransportErrorKind, TransportOptions};
use futures_lite::future::block_on;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use support::{builder, fetch, get};

/// A proxy that answers every request with "proxied", or every `CONNECT` with `status`; it records the heads.
fn proxy(status: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&heads);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|count| count > 0) {}
            recorded.lock().unwrap().push(head.clone());
            if head.starts_with("CONNECT") {
                reader.get_mut().write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
                // What a tunnel carries: the first byte of a TLS handshake.
                let mut first = [0];
                if reader.read_exact(&mut first).is_ok() {
                    recorded.lock().unwrap().push(format!("tunnelled {}", first[0]));
                }
            } else {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nproxied";
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (port, heads)
}

/// Runs one of the `child` tests below with these variables.
fn run(child: &str, variables: &[(&str, String)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command.args(["--exact", child, "--ignored", "--nocapture"]).envs(variables.iter().cloned());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn with_proxies() -> support::Transport {
    let mut options = TransportOptions::default();
    options.environment_proxy = true;
    builder().options(&options).build().unwrap()
}

#[test]
#[ignore = "run by the tests below, with variables"]
fn child_http() {
    assert_eq!(block_on(fetch(&with_proxies(), get("http://example.invalid/a?b=c"))).unwrap(), "proxied");
}

#[test]
#[ignore = "run by the tests below, with variables"]
fn child_without_environment_proxy() {
    let error = block_on(fetch(&builder().build().unwrap(), get("http://example.invalid/"))).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Dns, "{error:?}");
}

#[test]
#[ignore = "run by the tests below, with variables"]
fn child_no_proxy() {
    let error = block_on(fetch(&with_proxies(), get("http://example.invalid/"))).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Dns, "{error:?}");
}

#[test]
#[ignore = "run by the tests below, with variables"]
fn child_socks() {
    let error = block_on(fetch(&with_proxies(), get("http://example.invalid/"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Unsupported, Sent::No), "{error:?}");
}

#[cfg(feature = "http2")]
#[test]
#[ignore = "run by the tests below, with variables"]
fn child_prior_knowledge() {
    let mut options = TransportOptions::default();
    options.environment_proxy = true;
    let transport = builder().options(&options).http2_prior_knowledge(true).build().unwrap();
    assert_eq!(block_on(fetch(&transport, get("http://example.invalid/"))).unwrap(), "proxied");
}

#[cfg(feature = "rustls")]
#[test]
#[ignore = "run by the tests below, with variables"]
fn child_https() {
    let error = block_on(fetch(&with_proxies(), get("https://example.invalid/"))).unwrap_err();
    // The proxy ends the tunnel.
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
}

#[cfg(feature = "rustls")]
#[test]
#[ignore = "run by the tests below, with variables"]
fn child_refused_tunnel() {
    let error = block_on(fetch(&with_proxies(), get("https://example.invalid/"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
    assert!(error.to_string().contains("407"), "{error}");
}

#[test]
fn http_request_goes_to_the_proxy_with_its_whole_uri_and_credentials() {
    let (port, heads) = proxy("");
    run("child_http", &[("http_proxy", format!("http://user:word@127.0.0.1:{port}"))]);
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("GET http://example.invalid/a?b=c HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("host: example.invalid\r\n"), "{heads:?}");
    // user:word in base64.
    assert!(heads[0].contains("proxy-authorization: Basic dXNlcjp3b3Jk\r\n"), "{heads:?}");
}

#[cfg(feature = "http2")]
#[test]
fn proxy_is_spoken_to_in_http1_also_with_prior_knowledge_of_http2() {
    let (port, _) = proxy("");
    run("child_prior_knowledge", &[("http_proxy", format!("http://127.0.0.1:{port}"))]);
}

#[test]
fn environment_is_ignored_unless_asked_for() {
    let (port, heads) = proxy("");
    run("child_without_environment_proxy", &[("http_proxy", format!("http://127.0.0.1:{port}"))]);
    assert!(heads.lock().unwrap().is_empty());
}

#[test]
fn excepted_host_is_not_proxied() {
    let (port, heads) = proxy("");
    let proxy = format!("http://127.0.0.1:{port}");
    run("child_no_proxy", &[("http_proxy", proxy), ("no_proxy", "example.invalid".to_owned())]);
    assert!(heads.lock().unwrap().is_empty());
}

#[test]
fn socks_proxy_is_unsupported() {
    run("child_socks", &[("all_proxy", "socks5://127.0.0.1:1".to_owned())]);
}

#[cfg(feature = "rustls")]
#[test]
fn https_request_goes_through_a_tunnel() {
    let (port, heads) = proxy("200 Connection established");
    run("child_https", &[("https_proxy", format!("http://user:word@127.0.0.1:{port}"))]);
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("CONNECT example.invalid:443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("proxy-authorization: Basic dXNlcjp3b3Jk\r\n"), "{heads:?}");
    // 22: a TLS handshake record.
    assert_eq!(heads[1], "tunnelled 22");
}

#[cfg(feature = "rustls")]
#[test]
fn refused_tunnel_says_what_the_proxy_answered() {
    let (port, _) = proxy("407 Proxy Authentication Required");
    run("child_refused_tunnel", &[("https_proxy", format!("http://127.0.0.1:{port}"))]);
}
