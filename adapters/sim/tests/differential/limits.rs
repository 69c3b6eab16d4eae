//! Bodies that are too large. One of the real servers refuses what declares more than 1 GiB, by its declared length; the
//! model is told a smaller limit. The answers are the same, and nothing has changed. The other server has no limit.

use crate::compare::Reply;
use crate::operation::{Headers, Operation};
use crate::pair::Pair;
use durable_streams_sim::model::Dialect;
use std::io::{Read, Write};
use std::net::TcpStream;
use test_servers::RustServer;

const REAL_LIMIT: u64 = 1 << 30;

/// What the real server says to a body of which it sees the length alone.
fn declare(pair: &Pair, operation: &Operation, length: u64) -> Reply {
    let authority = pair.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).unwrap();
    let mut head =
        format!("{} {} HTTP/1.1\r\nhost: {authority}\r\n", operation.method, pair.path(operation.stream));
    for (name, value) in &operation.headers.0 {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let mut lines = answer.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines.map_while(|line| line.split_once(':'));
    let headers = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Reply { status, headers, body: vec![] }
}

#[test]
fn too_large_a_body_is_refused_alike() {
    let server = RustServer::start().unwrap();
    let mut pair = Pair::new(server.url(), "/limits", Dialect::Rust);
    let text = || Headers::new().with("content-type", "text/plain");
    let run = |pair: &mut Pair, operation: Operation| {
        pair.run(&operation).unwrap_or_else(|difference| panic!("{operation}\n{difference}"));
    };
    run(&mut pair, Operation::new("PUT", 0).headers(text()));
    run(&mut pair, Operation::new("PUT", 1).headers(text().with("stream-closed", "true")));
    let producer = text().with("producer-id", "p").with("producer-epoch", "0").with("producer-seq", "0");
    for refused in [
        Operation::new("POST", 0).headers(text()),
        Operation::new("POST", 0).headers(producer.clone()),
        Operation::new("POST", 0).headers(producer.clone().with("stream-closed", "true")),
        Operation::new("POST", 0).headers(Headers::new().with("content-type", "application/json")),
        Operation::new("POST", 1).headers(text()),
        // There is no such stream.
        Operation::new("POST", 2).headers(text()),
        Operation::new("PUT", 2).headers(text()),
    ] {
        let real = declare(&pair, &refused, REAL_LIMIT + 1);
        pair.model.options_mut().max_body = 10;
        let model = pair.ask_model(&refused.clone().body("01234567890"));
        pair.model.options_mut().max_body = 8 << 20;
        assert_eq!((model.status, real.status), (413, 413), "{refused}");
        let spoken = |reply: &Reply| {
            reply
                .headers
                .keys()
                .filter(|name| name.starts_with("stream-") || name.starts_with("producer-"))
                .count()
        };
        assert_eq!((spoken(&model), spoken(&real)), (0, 0), "{refused}: {model:?} {real:?}");
        for stream in 0..3 {
            run(&mut pair, Operation::new("HEAD", stream));
        }
    }
    // The number that was refused is still to come.
    run(&mut pair, Operation::new("POST", 0).headers(producer).body("x"));
}
