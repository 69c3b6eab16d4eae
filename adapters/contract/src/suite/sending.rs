//! What the server is sent.

use super::limit::Limit;
use super::server::{Reads, Received, Server, Then, lock};
use super::stack::{CheckResult, Stack, describe, ensure, get, post, request, sound, spawn};
use crate::{Sent, TransportErrorKind};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn only(server: &Server) -> Result<Received, String> {
    let mut seen = server.seen();
    ensure!(seen.len() == 1, "{} requests where one was sent", seen.len());
    seen.pop().ok_or_else(|| "nothing was sent".to_owned())
}

pub(crate) async fn request_target_is_sent_unchanged(stack: Arc<Stack>) -> CheckResult {
    let target = "/a%2Fb/c%20d,e;f:@~_-.!$&()*+=/?offset=a%2Cb%26c_-1&x=%7E+1&live=sse&cursor=0:1/2?";
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    stack.transport().fetch(get(server.url(target))?).await?;
    let sent = only(&server)?.target;
    ensure!(sent == target, "the target went out as {sent}");
    Ok(())
}

pub(crate) async fn request_header_values_are_sent_unchanged(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let long = "l".repeat(6000);
    let host = format!("127.0.0.1:{}", server.port());
    let headers: &[(&str, &[u8])] = &[
        ("host", host.as_bytes()),
        ("content-type", b"application/json; charset=utf-8"),
        ("x-signs", b"!#$%&'*+-.^_`|~ ,;=\"\\()<>[]{}?"),
        ("x-tab", b"a\tb"),
        ("x-long", long.as_bytes()),
        ("if-none-match", b"W/\"0_5:-1:7\""),
        ("authorization", b"Bearer a.b-c_d~e+f/g=="),
        ("accept", b"text/event-stream"),
        ("x-empty", b""),
    ];
    let transport = stack.transport();
    transport.fetch(request("POST", server.url("/"), headers, b"{}")?).await?;
    let seen = only(&server)?;
    for (name, value) in headers {
        let values = seen.values(name);
        ensure!(values == [value.to_vec()], "{name} went out as {values:?}, not as {value:?}");
    }
    let ours = ["content-length", "connection", "user-agent", "accept-encoding", "te"];
    for (name, value) in &seen.headers {
        let expected = ours.contains(&name.as_str()) || headers.iter().any(|(ours, _)| ours == name);
        ensure!(expected, "a header of its own: {name}: {}", String::from_utf8_lossy(value));
    }
    Ok(())
}

pub(crate) async fn repeated_headers_are_sent_in_order(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let headers: &[(&str, &[u8])] = &[("x-twice", b"one"), ("x-twice", b"two")];
    stack.transport().fetch(request("GET", server.url("/"), headers, b"")?).await?;
    let values = only(&server)?.values("x-twice");
    ensure!(values == [b"one".to_vec(), b"two".to_vec()], "a repeated header went out as {values:?}");
    Ok(())
}

pub(crate) async fn non_ascii_header_is_sent_unchanged_or_refused(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for value in [&b"caf\xc3\xa9"[..], b"caf\xe9 \xff"] {
        let raw = request("GET", server.url("/raw"), &[("x-raw", value)], b"")?;
        if stack.is_limited(Limit::AsciiRequestHeaders) {
            let error = transport.fails(raw).await?;
            let text = describe(&error);
            ensure!(
                error.kind() == TransportErrorKind::InvalidRequest,
                "`InvalidRequest` is declared: {text}"
            );
            ensure!(error.sent() == Sent::No, "refused, and yet sent: {text}");
            ensure!(server.seen_at("/raw").is_empty(), "refused, and yet sent");
        } else {
            transport.fetch(raw).await?;
            let values = server.seen_at("/raw").pop().map(|seen| seen.values("x-raw"));
            ensure!(values == Some(vec![value.to_vec()]), "{value:?} went out as {values:?}");
        }
    }
    transport.is_sound(&server, "a header that is not ASCII").await
}

pub(crate) async fn empty_write_has_a_content_length(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for method in ["POST", "PUT"] {
        transport.fetch(request(method, server.url("/empty"), &[("x-mark", b"here")], b"")?).await?;
        let seen = server.seen_at("/empty").pop().ok_or("nothing was sent")?;
        let length = seen.values("content-length");
        ensure!(length == [b"0".to_vec()], "{method}: content-length is {length:?}");
        ensure!(!seen.has("transfer-encoding"), "{method}: an empty body went out in chunks");
        ensure!(
            !seen.has("content-type"),
            "{method}: content-type {:?} was made up",
            seen.values("content-type")
        );
        let typed = [("content-type", &b"application/json"[..])];
        transport.fetch(request(method, server.url("/empty"), &typed, b"")?).await?;
        let seen = server.seen_at("/empty").pop().ok_or("nothing was sent")?;
        let types = seen.values("content-type");
        ensure!(types == [b"application/json".to_vec()], "{method}: content-type went out as {types:?}");
    }
    Ok(())
}

pub(crate) async fn reads_are_sent_without_a_body(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for method in ["GET", "HEAD", "DELETE"] {
        if method == "HEAD" {
            transport.send(request(method, server.url("/read"), &[], b"")?).await?;
        } else {
            transport.fetch(request(method, server.url("/read"), &[], b"")?).await?;
        }
        let seen = server.seen_at("/read").pop().ok_or("nothing was sent")?;
        ensure!(seen.method == method, "{method} went out as {}", seen.method);
        ensure!(
            !seen.has("transfer-encoding") && !seen.has("content-type"),
            "{method} announces a body: {seen:?}"
        );
    }
    Ok(())
}

pub(crate) async fn body_is_sent_with_its_length(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for size in [1, 100, 8 * 1024, 70_000, 1_500_000] {
        for method in ["POST", "PUT"] {
            let body: Vec<u8> = (0..size).map(|n| (n * 37 % 253) as u8).collect();
            let headers = [("content-type", &b"application/octet-stream"[..])];
            let start = Instant::now();
            transport.fetch(request(method, server.url("/body"), &headers, &body)?).await?;
            let seen = server.seen_at("/body").pop().ok_or("nothing was sent")?;
            ensure!(seen.body == body, "{method} of {size} bytes: {} other bytes arrived", seen.body.len());
            let length = seen.values("content-length");
            ensure!(length == [size.to_string().into_bytes()], "{method} of {size} bytes: length {length:?}");
            ensure!(!seen.has("expect"), "{method} of {size} bytes asks whether it may");
            ensure!(
                start.elapsed() < Duration::from_secs(5),
                "{method} of {size} bytes took {:?}",
                start.elapsed()
            );
        }
    }
    Ok(())
}

pub(crate) async fn connections_are_reused(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    for method in ["GET", "POST"] {
        let transport = stack.transport();
        let before = server.connections();
        for turn in 0..10 {
            let url = server.url("/reuse");
            let request = if method == "GET" { get(url)? } else { post(url, turn.to_string())? };
            transport.fetch(request).await?;
        }
        let opened = server.connections() - before;
        if stack.is_limited(Limit::NoReuse) {
            ensure!(opened == 10, "10 sequential {method}s opened {opened} connections, and should open 10");
            continue;
        }
        ensure!(opened <= 2, "10 sequential {method}s opened {opened} connections");
    }
    Ok(())
}

/// Nagle's algorithm with a delayed acknowledgement costs about 40 ms for each request that is written in two parts.
pub(crate) async fn small_writes_are_not_delayed(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let mut times = Vec::new();
    // Past the first exchanges, which the kernel acknowledges at once.
    for turn in 0..60 {
        let start = Instant::now();
        transport.fetch(post(server.url("/"), format!("record {turn}"))?).await?;
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2];
    ensure!(median < Duration::from_millis(30), "a small POST takes {median:?}: is TCP_NODELAY off?");
    Ok(())
}

pub(crate) async fn concurrent_requests_get_their_own_responses(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let answers = Arc::new(Mutex::new(Vec::new()));
    for n in 0..50 {
        let (transport, answers) = (transport.clone(), Arc::clone(&answers));
        let body = format!("record {n} ").repeat(1 + n * 20);
        let request = post(server.url("/sound/echo"), &body)?;
        spawn(&stack, async move {
            let outcome = match transport.fetch(request).await {
                Ok(whole) if whole.body == body.as_bytes() => Ok(n),
                Ok(whole) => Err(format!("POST {n} got {} bytes of {}", whole.body.len(), body.len())),
                Err(error) => Err(error),
            };
            lock(&answers).push(outcome);
        });
    }
    let count = || lock(&answers).len();
    stack.until("50 requests at once are answered", || count() == 50).await?;
    let answers = lock(&answers).drain(..).collect::<Result<HashSet<_>, _>>()?;
    ensure!(answers.len() == 50 && server.seen().len() == 50, "{} of 50 answers", answers.len());
    Ok(())
}

/// A refusal may arrive while the body is still being sent.
pub(crate) async fn response_before_the_body_is_sent_is_read(stack: Arc<Stack>) -> CheckResult {
    let server = Server::reading(Reads::Nothing, |_, connection| {
        connection.answer(413, "connection: close\r\n", "too large")?;
        connection.drain(Duration::from_secs(2))?;
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let whole = stack.transport().fetch(post(server.url("/"), vec![b'x'; 2_000_000])?).await?;
    ensure!(whole.status == 413 && whole.body == b"too large", "the refusal came as {whole:?}");
    Ok(())
}
