//! A body of a gigabyte whose transfer breaks twice: each byte is read once, within the memory limit. Guarantee 25.

use crate::process::{Read, STACKS, TEXT, message, read};
use crate::support::unique;
use test_servers::{Action, Cut, End, Proxy, RustServer, direct};

/// The most memory that the whole reading process may use, in bytes.
const LIMIT: u64 = 32 << 20;
/// The size of the body. An eighth of a gigabyte without optimisation, which is still four times the limit.
const TOTAL: u64 = if cfg!(debug_assertions) { 1 << 27 } else { 1 << 30 };
/// The size of one append, in bytes.
const RECORD: u64 = 8 << 20;

/// Creates a stream and appends `record(0)`, `record(1)` and so on, up to the first `None`. Returns the path.
fn fill(server: &RustServer, content_type: &str, record: impl Fn(u64) -> Option<String>) -> String {
    let path = format!("/{}", unique("gigabyte"));
    let url = format!("{}{path}", server.url());
    let headers = [("content-type", content_type)];
    assert_eq!(direct("PUT", &url, headers, "").unwrap().status, 201);
    for body in (0..).map_while(record) {
        assert!(direct("POST", &url, headers, body).unwrap().status < 300);
    }
    path
}

/// Reads `path` on each stack through a proxy that cuts the first two responses with content.
fn assert_bounded_read(server: &RustServer, path: &str, view: Read, amount: u64) {
    for (stack, end) in STACKS.into_iter().zip([End::Reset, End::Fin].into_iter().cycle()) {
        let proxy = Proxy::start(server.url()).unwrap();
        // Request 0 is the HEAD that the child process warms up with.
        proxy.rule(move |_, nth| match nth {
            1 => Action::CutAfter { cut: Cut::Bytes(TOTAL / 3 + 1), end },
            2 => Action::CutAfter { cut: Cut::Bytes(TOTAL / 3 * 2 + 7), end },
            _ => Action::Pass,
        });
        let memory = read(stack, view, &format!("{}{path}", proxy.url()), amount);
        assert!(memory.peak < LIMIT, "{stack} {view:?}: {memory:?}");
        assert_eq!(proxy.requests().len(), 4, "{stack} {view:?}: HEAD, two broken responses, the rest");
    }
}

/// Guarantee 25.
#[test]
fn large_body_of_bytes_is_read_within_memory_limit() {
    let server = RustServer::start().unwrap();
    let path = fill(&server, "application/octet-stream", |n| {
        let (start, end) = (n * RECORD, ((n + 1) * RECORD).min(TOTAL));
        let offset = (start % TEXT.len() as u64) as usize;
        (start < end).then(|| {
            TEXT.repeat(RECORD as usize / TEXT.len() + 2)[offset..][..(end - start) as usize].to_owned()
        })
    });
    assert_bounded_read(&server, &path, Read::Bytes, TOTAL);
}

/// Guarantee 25.
#[test]
fn large_body_of_messages_is_read_within_memory_limit() {
    let server = RustServer::start().unwrap();
    let messages = TOTAL / message(0).len() as u64;
    let batch = RECORD / message(0).len() as u64;
    let path = fill(&server, "application/json", |n| {
        let numbers = n * batch..((n + 1) * batch).min(messages);
        (!numbers.is_empty()).then(|| format!("[{}]", numbers.map(message).collect::<Vec<_>>().join(",")))
    });
    assert_bounded_read(&server, &path, Read::Json, messages);
}
