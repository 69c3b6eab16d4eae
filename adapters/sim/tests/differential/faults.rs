//! What goes wrong on the way. One real server can be told to fail; what its client then sees is what a client in the
//! simulated world sees of the like fault, and as much was carried out. (Its shortened bodies have no like: they end as if
//! they were whole, which no client can tell.)

use bytes::Bytes;
use durable_streams_contract::{HttpTransport, SendOptions};
use durable_streams_sim::{Fault, RetryAfter, Schedule, World};
use http::Request;
use test_servers::{NodeServer, direct, skip_without_node};

/// What a client sees.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A status, its `Retry-After`, and how many bytes.
    Answer(u16, Option<String>, usize),
    /// An error instead of a head.
    NoHead,
}

const BODY: &str = "0123456789";

/// The fault as the real server is told, the method it meets, and the same in the simulated world.
fn faults() -> Vec<(&'static str, &'static str, Fault)> {
    let refusal = |status, retry_after| Fault::Status { status, retry_after, applied: false };
    vec![
        (r#""status":429,"retryAfter":3"#, "POST", refusal(429, Some(RetryAfter::Seconds(3)))),
        (r#""status":429"#, "GET", refusal(429, None)),
        (r#""status":503,"retryAfter":0"#, "GET", refusal(503, Some(RetryAfter::Seconds(0)))),
        (r#""status":500"#, "POST", refusal(500, None)),
        (r#""status":404"#, "GET", refusal(404, None)),
        (r#""dropConnection":true"#, "GET", Fault::LoseRequest),
        (r#""dropConnection":true"#, "POST", Fault::LoseRequest),
    ]
}

fn real(server: &NodeServer, number: usize, fault: &str, method: &str) -> (Seen, String) {
    let path = format!("/faults/{number}");
    let url = format!("{}{path}", server.url());
    let text = [("content-type", "text/plain")];
    direct("PUT", &url, text, BODY).unwrap();
    server.inject_error(&format!(r#"{{"path":"{path}","count":1,"method":"{method}",{fault}}}"#)).unwrap();
    let seen = match direct(method, &url, text, if method == "POST" { "more" } else { "" }) {
        Ok(answer) => {
            // The words of a refusal are its own.
            let length = if answer.status < 300 { answer.body.len() } else { 0 };
            Seen::Answer(answer.status, answer.header("retry-after").map(str::to_owned), length)
        }
        Err(_) => Seen::NoHead,
    };
    (seen, direct("GET", &url, (), "").unwrap().text())
}

fn simulated(fault: &Fault, method: &str) -> (Seen, String) {
    let schedule = Schedule::new().request(1, fault.clone());
    let mut world = World::builder(1).schedule(schedule).build();
    let transport = world.transport();
    let request = |method: &str, body: &'static str| {
        let request =
            Request::builder().method(method).uri("http://sim/f").header("content-type", "text/plain");
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
    };
    let seen = world.run(async {
        transport.send(request("PUT", BODY), SendOptions::new()).await.unwrap();
        let body = if method == "POST" { "more" } else { "" };
        let Ok(answer) = transport.send(request(method, body), SendOptions::new()).await else {
            return Seen::NoHead;
        };
        let (head, mut body) = answer.into_parts();
        let mut length = 0;
        while let Some(chunk) = body.next_chunk().await {
            length += chunk.unwrap().len();
        }
        let retry_after = head.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let length = if head.status.is_success() { length } else { 0 };
        Seen::Answer(head.status.as_u16(), retry_after, length)
    });
    (seen, String::from_utf8(world.server().stream("/f").unwrap().data.to_vec()).unwrap())
}

#[test]
fn faults_look_the_same_as_on_the_real_servers() {
    let Some(server) = skip_without_node() else { return };
    for (number, (injected, method, fault)) in faults().into_iter().enumerate() {
        assert_eq!(
            real(&server, number, injected, method),
            simulated(&fault, method),
            "{method}: {injected}"
        );
    }
}
