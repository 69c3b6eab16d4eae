//! The scripted server: says what it is told to, and no more.

// Clippy's leave for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{Ending, Wire};
use test_servers::{Flag, Script, direct, sse_control, sse_data, stream_headers, wait_until};

const GET: &str = "GET /s HTTP/1.1\r\nHost: x\r\n\r\n";
const SOON: Duration = Duration::from_secs(20);

fn ask(script: &Script) -> Wire {
    let mut wire = Wire::connect(script.url());
    wire.send(GET);
    wire
}

#[test]
fn whole_answers_keep_the_connection() {
    let script = Script::start(|exchange| match exchange.method.as_str() {
        "POST" => exchange.respond(204, stream_headers("0_9", &[]), ""),
        _ => exchange.respond(200, stream_headers("0_5", &[Flag::UpToDate]), "hello"),
    })
    .unwrap();
    let mut wire = ask(&script);
    let answer = wire.read_through("hello");
    assert!(answer.contains("stream-next-offset: 0_5\r\nstream-up-to-date: true\r\n"), "{answer}");
    wire.send("HEAD /s HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wire.read_through("\r\n\r\n").contains("content-length: 5"));
    wire.send("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    assert!(!wire.read_through("\r\n\r\n").contains("content-length"));
    let requests = script.requests();
    assert_eq!(requests.iter().map(|r| r.connection).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!((requests[2].text().as_str(), script.accepted_connections()), ("hi", 1));
}

#[test]
fn raw_bytes_are_sent_as_they_are() {
    let script = Script::start(|exchange| {
        exchange.raw("HTTP/1.1 200 Fine\r\nx: y\r\n\r\n");
        exchange.raw(b"\x01half");
    })
    .unwrap();
    let expected = "HTTP/1.1 200 Fine\r\nx: y\r\n\r\n\x01half".to_owned();
    assert_eq!(ask(&script).read_to_end(), (expected, Ending::Fin));

    let kept = Script::start(|exchange| {
        exchange.raw("HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n\r\n");
        exchange.keep_open();
    })
    .unwrap();
    let mut wire = ask(&kept);
    wire.read_through("\r\n\r\n");
    wire.send(GET);
    wire.read_through("\r\n\r\n");
    assert_eq!((kept.requests().len(), kept.accepted_connections()), (2, 1));
}

#[test]
fn bodies_come_piece_by_piece_and_end_as_told() {
    let script = Script::start(|exchange| {
        exchange.head(200, stream_headers("1", &[]));
        exchange.chunk("one");
        exchange.chunk("");
        exchange.chunk("two");
        match exchange.nth() {
            0 => exchange.finish(),
            1 => {}
            _ => exchange.reset(),
        }
    })
    .unwrap();
    let url = format!("{}/s", script.url());
    assert_eq!(direct("GET", &url, (), "").unwrap().text(), "onetwo");
    let (cut, ending) = ask(&script).read_to_end();
    assert!(cut.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n"), "{cut}");
    assert_eq!(ending, Ending::Fin);
    assert_eq!(ask(&script).read_to_end().1, Ending::Reset);

    let plain = Script::start(|exchange| {
        exchange.head(200, [("connection", "close")]);
        exchange.chunk("until the end");
    })
    .unwrap();
    assert!(ask(&plain).read_to_end().0.ends_with("\r\n\r\nuntil the end"));
}

#[test]
fn event_stream_is_written_event_by_event() {
    let script = Script::start(|exchange| {
        exchange.sse(sse_data("hello"));
        exchange.sse(sse_control("0_5", &[Flag::Closed]));
        exchange.finish();
    })
    .unwrap();
    let answer = direct("GET", &format!("{}/s", script.url()), (), "").unwrap();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let control = "event: control\ndata: {\"streamNextOffset\":\"0_5\",\"streamClosed\":true}\n\n";
    assert_eq!(answer.text(), format!("event: data\ndata: hello\n\n{control}"));
}

#[test]
fn client_that_disconnects_is_noticed() {
    let (tell, told) = std::sync::mpsc::channel();
    let script = Script::start(move |exchange| {
        exchange.head(200, ());
        exchange.chunk("begun");
        tell.send(exchange.pause(Duration::from_millis(50))).unwrap();
        tell.send(exchange.client_closed(SOON)).unwrap();
        tell.send(exchange.client_is_gone()).unwrap();
        tell.send(exchange.pause(SOON)).unwrap();
    })
    .unwrap();
    let mut wire = ask(&script);
    wire.read_through("begun");
    assert_eq!(told.recv_timeout(SOON), Ok(true), "the client was there all through the pause");
    assert_eq!(script.open_connections(), 1);
    drop(wire);
    assert_eq!(told.recv_timeout(SOON), Ok(true), "it closed the connection");
    assert_eq!(told.recv_timeout(SOON), Ok(true), "it is gone");
    assert_eq!(told.recv_timeout(SOON), Ok(false), "no pause is longer than the client's stay");
}

#[test]
fn hanging_exchange_ends_with_its_client_or_its_server() {
    let script = Script::start(|exchange| exchange.hang()).unwrap();
    let wire = ask(&script);
    assert!(script.wait_for_requests(1, SOON));
    drop(wire);
    assert!(wait_until(SOON, || script.open_connections() == 0));

    let wire = ask(&script);
    assert!(script.wait_for_requests(2, SOON));
    drop(script);
    assert_eq!(wire.read_to_end(), (String::new(), Ending::Reset));
}

#[test]
fn server_closes_a_connection_after_its_response() {
    let script = Script::start(|exchange| {
        exchange.respond(200, (), "bye");
        exchange.close();
    })
    .unwrap();
    let (answer, ending) = ask(&script).read_to_end();
    assert!(answer.ends_with("bye"));
    assert_eq!(ending, Ending::Fin);
}

#[test]
#[should_panic(expected = "a rule or handler panicked")]
fn panicking_handler_fails_the_test() {
    let script = Script::start(|exchange| assert_eq!(exchange.path(), "/t")).unwrap();
    assert_eq!(ask(&script).read_to_end().1, Ending::Reset);
}
