//! What comes back in a response's body.

use super::answers::limited;
use super::limit::Limit;
use super::server::{Server, Then, lock};
use super::stack::{CheckResult, Stack, describe, ensure, get, request, sound, within};
use crate::{SendOptions, Sent, TransportErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) async fn responses_without_a_body_have_none(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/head" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 123\r\nx-mark: here\r\n\r\n")?,
            "/204" => connection.send("HTTP/1.1 204 No Content\r\nx-mark: here\r\n\r\n")?,
            "/304" => {
                connection.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\nx-mark: here\r\n\r\n")?
            }
            _ => return sound(received, connection),
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for (method, path, status) in [
        ("HEAD", "/head", 200),
        ("GET", "/204", 204),
        ("POST", "/204", 204),
        ("DELETE", "/204", 204),
        ("GET", "/304", 304),
    ] {
        let start = Instant::now();
        let whole = transport.fetch(request(method, server.url(path), &[], b"")?).await?;
        ensure!(whole.status == status && whole.body.is_empty(), "{method} {path}: {whole:?}");
        ensure!(whole.headers.contains_key("x-mark"), "{method} {path} lost its headers");
        ensure!(
            start.elapsed() < Duration::from_secs(3),
            "{method} {path} waited {:?} for a body",
            start.elapsed()
        );
        transport.is_sound(&server, &format!("{method} {path}")).await?;
    }
    Ok(())
}

/// Lets a script wait for the check.
struct Gate {
    open: Sender<()>,
    wait: Mutex<Receiver<()>>,
}

impl Gate {
    fn new() -> Arc<Self> {
        let (open, wait) = channel();
        Arc::new(Self { open, wait: Mutex::new(wait) })
    }

    fn open(&self) -> CheckResult {
        self.open.send(()).map_err(|error| error.to_string())
    }

    fn wait(&self) {
        // Bounded, so that a check that failed leaves no thread behind.
        let _ = lock(&self.wait).recv_timeout(Duration::from_secs(120));
    }
}

pub(crate) async fn chunks_arrive_as_they_are_sent(stack: Arc<Stack>) -> CheckResult {
    let gate = Gate::new();
    let script = Arc::clone(&gate);
    let server = Server::start(move |_, connection| {
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for n in 0..5 {
            connection.send(format!("3\r\npc{n}\r\n"))?;
            script.wait();
        }
        connection.send("0\r\n\r\n")?;
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let mut body = transport.send(get(server.url("/"))?).await?.into_body();
    for n in 0..5 {
        let chunk =
            transport.chunk(&mut body).await.map_err(|error| format!("chunk {n} is held back: {error}"))?;
        let chunk = chunk.ok_or("the body ended early")?.map_err(|error| describe(&error))?;
        ensure!(chunk == format!("pc{n}"), "chunk {n} came as {chunk:?}");
        gate.open()?;
    }
    ensure!(transport.chunk(&mut body).await?.is_none(), "something came after the last chunk");
    Ok(())
}

/// A network may cut a response at any byte.
pub(crate) async fn response_sent_byte_by_byte_is_read(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        let response = match received.target.as_str() {
            "/chunked" => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello\r\r\n2\r\n\r\n\r\n0\r\n\r\n"
            }
            "/trailers" => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8;name=value\r\nhello\r\r\n\r\n0\r\nx-sum: 1\r\n\r\n"
            }
            "/length" => "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhello\r\r\n",
            _ => return sound(received, connection),
        };
        for byte in response.as_bytes() {
            connection.send([*byte])?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/chunked", "/trailers", "/length"] {
        let whole = transport.fetch(get(server.url(path))?).await?;
        ensure!(whole.body == b"hello\r\r\n", "{path}, byte by byte, came as {:?}", whole.body);
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

/// Trailers are neither part of the body nor a replacement for the head's fields.
pub(crate) async fn trailers_change_nothing(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        let body = match received.target.as_str() {
            "/body" => "4\r\nbody\r\n",
            "/empty" => "",
            _ => return sound(received, connection),
        };
        connection.send(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-mark\r\nx-mark: head\r\n\r\n{body}\
             0\r\nx-mark: trailer\r\ncontent-length: 3\r\n\r\n"
        ))?;
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for (path, expected) in [("/body", "body"), ("/empty", "")] {
        let whole = transport.fetch(get(server.url(path))?).await?;
        ensure!(whole.body == expected.as_bytes(), "{path} came as {whole:?}");
        let mark = whole.headers.get("x-mark");
        ensure!(mark.is_some_and(|mark| mark == "head"), "{path}: a trailer replaced a field: {whole:?}");
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

pub(crate) async fn head_arrives_before_the_body(stack: Arc<Stack>) -> CheckResult {
    let gate = Gate::new();
    let script = Arc::clone(&gate);
    let server = Server::start(move |_, connection| {
        connection.send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )?;
        script.wait();
        connection.send("2\r\n:\n\r\n0\r\n\r\n")?;
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let live = SendOptions::new().with_live(true);
    let limit = Duration::from_secs(5);
    let response = if stack.is_limited(Limit::HeadWithFirstByte) {
        gate.open()?;
        transport.send_as(get(server.url("/"))?, live, limit).await?
    } else {
        let response = transport.send_as(get(server.url("/"))?, live, limit).await;
        let response =
            response.map_err(|error| format!("the head did not arrive before the body: {error}"))?;
        gate.open()?;
        response
    };
    let body = transport.read(response.into_body()).await?.map_err(|error| describe(&error))?;
    ensure!(body == b":\n", "the body came as {body:?}");
    Ok(())
}

pub(crate) async fn silence_within_a_body_is_not_a_timeout(stack: Arc<Stack>) -> CheckResult {
    let silence = stack.silence();
    let server = Server::start(move |_, connection| {
        std::thread::sleep(silence);
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")?;
        std::thread::sleep(silence);
        connection.send("1\r\nb\r\n0\r\n\r\n")?;
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let limit = silence + Duration::from_secs(10);
    let read = |live: bool| {
        let transport = transport.clone();
        let (stack, request) = (&stack, get(server.url("/")));
        async move {
            let response = transport.send_as(request?, SendOptions::new().with_live(live), limit).await?;
            let mut body = response.into_body();
            let mut all = Vec::new();
            while let Some(chunk) = within(stack.runtime(), limit, "a chunk", body.next_chunk()).await? {
                all.extend_from_slice(&chunk.map_err(|error| format!("live {live}: {}", describe(&error)))?);
            }
            ensure!(all == b"ab", "live {live}: the body came as {all:?}");
            Ok(())
        }
    };
    let (plain, live) = futures_lite::future::zip(read(false), read(true)).await;
    plain.and(live)
}

pub(crate) async fn truncated_body_is_an_error(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/length" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")?,
            "/length-at-once" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")?,
            "/no-last-chunk" => {
                connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n")?
            }
            "/mid-chunk" => {
                connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n12345")?
            }
            "/mid-size" => {
                connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n1")?
            }
            _ => return sound(received, connection),
        }
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/length", "/length-at-once", "/no-last-chunk", "/mid-chunk", "/mid-size"] {
        let limit = Duration::from_secs(10);
        let error = match transport.try_send(get(server.url(path))?, SendOptions::new(), limit).await? {
            // Cut before a byte of the body came, the response may not come out at all.
            Err(error) => error,
            Ok(response) => match transport.read(response.into_body()).await? {
                Err(error) => error,
                Ok(body) => return Err(format!("{path}: cut short, and taken for whole: {body:?}")),
            },
        };
        let kind = error.kind();
        let fits = matches!(kind, TransportErrorKind::Truncated | TransportErrorKind::Closed);
        ensure!(fits, "{path}: neither Truncated nor Closed: {}", describe(&error));
        ensure!(error.sent() == Sent::Maybe, "{path}: the error denies that it was sent");
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

pub(crate) async fn body_without_a_length_ends_with_its_connection(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| match received.target.as_str() {
        "/close" => {
            connection.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it")?;
            Ok(Then::Close)
        }
        _ => sound(received, connection),
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    if stack.is_limited(Limit::BodyEndedByClose) {
        limited(&transport.fails(get(server.url("/close"))?).await?, "a body without a length")?;
    } else {
        let whole = transport.fetch(get(server.url("/close"))?).await?;
        ensure!(whole.body == b"all of it", "a body without a length came as {whole:?}");
    }
    transport.is_sound(&server, "a body without a length").await
}

pub(crate) async fn large_body_arrives_complete(stack: Arc<Stack>) -> CheckResult {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 256;
    let piece: Arc<[u8]> = (0..PIECE).map(|n| (n * 31 % 251) as u8).collect();
    let script = Arc::clone(&piece);
    let server = Server::start(move |received, connection| {
        if received.is("/length") {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECE * PIECES))?;
            for _ in 0..PIECES {
                connection.send(&script)?;
            }
        } else {
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            for _ in 0..PIECES {
                connection.send(format!("{PIECE:x}\r\n"))?;
                connection.send(&script)?;
                connection.send("\r\n")?;
            }
            connection.send("0\r\n\r\n")?;
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/length", "/chunked"] {
        let whole = transport.fetch(get(server.url(path))?).await?;
        ensure!(
            whole.body.len() == PIECE * PIECES,
            "{path}: {} bytes of {}",
            whole.body.len(),
            PIECE * PIECES
        );
        ensure!(
            whole.body.chunks(PIECE).all(|chunk| chunk == &*piece),
            "{path}: the bytes are not those that were sent"
        );
    }
    Ok(())
}
