//! What dropping does.

use super::server::{Server, Then};
use super::stack::{CheckResult, Stack, describe, drop_after, ensure, get, post, sound, spawn};
use crate::{SendOptions, Timer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A dropped live exchange has to be off the wire this soon.
const RELEASE: Duration = Duration::from_secs(2);

fn live() -> SendOptions {
    SendOptions::new().with_live(true)
}

pub(crate) async fn dropped_live_body_closes_its_connection(stack: Arc<Stack>) -> CheckResult {
    let released = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&released);
    let server = Server::start(move |received, connection| {
        if !received.is("/tail") {
            return sound(received, connection);
        }
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n:\n\r\n")?;
        if connection.closes_within(Duration::from_secs(20))? {
            script.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for turn in 1..=5 {
        let response = transport.send_as(get(server.url("/tail"))?, live(), Duration::from_secs(10)).await?;
        let mut body = response.into_body();
        transport.chunk(&mut body).await?.ok_or("no first chunk")?.map_err(|error| describe(&error))?;
        let start = Instant::now();
        drop(body);
        ensure!(start.elapsed() < Duration::from_millis(500), "dropping blocked for {:?}", start.elapsed());
        transport.is_sound(&server, "a dropped tail").await?;
        stack.until("a dropped, silent tail is let go", || released.load(Ordering::Acquire) == turn).await?;
        ensure!(start.elapsed() < RELEASE, "a dropped tail held on for {:?}", start.elapsed());
    }
    Ok(())
}

pub(crate) async fn dropped_long_poll_closes_its_connection(stack: Arc<Stack>) -> CheckResult {
    let released = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&released);
    let server = Server::start(move |received, connection| {
        if !received.is("/poll") {
            return sound(received, connection);
        }
        if connection.closes_within(Duration::from_secs(20))? {
            script.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for turn in 1..=5 {
        let poll = transport.try_send(get(server.url("/poll"))?, live(), Duration::from_secs(20));
        let answer = drop_after(stack.runtime(), Duration::from_millis(100), poll).await;
        ensure!(answer.is_none(), "a silent long-poll came back: {answer:?}");
        let start = Instant::now();
        transport.is_sound(&server, "a dropped long-poll").await?;
        stack.until("a dropped long-poll is let go", || released.load(Ordering::Acquire) == turn).await?;
        ensure!(start.elapsed() < RELEASE, "a dropped long-poll held on for {:?}", start.elapsed());
    }
    Ok(())
}

/// Any response may be dropped in the middle: its leftovers must not answer the next request.
pub(crate) async fn dropped_body_does_not_reach_another_request(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| match received.target.as_str() {
        "/length" => {
            // What is left over reads like an answer.
            let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison".repeat(20_000);
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", poison.len()))?;
            for piece in poison.as_bytes().chunks(10_000) {
                connection.send(piece)?;
            }
            Ok(Then::Keep)
        }
        "/chunked" => {
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
            for _ in 0..5_000 {
                connection.send(format!("{:x}\r\n{poison}\r\n", poison.len()))?;
            }
            connection.send("0\r\n\r\n")?;
            Ok(Then::Keep)
        }
        _ => sound(received, connection),
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/length", "/chunked"] {
        for write in [false, true] {
            for after_chunks in [0, 1, 3] {
                let url = server.url(path);
                let request = if write { post(url, "a record")? } else { get(url)? };
                let mut body = transport.send(request).await?.into_body();
                for _ in 0..after_chunks {
                    let chunk = transport.chunk(&mut body).await?.ok_or("the body ended early")?;
                    chunk.map_err(|error| describe(&error))?;
                }
                drop(body);
                let case = format!("{path} dropped after {after_chunks} chunks, write: {write}");
                transport.is_sound(&server, &case).await?;
            }
        }
    }
    Ok(())
}

/// A write that is dropped before its answer must not hand that answer to the next.
pub(crate) async fn dropped_write_does_not_reach_another_request(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        if received.is("/slow") {
            std::thread::sleep(Duration::from_millis(60));
            return connection.answer(500, "", "a response to a dropped request");
        }
        sound(received, connection)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for turn in 0..10 {
        let write = transport.try_send(post(server.url("/slow"), "a record")?, SendOptions::new(), RELEASE);
        let dropped = drop_after(stack.runtime(), Duration::from_millis(5 * turn), write).await;
        ensure!(dropped.is_none(), "a slow answer came at once: {dropped:?}");
        transport.is_sound(&server, "a dropped write").await?;
    }
    Ok(())
}

pub(crate) async fn write_is_sent_beside_sixty_long_polls(stack: Arc<Stack>) -> CheckResult {
    const POLLS: usize = 60;
    let server = Server::start(|received, connection| {
        if !received.is("/poll") {
            return sound(received, connection);
        }
        connection.closes_within(Duration::from_secs(30))?;
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let stop = Arc::new(AtomicUsize::new(0));
    for _ in 0..POLLS {
        let (transport, request, stop) = (transport.clone(), get(server.url("/poll"))?, Arc::clone(&stop));
        let runtime = stack.runtime().clone();
        spawn(&stack, async move {
            let poll = transport.try_send(request, live(), Duration::from_secs(30));
            let stopped = async {
                while stop.load(Ordering::Acquire) == 0 {
                    runtime.sleep(Duration::from_millis(10)).await;
                }
                Err("stopped".to_owned())
            };
            // Whichever comes first; the check looks at the server.
            drop(futures_lite::future::or(poll, stopped).await);
        });
    }
    stack.until("60 long-polls are open at once", || server.seen_at("/poll").len() == POLLS).await?;
    let start = Instant::now();
    let through = transport.is_sound(&server, "60 open long-polls").await;
    let took = start.elapsed();
    stop.store(1, Ordering::Release);
    through?;
    ensure!(took < Duration::from_secs(3), "with 60 long-polls open, six requests took {took:?}");
    Ok(())
}
