//! What comes back in a response's head.

use super::limit::Limit;
use super::server::{Server, Then};
use super::stack::{CheckResult, Stack, describe, ensure, get, request, sound};
use crate::{Sent, TransportError, TransportErrorKind};
use std::sync::Arc;

/// Asserts the error that a limit is declared to show.
pub(crate) fn limited(error: &TransportError, what: &str) -> CheckResult {
    let text = describe(error);
    ensure!(
        error.kind() == TransportErrorKind::Malformed,
        "{what}: `Malformed` is declared, this came: {text}"
    );
    ensure!(
        error.sent() == Sent::Maybe,
        "{what}: the server has the request, and the error denies it: {text}"
    );
    Ok(())
}

async fn status_is_passed_on(stack: &Stack, status: u16) -> CheckResult {
    let server = Server::start(move |received, connection| match received.target.as_str() {
        "/status" => connection.answer(status, "x-mark: here\r\n", format!("body of {status}")),
        _ => sound(received, connection),
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let known =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).is_some();
    if !known && stack.is_limited(Limit::UnregisteredStatus) {
        limited(&transport.fails(get(server.url("/status"))?).await?, &format!("status {status}"))?;
        return transport.is_sound(&server, &format!("status {status}")).await;
    }
    let whole = transport.fetch(get(server.url("/status"))?).await?;
    ensure!(whole.status == status, "status {status} came out as {}", whole.status);
    ensure!(whole.body == format!("body of {status}").as_bytes(), "status {status} lost its body: {whole:?}");
    ensure!(whole.headers.get("x-mark").is_some(), "status {status} lost its headers: {whole:?}");
    Ok(())
}

pub(crate) async fn every_status_is_a_response(stack: Arc<Stack>) -> CheckResult {
    for status in
        [200, 201, 202, 206, 400, 401, 403, 404, 405, 409, 410, 412, 413, 429, 500, 501, 502, 503, 504]
    {
        status_is_passed_on(&stack, status).await?;
    }
    Ok(())
}

pub(crate) async fn unregistered_statuses_are_responses(stack: Arc<Stack>) -> CheckResult {
    for status in [299, 499, 599] {
        status_is_passed_on(&stack, status).await?;
    }
    Ok(())
}

pub(crate) async fn redirects_are_not_followed(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        let status = received.target.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(200);
        connection.answer(status, "location: /elsewhere\r\n", "moved")
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for status in [301, 302, 303, 307, 308] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let body: &[u8] = if method == "GET" || method == "DELETE" { b"" } else { b"body" };
            let url = server.url(&format!("/{status}"));
            let whole =
                transport.fetch(request(method, url, &[("content-type", b"text/plain")], body)?).await?;
            ensure!(whole.status == status, "{method}: {status} came out as {}", whole.status);
            let location = whole.headers.get("location");
            ensure!(location.is_some_and(|value| value == "/elsewhere"), "{method} {status}: no Location");
        }
    }
    ensure!(server.seen_at("/elsewhere").is_empty(), "a redirect was followed");
    Ok(())
}

/// "a durable stream", compressed.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x4b, 0x54, 0x48, 0x29, 0x2d, 0x4a, 0x4c,
    0xca, 0x49, 0x55, 0x28, 0x2e, 0x29, 0x4a, 0x4d, 0xcc, 0x05, 0x00, 0xea, 0xde, 0x0e, 0xe1, 0x10, 0x00,
    0x00, 0x00,
];

pub(crate) async fn bodies_are_decoded_only_if_asked(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|_, connection| connection.answer(200, "content-encoding: gzip\r\n", GZIP))
        .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let whole = transport.fetch(get(server.url("/"))?).await?;
    let asked = server.seen().iter().any(|received| received.has("accept-encoding"));
    if stack.is_limited(Limit::Compression) {
        ensure!(asked, "compression is declared, and was not asked for");
        ensure!(whole.body == b"a durable stream", "the body was not decoded: {whole:?}");
        ensure!(!whole.headers.contains_key("content-encoding"), "decoded, but still marked as encoded");
    } else {
        ensure!(!asked, "compression was asked for: {:?}", server.seen());
        ensure!(whole.body == GZIP, "the body was changed: {whole:?}");
        ensure!(whole.headers.contains_key("content-encoding"), "the mark of the encoding is gone");
    }
    Ok(())
}

pub(crate) async fn early_responses_are_skipped(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/100" => connection.send("HTTP/1.1 100 Continue\r\n\r\n")?,
            "/103" => connection.send("HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")?,
            "/100-103-103" => connection.send(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n\
                 HTTP/1.1 103 Early Hints\r\nlink: </y>; rel=preload\r\n\r\n",
            )?,
            _ => return sound(received, connection),
        }
        connection.ok("final")
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/100", "/103", "/100-103-103"] {
        for body in ["", "with a body"] {
            let method = if body.is_empty() { "GET" } else { "POST" };
            let early =
                request(method, server.url(path), &[("content-type", b"text/plain")], body.as_bytes())?;
            if stack.is_limited(Limit::EarlyResponse) {
                limited(&transport.fails(early).await?, path)?;
            } else {
                let whole = transport.fetch(early).await?;
                ensure!(
                    whole.status == 200 && whole.body == b"final",
                    "{method} {path}: not the final response: {whole:?}"
                );
                ensure!(
                    !whole.headers.contains_key("link"),
                    "{method} {path}: a header of the early response stayed"
                );
            }
            transport.is_sound(&server, path).await?;
        }
    }
    Ok(())
}

pub(crate) async fn large_response_heads_are_read(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| match received.target.as_str() {
        "/large" => {
            let value = "v".repeat(2000);
            let headers: String = (0..50).map(|n| format!("x-large-{n}: {value}{n}\r\n")).collect();
            connection.answer(200, &headers, "body")
        }
        _ => sound(received, connection),
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    if stack.is_limited(Limit::LargeHead) {
        limited(&transport.fails(get(server.url("/large"))?).await?, "a head of 100 KB")?;
        return transport.is_sound(&server, "a head of 100 KB").await;
    }
    let whole = transport.fetch(get(server.url("/large"))?).await?;
    for n in 0..50 {
        let expected = format!("{}{n}", "v".repeat(2000));
        let value = whole.headers.get(format!("x-large-{n}"));
        ensure!(value.is_some_and(|value| *value == expected), "header {n} of 50 was lost or cut");
    }
    ensure!(whole.body == b"body", "a head of 100 KB: wrong body");
    Ok(())
}

pub(crate) async fn many_response_headers_are_read(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|_, connection| {
        let headers: String = (0..90).map(|n| format!("x-{n}: {n}\r\n")).collect();
        connection.answer(200, &headers, "")
    })
    .map_err(|error| error.to_string())?;
    let whole = stack.transport().fetch(get(server.url("/"))?).await?;
    let found =
        (0..90).filter(|n| whole.headers.get(format!("x-{n}")).is_some_and(|v| *v == n.to_string())).count();
    ensure!(found == 90, "{found} of 90 headers arrived");
    Ok(())
}

pub(crate) async fn response_header_values_are_unchanged(stack: Arc<Stack>) -> CheckResult {
    let plain = "HTTP/1.1 200 OK\r\nX-Mixed-Case: Kept As Is\r\nx-empty:\r\nx-signs: !#$%&'*+-.^_`|~ ,;=\"\\\r\n\
                 x-twice: one\r\nx-twice: two\r\netag: \"0_5:-1:7\"\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(move |received, connection| {
        if received.is("/plain") {
            connection.send(plain)?;
        } else if received.is("/raw") {
            connection.send(b"HTTP/1.1 200 OK\r\nx-raw: caf\xe9 \xff\xfe\r\ncontent-length: 0\r\n\r\n")?;
        } else {
            return sound(received, connection);
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let headers = transport.fetch(get(server.url("/plain"))?).await?.headers;
    let one =
        |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or(b"(none)".to_vec());
    for (name, expected) in [
        ("x-mixed-case", &b"Kept As Is"[..]),
        ("x-empty", b""),
        ("x-signs", b"!#$%&'*+-.^_`|~ ,;=\"\\"),
        ("etag", b"\"0_5:-1:7\""),
    ] {
        ensure!(one(name) == expected, "{name} came as {:?}", String::from_utf8_lossy(&one(name)));
    }
    let twice: Vec<_> = headers.get_all("x-twice").iter().map(http::HeaderValue::as_bytes).collect();
    ensure!(twice == [b"one", b"two"], "a repeated header came as {twice:?}");
    if stack.is_limited(Limit::AsciiResponseHeaders) {
        limited(&transport.fails(get(server.url("/raw"))?).await?, "a header that is not UTF-8")?;
    } else {
        let headers = transport.fetch(get(server.url("/raw"))?).await?.headers;
        let raw = headers.get("x-raw").map(http::HeaderValue::as_bytes);
        ensure!(raw == Some(b"caf\xe9 \xff\xfe"), "a header that is not UTF-8 came as {raw:?}");
    }
    transport.is_sound(&server, "a header that is not UTF-8").await
}
