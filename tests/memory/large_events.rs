//! Events and messages without an end: a typed error, and no more memory than the limit and a little.
//! Guarantee 6.

use crate::process::{ORDINARY, Read, STACKS, read};
use test_servers::{Exchange, Flag, Script, sse_control, stream_headers};

const LIMIT: u64 = 16 << 20;
/// What the limit does not count: what the HTTP library holds, above all.
const BESIDES: u64 = 1 << 20;

/// Four times the limit of `filling`, as long as anybody listens.
fn pour(exchange: &mut Exchange, filling: &[u8]) {
    for _ in 0..4 * LIMIT / filling.len() as u64 {
        if exchange.client_is_gone() {
            break;
        }
        exchange.chunk(filling);
    }
}

fn is_bounded(view: Read, answer: impl Fn(&mut Exchange) + Send + Sync + 'static) {
    let script = Script::start(move |exchange| {
        let json = Flag::ContentType("application/json");
        if exchange.path() == ORDINARY {
            let numbers = format!("[{}1]", "1,".repeat(2 << 20));
            exchange.respond(200, stream_headers("a1", &[json, Flag::UpToDate]), numbers);
        } else if exchange.method == "HEAD" {
            exchange.respond(200, stream_headers("a1", &[json]), "");
        } else {
            answer(exchange);
        }
    })
    .unwrap();
    for stack in STACKS {
        let memory = read(stack, view, &format!("{}/s", script.url()), LIMIT);
        assert!(memory.grown <= LIMIT + BESIDES, "{stack} {view:?}: {memory:?}");
        assert!(memory.grown > LIMIT / 4, "{stack} {view:?}: nothing was measured: {memory:?}");
    }
}

/// What an event holds cannot be fetched by a plain request either.
fn events(exchange: &mut Exchange, beginning: &str, filling: &[u8]) {
    if exchange.query("live") == Some("sse") {
        exchange.sse(beginning);
        pour(exchange, filling);
        // Whoever has taken all of it is given it, and the test fails.
        exchange.sse("\n\n".to_owned() + &sse_control("a1", &[]));
    } else {
        exchange.respond(400, (), "no plain reads here");
    }
}

/// Guarantee 6.
#[test]
fn event_of_one_endless_line_is_too_large() {
    is_bounded(Read::Events, |exchange| events(exchange, "event: data\ndata: [\"", &[b'x'; 32 << 10]));
}

/// Guarantee 6.
#[test]
fn event_of_endless_lines_is_too_large() {
    let lines = b"data: \"0123456789abcdefghijklmnopqrstuvwxyz\",\n".repeat(700);
    is_bounded(Read::Events, move |exchange| events(exchange, "event: data\ndata: [\n", &lines));
}

/// Guarantee 6.
#[test]
fn large_events_without_control_event_are_too_large() {
    let event = format!("event: data\ndata: [\"{}\"]\n\n", "x".repeat(30_000));
    is_bounded(Read::Events, move |exchange| events(exchange, "", event.as_bytes()));
}

/// Guarantee 6.
#[test]
fn small_events_without_control_event_are_too_large() {
    let event = "event: data\ndata: [1]\n\n".repeat(1000);
    is_bounded(Read::Events, move |exchange| events(exchange, "", event.as_bytes()));
}

/// Guarantee 6.
#[test]
fn endless_message_is_too_large() {
    is_bounded(Read::Messages, |exchange| {
        exchange.head(200, stream_headers("a1", &[Flag::ContentType("application/json")]));
        exchange.chunk("[\"");
        pour(exchange, &[b'x'; 32 << 10]);
        exchange.chunk("\"]");
        exchange.finish();
    });
}
