//! Pages. The real servers answer with all they have; whatever its limits, what the model's pages hold is the same, and
//! where one of them ends is a place from which the real server goes on alike.

use crate::compare::Reply;
use crate::operation::{At, Headers, Operation, STREAMS};
use crate::pair::Pair;
use bytes::Bytes;
use durable_streams_sim::Rng;
use durable_streams_sim::model::{Dialect, Handled, ServerOptions};
use http::Request;
use test_servers::{RustServer, skip_without_node};

/// What a page of a stream of this kind holds, without its frame.
fn inner(json: bool, body: &[u8]) -> Vec<u8> {
    if !json {
        return body.to_vec();
    }
    let inner = body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]")).unwrap();
    if inner.is_empty() { vec![] } else { [inner, b","].concat() }
}

fn page(pair: &mut Pair, stream: usize, offset: &str) -> Reply {
    let url = format!("http://model{}?offset={offset}", pair.path(stream));
    let (request, at) = (Request::get(url).body(Bytes::new()).unwrap(), pair.moment());
    match pair.model.handle(&request, at) {
        Handled::Answer(answer) => Reply::of_model(answer),
        other => panic!("a catch-up read is answered at once: {other:?}"),
    }
}

/// The pages of a stream and where each begins, compared to what the real server has; how many were compared from
/// their own beginning.
fn compare(pair: &mut Pair, stream: usize, limits: &ServerOptions) -> usize {
    let from_beginning = |at| {
        let mut read = Operation::new("GET", stream);
        read.offset = Some(at);
        read
    };
    let whole = pair.ask_real(&from_beginning(At::Beginning));
    assert_eq!(whole.status, 200);
    let json = whole.header("content-type") == Some("application/json");
    let before = std::mem::replace(pair.model.options_mut(), limits.clone());
    let mut pages: Vec<(String, Vec<u8>)> = Vec::new();
    let mut offset = "-1".to_owned();
    loop {
        let page = page(pair, stream, &offset);
        assert_eq!(page.status, 200);
        let body = inner(json, &page.body);
        let one = json && page.body.windows(2).filter(|two| two == b"},").count() == 0;
        let text = page.header("content-type").unwrap().starts_with("text/");
        assert!(body.len() <= limits.page_bytes + 1 || one || text, "{limits:?}: {body:?}");
        let last = page.header("stream-up-to-date").is_some();
        assert_eq!(page.header("stream-closed").is_some(), last && whole.header("stream-closed").is_some());
        pages.push((std::mem::replace(&mut offset, page.header("stream-next-offset").unwrap().into()), body));
        if last {
            break;
        }
        assert_ne!(pages.last().unwrap().0, offset, "a page that is not the last makes progress");
    }
    *pair.model.options_mut() = before;
    let rest = |from: usize| pages[from..].iter().flat_map(|(_, body)| body.clone()).collect::<Vec<u8>>();
    assert_eq!(rest(0), inner(json, &whole.body), "{limits:?}: {pages:?}");
    let mut compared = 0;
    for (number, (offset, _)) in pages.iter().enumerate() {
        let known = pair.tokens[stream].offsets.iter().position(|(model, _)| model == offset);
        if let Some(known) = known {
            let real = pair.ask_real(&from_beginning(At::Known(known)));
            assert_eq!(
                (real.status, inner(json, &real.body)),
                (200, rest(number)),
                "{limits:?} from {offset}"
            );
            compared += 1;
        }
    }
    compared
}

fn pages_join(url: &str, dialect: Dialect) {
    let mut compared = 0;
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::new(url, &format!("/pages/{seed}"), dialect);
        let run = |pair: &mut Pair, operation: Operation| {
            pair.run(&operation).unwrap_or_else(|difference| panic!("{operation}\n{difference}"));
        };
        let types = ["text/plain", "application/octet-stream", "application/json"];
        for (stream, content_type) in types.into_iter().enumerate() {
            let put =
                Operation::new("PUT", stream).headers(Headers::new().with("content-type", content_type));
            run(&mut pair, put);
            for _ in 0..rng.between(1, 12) {
                let body = match content_type {
                    "application/json" => *rng.pick(&[
                        "{\"a\":1}",
                        "[{\"b\":2},{\"c\":3},[]]",
                        "{\"long\":\"xxxxxxxxxxxxxxxx\"}",
                    ]),
                    _ => *rng.pick(&["x", "two\nlines\n", "something that is longer than a page\n", "é"]),
                };
                let post =
                    Operation::new("POST", stream).headers(Headers::new().with("content-type", content_type));
                run(&mut pair, post.body(body));
            }
            if rng.percent(30) {
                run(
                    &mut pair,
                    Operation::new("POST", stream).headers(Headers::new().with("stream-closed", "true")),
                );
            }
            for _ in 0..6 {
                let mut limits = pair.model.options().clone();
                limits.page_bytes = *rng.pick(&[1, 3, 10, 40, 100_000]);
                limits.page_messages = *rng.pick(&[1, 2, usize::MAX]);
                limits.page_varies = rng.percent(30);
                compared += compare(&mut pair, stream, &limits);
            }
        }
        assert!(types.len() <= STREAMS);
    }
    assert!(compared > 300, "{compared} pages were compared from where they begin");
}

#[test]
fn pages_join_to_what_the_rust_server_has() {
    let server = RustServer::start().unwrap();
    pages_join(server.url(), Dialect::Rust);
}

#[test]
fn pages_join_to_what_the_node_server_has() {
    if let Some(server) = skip_without_node() {
        pages_join(server.url(), Dialect::Node);
    }
}
