//! Events and messages without an end: a typed error, and memory stays below the limit plus 1 MB. Guarantee 6.

use crate::process::{ORDINARY, Read, STACKS, read};
use test_servers::{Exchange, Flag, Script, sse_control, stream_headers};

const LIMIT: u64 = 16 << 20;
/// Allowed above the limit, mostly for buffers of the HTTP library.
const OVERHEAD: u64 = 1 << 20;

/// Sends four times the limit, unless the client closes the connection first.
fn send_four_limits(exchange: &mut Exchange, filling: &[u8]) {
    for _ in 0..4 * LIMIT / filling.len() as u64 {
        if exchange.client_is_gone() {
            break;
        }
        exchange.chunk(filling);
    }
}

/// Reads the response on each stack, and asserts that memory grows by the limit at most.
///
/// It must also grow by a quarter of the limit, or else the measurement shows nothing.
fn assert_bounded(view: Read, answer: impl Fn(&mut Exchange) + Send + Sync + 'static) {
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
        assert!(memory.grown <= LIMIT + OVERHEAD, "{stack} {view:?}: {memory:?}");
        assert!(memory.grown > LIMIT / 4, "{stack} {view:?}: the limit was not reached: {memory:?}");
    }
}

/// An event stream of `beginning` and then endlessly `filling`.
///
/// Plain requests are refused: otherwise the reader would fetch the content in pieces instead of failing.
fn endless_sse(exchange: &mut Exchange, beginning: &str, filling: &[u8]) {
    if exchange.query("live") == Some("sse") {
        exchange.sse(beginning);
        send_four_limits(exchange, filling);
        // A reader without the limit gets a valid event here, and the test fails.
        exchange.sse("\n\n".to_owned() + &sse_control("a1", &[]));
    } else {
        exchange.respond(400, (), "plain reads are disabled");
    }
}

/// Guarantee 6.
#[test]
fn event_of_one_endless_line_is_too_large() {
    assert_bounded(Read::Events, |exchange| {
        endless_sse(exchange, "event: data\ndata: [\"", &[b'x'; 32 << 10])
    });
}

/// Guarantee 6.
#[test]
fn event_of_endless_lines_is_too_large() {
    let lines = b"data: \"0123456789abcdefghijklmnopqrstuvwxyz\",\n".repeat(700);
    assert_bounded(Read::Events, move |exchange| endless_sse(exchange, "event: data\ndata: [\n", &lines));
}

/// Guarantee 6.
#[test]
fn large_events_without_control_event_are_too_large() {
    let event = format!("event: data\ndata: [\"{}\"]\n\n", "x".repeat(30_000));
    assert_bounded(Read::Events, move |exchange| endless_sse(exchange, "", event.as_bytes()));
}

/// Guarantee 6.
#[test]
fn small_events_without_control_event_are_too_large() {
    let event = "event: data\ndata: [1]\n\n".repeat(1000);
    assert_bounded(Read::Events, move |exchange| endless_sse(exchange, "", event.as_bytes()));
}

/// Guarantee 6.
#[test]
fn endless_message_is_too_large() {
    assert_bounded(Read::Messages, |exchange| {
        exchange.head(200, stream_headers("a1", &[Flag::ContentType("application/json")]));
        exchange.chunk("[\"");
        send_four_limits(exchange, &[b'x'; 32 << 10]);
        exchange.chunk("\"]");
        exchange.finish();
    });
}
