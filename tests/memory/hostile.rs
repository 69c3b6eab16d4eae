//! Responses that are made to exhaust the client: a head without an end, and a body that expands.

use crate::process::{Read, STACKS, TEXT, read};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use test_servers::{Flag, Script, stream_headers};

/// What the client may need for a head, in bytes, with the buffers of the HTTP library.
const HEAD_LIMIT: u64 = 4 << 20;
/// What the server sends of a head.
const HEAD: usize = 64 << 20;

/// The most memory that the whole reading process may use, in bytes.
const LIMIT: u64 = 32 << 20;
/// The size of the body, decoded.
const TOTAL: u64 = 1 << 27;

#[test]
fn head_without_an_end_is_an_error_within_memory_limit() {
    let script = Script::start(|exchange| {
        if exchange.method == "HEAD" {
            return exchange.respond(200, stream_headers("a1", &[Flag::ContentType("text/plain")]), "");
        }
        exchange.raw("HTTP/1.1 200 OK\r\n");
        let field = format!("x-filling: {}\r\n", "x".repeat(1000));
        for _ in 0..HEAD / field.len() {
            if exchange.client_is_gone() {
                return;
            }
            exchange.raw(&field);
        }
        exchange.raw("content-length: 0\r\nstream-next-offset: a1\r\n\r\n");
    })
    .unwrap();
    for stack in STACKS {
        let memory = read(stack, Read::Head, &format!("{}/s", script.url()), 0);
        assert!(memory.grown < HEAD_LIMIT, "{stack}: {memory:?}");
    }
}

/// On the stack that asks for compressed pages.
#[test]
fn body_that_expands_is_read_within_memory_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = TEXT.repeat(1000);
    let mut left = TOTAL as usize;
    while left > 0 {
        let part = &piece.as_bytes()[..piece.len().min(left)];
        encoder.write_all(part).unwrap();
        left -= part.len();
    }
    let compressed = encoder.finish().unwrap();
    assert!((compressed.len() as u64) < TOTAL / 100);
    let script = Script::start(move |exchange| {
        let headers = stream_headers("a1", &[Flag::ContentType("text/plain"), Flag::UpToDate]);
        if exchange.method == "HEAD" {
            return exchange.respond(200, headers, "");
        }
        assert!(exchange.headers.get("accept-encoding").is_some_and(|offered| offered.contains("gzip")));
        exchange.respond(200, headers.with("content-encoding", "gzip"), &compressed);
    })
    .unwrap();
    let memory = read("tokio", Read::Bytes, &format!("{}/s", script.url()), TOTAL);
    assert!(memory.peak < LIMIT, "{memory:?}");
}
