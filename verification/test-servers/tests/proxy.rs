//! The proxy, in front of the real server.

// Clippy's leave for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use support::{Ending, Wire};
use test_servers::{Action, Cut, End, Proxy, RustServer, direct, wait_until};

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];
const SOON: Duration = Duration::from_secs(20);

/// A server with the stream `/s`, which holds `hello`, behind a proxy.
fn behind_a_proxy() -> (RustServer, Proxy, String) {
    let server = RustServer::start().unwrap();
    let proxy = Proxy::start(server.url()).unwrap();
    let stream = format!("{}/s", proxy.url());
    assert_eq!(direct("PUT", &stream, TEXT, "hello").unwrap().status, 201);
    proxy.forget_requests();
    (server, proxy, stream)
}

fn body_at(server: &RustServer) -> String {
    direct("GET", &format!("{}/s", server.url()), (), "").unwrap().text()
}

fn head_end(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn requests_pass_and_are_recorded() {
    let (server, proxy, stream) = behind_a_proxy();
    let odd = [("content-type", b"text/plain".as_slice()), ("x-odd", b"\xff\xfe")];
    assert_eq!(direct("POST", &stream, odd, " world").unwrap().status, 204);
    let read = direct("GET", &format!("{stream}?offset=-1"), (), "").unwrap();
    assert_eq!((read.text().as_str(), read.header("stream-up-to-date")), ("hello world", Some("true")));
    assert_eq!(direct("HEAD", &stream, (), "").unwrap().status, 200);
    assert_eq!(body_at(&server), "hello world");

    let requests = proxy.requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["POST", "GET", "HEAD"]);
    assert_eq!(requests[0].text(), " world");
    assert_eq!(requests[0].headers.get_bytes("X-Odd"), Some(b"\xff\xfe".as_slice()));
    assert_eq!((requests[1].path(), requests[1].query("offset")), ("/s", Some("-1")));
    assert!(requests[0].at <= requests[1].at && requests[0].connection < requests[1].connection);
}

#[test]
fn connection_serves_many_requests() {
    let (_server, proxy, _) = behind_a_proxy();
    let mut wire = Wire::connect(proxy.url());
    for _ in 0..3 {
        wire.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
        wire.read_through("hello");
    }
    wire.send(
        "POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    wire.send("2\r\n, \r\n3\r\nyou\r\n0\r\n\r\n");
    assert!(wire.read_through("\r\n\r\n").starts_with("HTTP/1.1 204"));
    wire.send("POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n");
    wire.send("Expect: 100-continue\r\n\r\n");
    assert!(wire.read_through("\r\n\r\n").starts_with("HTTP/1.1 100"));
    wire.send("!");
    assert!(wire.read_through("\r\n\r\n").starts_with("HTTP/1.1 204"));

    let requests = proxy.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.connection == requests[0].connection));
    assert_eq!((requests[3].text().as_str(), requests[4].text().as_str()), (", you", "!"));
    assert_eq!(direct("GET", &format!("{}/s", proxy.url()), (), "").unwrap().text(), "hello, you!");
}

#[test]
fn refused_and_dropped_requests_do_not_reach_the_server_but_drop_after_does() {
    let (server, proxy, stream) = behind_a_proxy();
    proxy.rule(|_, nth| match nth {
        0 => Action::refuse(503, [("retry-after", "2")], "busy"),
        1 => Action::DropBefore,
        2 => Action::DropAfter,
        _ => Action::Pass,
    });
    let refused = direct("POST", &stream, TEXT, "A").unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    assert_eq!(refused.text(), "busy");
    assert_eq!(direct("POST", &stream, TEXT, "B").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(body_at(&server), "hello");
    assert_eq!(direct("POST", &stream, TEXT, "C").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(body_at(&server), "helloC");
    assert_eq!(direct("POST", &stream, TEXT, "D").unwrap().status, 204);
    assert_eq!(proxy.requests().len(), 4);
}

#[test]
fn truncated_body_ends_by_fin_by_reset_or_stays_open() {
    let (_server, proxy, _) = behind_a_proxy();
    let get = "GET /s HTTP/1.1\r\nHost: x\r\n\r\n";
    for (end, ending) in [(End::Fin, Ending::Fin), (End::Reset, Ending::Reset)] {
        proxy.rule(move |_, _| Action::TruncateBody { bytes: 2, end });
        let mut wire = Wire::connect(proxy.url());
        wire.send(get);
        let (answer, ended) = wire.read_to_end();
        assert!(answer.contains("content-length: 5\r\n"), "{answer}");
        assert_eq!((head_end(&answer), ended), ("he", ending));
    }
    proxy.rule(|_, _| Action::TruncateBody { bytes: 2, end: End::Hang });
    let mut wire = Wire::connect(proxy.url());
    wire.send(get);
    wire.read_through("\r\n\r\nhe");
    assert!(wait_until(SOON, || proxy.open_connections() == 1));
    drop(wire);
    assert!(wait_until(SOON, || proxy.open_connections() == 0));

    proxy.rule(|_, _| Action::TruncateBody { bytes: 6, end: End::Fin });
    assert_eq!(direct("GET", &format!("{}/s", proxy.url()), (), "").unwrap().text(), "hello");
}

#[test]
fn delays_hold_a_request_or_its_response() {
    let (server, proxy, stream) = behind_a_proxy();
    let delay = Duration::from_millis(150);
    proxy.rule(move |_, nth| if nth == 0 { Action::Delay(delay) } else { Action::DelayResponse(delay) });
    let began = Instant::now();
    assert_eq!(direct("POST", &stream, TEXT, "1").unwrap().status, 204);
    assert!(began.elapsed() >= delay);

    proxy.rule(|_, _| Action::DelayResponse(Duration::from_secs(3600)));
    let mut wire = Wire::connect(proxy.url());
    wire.send("POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n2");
    assert!(wait_until(SOON, || body_at(&server) == "hello12"));
    assert!(wait_until(SOON, || proxy.open_connections() == 1));
    drop(wire);
    assert!(wait_until(SOON, || proxy.open_connections() == 0));
}

#[test]
fn slow_body_arrives_in_pieces() {
    let (_server, proxy, stream) = behind_a_proxy();
    let pause = Duration::from_millis(20);
    proxy.rule(move |_, _| Action::Dribble { chunk: 1, pause });
    let began = Instant::now();
    assert_eq!(direct("GET", &stream, (), "").unwrap().text(), "hello");
    assert!(began.elapsed() >= pause * 4, "{:?}", began.elapsed());
}

#[test]
fn responses_are_edited() {
    let (_server, proxy, stream) = behind_a_proxy();
    proxy.rule(|_, nth| match nth {
        0 => Action::edit_head(|head| head.headers.remove("stream-next-offset")),
        _ => Action::All(vec![
            Action::edit_response(|head, body| {
                head.status = 418;
                body.extend_from_slice(b", edited");
            }),
            Action::Dribble { chunk: 3, pause: Duration::ZERO },
        ]),
    });
    let answer = direct("GET", &stream, (), "").unwrap();
    assert_eq!((answer.header("stream-next-offset"), answer.text().as_str()), (None, "hello"));
    let answer = direct("GET", &stream, (), "").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (418, "hello, edited"));
}

#[test]
fn live_response_is_passed_on_at_once_and_cut_at_the_given_byte() {
    let (_server, proxy, stream) = behind_a_proxy();
    let live = "GET /s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut wire = Wire::connect(proxy.url());
    wire.send(live);
    wire.read_through("event: control");
    assert_eq!(direct("POST", &stream, TEXT, "more").unwrap().status, 204);
    wire.read_through("more");
    drop(wire);
    // The client's leaving is noticed while the server is silent.
    assert!(wait_until(SOON, || proxy.open_connections() == 0));

    proxy.rule(|_, _| Action::cut_after_text("event: control", End::Fin));
    let mut wire = Wire::connect(proxy.url());
    wire.send(live);
    let (answer, ended) = wire.read_to_end();
    assert!(answer.contains("hello") && answer.ends_with("event: control\r\n"), "{answer}");
    assert_eq!(ended, Ending::Fin);

    proxy.rule(|_, _| Action::CutAfter { cut: Cut::Time(Duration::from_millis(100)), end: End::Reset });
    let mut wire = Wire::connect(proxy.url());
    wire.send(live);
    let (answer, ended) = wire.read_to_end();
    assert!(answer.contains("streamNextOffset"), "{answer}");
    assert_eq!(ended, Ending::Reset);
}

#[test]
fn hanging_request_ends_with_its_client() {
    let (server, proxy, _) = behind_a_proxy();
    for (nth, action) in [Action::Hang, Action::HangAfter].into_iter().enumerate() {
        let reaches_the_server = nth == 1;
        proxy.rule(move |_, _| action.clone());
        let mut wire = Wire::connect(proxy.url());
        wire.send("POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n!");
        assert!(proxy.wait_for_requests(nth + 1, SOON));
        if reaches_the_server {
            assert!(wait_until(SOON, || body_at(&server) == "hello!"));
        }
        assert!(wait_until(SOON, || proxy.open_connections() == 1));
        drop(wire);
        assert!(wait_until(SOON, || proxy.open_connections() == 0));
    }
    assert_eq!(body_at(&server), "hello!");
}

#[test]
fn connections_are_refused_and_accepted_again() {
    let (_server, proxy, stream) = behind_a_proxy();
    let mut open = Wire::connect(proxy.url());
    open.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    open.read_through("hello");
    for _ in 0..3 {
        proxy.refuse();
        proxy.refuse();
        assert_eq!(direct("GET", &stream, (), "").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        open.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
        open.read_through("hello");
        proxy.resume().unwrap();
        assert_eq!(direct("GET", &stream, (), "").unwrap().text(), "hello");
    }
}

#[test]
fn connections_are_killed_or_closed_while_idle_and_in_the_middle() {
    let (_server, proxy, _) = behind_a_proxy();
    let mut idle = Wire::connect(proxy.url());
    idle.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.read_through("hello");
    let mut live = Wire::connect(proxy.url());
    live.send("GET /s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n");
    live.read_through("event: control");
    assert!(wait_until(SOON, || proxy.open_connections() == 2));
    proxy.kill_connections();
    assert_eq!(proxy.open_connections(), 0);
    assert_eq!(idle.read_to_end(), (String::new(), Ending::Reset));
    assert_eq!(live.read_to_end().1, Ending::Reset);

    let mut idle = Wire::connect(proxy.url());
    idle.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.read_through("hello");
    proxy.close_idle_connections();
    assert_eq!(idle.read_to_end(), (String::new(), Ending::Fin));
}

#[test]
fn stopped_server_resets_the_client_and_can_be_replaced() {
    let (server, proxy, stream) = behind_a_proxy();
    let mut live = Wire::connect(proxy.url());
    live.send("GET /s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n");
    live.read_through("event: control");
    server.kill().unwrap();
    let (rest, _) = live.read_to_end();
    assert!(!rest.ends_with("0\r\n\r\n"), "a body cut short looks whole: {rest}");
    assert_eq!(direct("GET", &stream, (), "").unwrap_err().kind(), ErrorKind::ConnectionReset);

    let other = RustServer::start().unwrap();
    proxy.retarget(other.url()).unwrap();
    assert_eq!(direct("GET", &stream, (), "").unwrap().status, 404);
}

#[test]
#[should_panic(expected = "a rule or handler panicked: no POST expected")]
fn panicking_rule_fails_the_test() {
    let (_server, proxy, stream) = behind_a_proxy();
    proxy.rule(|request, _| {
        assert!(request.method != "POST", "no POST expected");
        Action::Pass
    });
    assert!(direct("POST", &stream, TEXT, "x").is_err());
}

#[test]
fn large_body_passes_complete() {
    let (_server, proxy, _) = behind_a_proxy();
    let large = format!("{}/large", proxy.url());
    let body: Vec<u8> = (0..32_000_000_u32).map(|n| (n % 251) as u8).collect();
    let binary = [("content-type", "application/octet-stream")];
    assert_eq!(direct("PUT", &large, binary, "").unwrap().status, 201);
    for piece in body.chunks(8_000_000) {
        assert_eq!(direct("POST", &large, binary, piece).unwrap().status, 204);
    }
    assert!(direct("GET", &large, (), "").unwrap().body == body);
}

#[test]
fn head_is_cut_where_the_rule_says() {
    let (_server, proxy, _) = behind_a_proxy();
    for end in [End::Fin, End::Reset] {
        for bytes in [0, 20, usize::MAX] {
            proxy.rule(move |_, _| Action::CutHead { bytes, end });
            let mut wire = Wire::connect(proxy.url());
            wire.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
            let (seen, ending) = wire.read_to_end();
            assert!(!seen.contains("\r\n\r\n") && (bytes == usize::MAX || seen.len() <= bytes), "{seen:?}");
            assert_eq!(ending, if end == End::Fin { Ending::Fin } else { Ending::Reset });
        }
    }
}

#[test]
fn stray_response_follows_the_servers() {
    let (_server, proxy, _) = behind_a_proxy();
    proxy.rule(|_, nth| if nth == 0 { Action::StrayResponse } else { Action::Pass });
    let mut wire = Wire::connect(proxy.url());
    wire.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.read_through("hello");
    let stray = wire.read_through("\r\n\r\n");
    assert!(stray.starts_with("HTTP/1.1 204 ") && stray.contains("producer-seq: 0"), "{stray}");
}

#[test]
fn connection_closes_after_a_response_that_does_not_say_so() {
    let (_server, proxy, _) = behind_a_proxy();
    proxy.rule(|_, _| Action::CloseAfter);
    let mut wire = Wire::connect(proxy.url());
    wire.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    let (seen, ending) = wire.read_to_end();
    assert!(seen.ends_with("hello") && !seen.to_ascii_lowercase().contains("connection: close"), "{seen}");
    assert_eq!(ending, Ending::Fin);
}

#[test]
fn early_hints_come_before_the_response() {
    let (_server, proxy, _) = behind_a_proxy();
    proxy.rule(|_, _| Action::EarlyHints);
    let mut wire = Wire::connect(proxy.url());
    wire.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wire.read_through("\r\n\r\n").starts_with("HTTP/1.1 103 "));
    assert!(wire.read_through("hello").starts_with("HTTP/1.1 200 "));
}
