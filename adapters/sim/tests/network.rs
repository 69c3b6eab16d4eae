//! The transport: what each fault does to a request, and to the server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use durable_streams_contract::{
    HttpTransport, SendOptions, Sent, Timer, TransportError, TransportErrorKind, UploadProgress,
};
use durable_streams_sim::model::{Model, ServerOptions};
use durable_streams_sim::{
    Fault, Gateway, Incident, Memory, NetworkOptions, RetryAfter, Schedule, SimTransport, World, WorldBuilder,
};
use http::{Request, Response};
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(format!("http://sim{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn put(path: &str, body: &str) -> Request<Bytes> {
    request("PUT", path, &[("content-type", "text/plain")], body)
}

fn post(path: &str, body: &str) -> Request<Bytes> {
    request("POST", path, &[("content-type", "text/plain")], body)
}

fn get(target: &str) -> Request<Bytes> {
    request("GET", target, &[], "")
}

/// Sends, and reads the whole body.
async fn send(transport: &SimTransport, request: Request<Bytes>) -> Result<Response<String>, TransportError> {
    send_with(transport, request, SendOptions::new()).await
}

async fn send_with(
    transport: &SimTransport,
    request: Request<Bytes>,
    options: SendOptions,
) -> Result<Response<String>, TransportError> {
    let (parts, mut body) = transport.send(request, options).await?.into_parts();
    let mut text = Vec::new();
    while let Some(chunk) = body.next_chunk().await {
        text.extend_from_slice(&chunk?);
    }
    Ok(Response::from_parts(parts, String::from_utf8(text).unwrap()))
}

fn stored(world: &World, path: &str) -> String {
    let stream = world.server().stream(path).unwrap();
    String::from_utf8(stream.data.to_vec()).unwrap()
}

/// A world with the stream `/s` holding "abc", in which `fault` meets the second request.
fn world_with(fault: Fault) -> (World, SimTransport) {
    start(World::builder(11).schedule(Schedule::new().request(1, fault)))
}

fn start(builder: WorldBuilder) -> (World, SimTransport) {
    let mut world = builder.build();
    let transport = world.transport();
    assert_eq!(world.run(send(&transport, put("/s", "abc"))).unwrap().status(), 201);
    (world, transport)
}

#[test]
fn refused_request_reports_not_sent() {
    let (mut world, transport) = world_with(Fault::Refuse);
    let error = world.run(send(&transport, post("/s", "d"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No));
    assert_eq!(stored(&world, "/s"), "abc");
}

#[test]
fn lost_request_and_lost_response_look_the_same() {
    for (fault, after) in [(Fault::LoseRequest, "abc"), (Fault::LoseResponse, "abcd")] {
        let (mut world, transport) = world_with(fault);
        let error = world.run(send(&transport, post("/s", "d"))).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Closed, Sent::Maybe));
        assert_eq!(stored(&world, "/s"), after);
    }
}

#[test]
fn silence_lasts_until_the_client_gives_up() {
    for (applied, after) in [(false, "abc"), (true, "abcd")] {
        let (mut world, transport) = world_with(Fault::Hang { applied });
        let runtime = world.runtime();
        let waited = world.run(runtime.timeout(900 * SECOND, send(&transport, post("/s", "d"))));
        assert!(waited.is_none());
        assert_eq!(stored(&world, "/s"), after);
    }
}

#[test]
fn gateway_responds_in_place_of_the_server() {
    for (applied, after) in [(false, "abc"), (true, "abcd")] {
        let retry_after = Some(RetryAfter::Seconds(3));
        let (mut world, transport) = world_with(Fault::Status { status: 503, retry_after, applied });
        let answer = world.run(send(&transport, post("/s", "d"))).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"3".parse().unwrap())
        );
        assert_eq!(stored(&world, "/s"), after);
    }
    let retry_after = Some(RetryAfter::Date(90));
    let (mut world, transport) = world_with(Fault::Status { status: 429, retry_after, applied: false });
    let answer = world.run(send(&transport, post("/s", "d"))).unwrap();
    assert_eq!(answer.headers()["retry-after"], "Wed, 01 Jan 2025 00:01:30 GMT");
}

#[test]
fn repeated_request_arrives_twice() {
    let (mut world, transport) = world_with(Fault::Repeat { later: SECOND });
    assert_eq!(world.run(send(&transport, post("/s", "d"))).unwrap().status(), 204);
    assert_eq!(stored(&world, "/s"), "abcd");
    assert_eq!(world.settle(2 * SECOND), Ok(0));
    assert_eq!(stored(&world, "/s"), "abcdd");
}

#[test]
fn requests_overtake_each_other() {
    let delay = Fault::Delay { request: SECOND, response: SECOND };
    let (mut world, transport) = world_with(delay);
    world.run(async {
        let (one, two) = (send(&transport, post("/s", "1")), send(&transport, post("/s", "2")));
        let (one, two) = futures_lite::future::zip(one, two).await;
        assert!(one.is_ok() && two.is_ok());
    });
    assert_eq!(stored(&world, "/s"), "abc21");
    assert!(world.elapsed() > 2 * SECOND);
}

#[test]
fn body_is_cut_at_the_given_byte() {
    for after in 0..3 {
        let (mut world, transport) = world_with(Fault::CutBody { after });
        let error = world.run(send(&transport, get("/s"))).unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Truncated);
        let (mut world, transport) = world_with(Fault::StallBody { after });
        let runtime = world.runtime();
        assert!(world.run(runtime.timeout(SECOND, send(&transport, get("/s")))).is_none());
    }
    let (mut world, transport) = world_with(Fault::CutBody { after: 4 });
    assert_eq!(world.run(send(&transport, get("/s"))).unwrap().body(), "abc");
    let (mut world, transport) = world_with(Fault::EndEvents { after: 1 });
    assert_eq!(world.run(send(&transport, get("/s"))).unwrap().body(), "abc", "these are no events");
}

/// A client that has the head already is told of a reset at once, not left to its patience: of a body in pieces that is
/// cut, and of events that wait for more.
#[test]
fn reset_after_the_head_is_an_error() {
    for seed in 0..40 {
        let mut network = NetworkOptions::default();
        network.in_pieces = 100;
        let schedule = Schedule::new()
            .request(1, Fault::CutBody { after: 60 })
            .at(10 * SECOND, Incident::ResetConnections)
            .at(20 * SECOND, Incident::Restart { down: SECOND, memory: Memory::Kept });
        let mut world = World::builder(seed).network(network).schedule(schedule).build();
        let (transport, runtime) = (world.transport(), world.runtime());
        world.run(async {
            send(&transport, put("/s", &"x".repeat(100))).await.unwrap();
            let cut = send(&transport, get("/s")).await.unwrap_err();
            assert_eq!(cut.kind(), TransportErrorKind::Truncated);
            assert!(runtime.elapsed() < SECOND, "{:?}", runtime.elapsed());
            for reset_at in [10 * SECOND, 20 * SECOND] {
                let cut = send(&transport, get("/s?offset=-1&live=sse")).await.unwrap_err();
                assert_eq!((cut.kind(), runtime.elapsed()), (TransportErrorKind::Truncated, reset_at));
                runtime.sleep(2 * SECOND).await;
            }
        });
    }
}

#[test]
fn events_arrive_live_and_may_end_anywhere() {
    let server = ServerOptions::default();
    let whole = "event: data\ndata:abc\n\nevent: control\ndata:{\"streamNextOffset\":\"0000000000000000_0000000000000003\",\"streamCursor\":\"362880\",\"upToDate\":true}\n\n";
    let (mut world, transport) = start(World::builder(1).server(server));
    let answer = world.run(send(&transport, get("/s?offset=-1&live=sse"))).unwrap();
    assert_eq!(answer.body(), whole);
    assert!(world.elapsed() >= 60 * SECOND, "they are cut once a minute");

    let (mut world, transport) = world_with(Fault::EndEvents { after: 20 });
    let answer = world.run(send(&transport, get("/s?offset=-1&live=sse"))).unwrap();
    assert_eq!(answer.body(), &whole[..20]);

    let (mut world, transport) = start(World::builder(1));
    world.run(async {
        let tail = send(&transport, get("/s?offset=now&live=sse"));
        let write = async {
            world_sleep(&transport).await;
            send(&transport, post("/s", "def")).await.unwrap();
            send(&transport, request("POST", "/s", &[("stream-closed", "true")], "")).await.unwrap();
        };
        let (tail, ()) = futures_lite::future::zip(tail, write).await;
        let tail = tail.unwrap().into_body();
        assert!(tail.contains("data:def\n\n"), "{tail}");
        assert!(tail.ends_with("\"upToDate\":true,\"streamClosed\":true}\n\n"), "{tail}");
    });
    assert!(world.elapsed() < SECOND);
}

/// Lets a moment pass: a request's way there and back.
async fn world_sleep(transport: &SimTransport) {
    send(transport, request("HEAD", "/s", &[], "")).await.unwrap();
}

#[test]
fn long_poll_waits_for_data() {
    let (mut world, transport) = start(World::builder(2));
    let target = "/s?offset=now&live=long-poll";
    let empty = world.run(send(&transport, get(target))).unwrap();
    assert_eq!(empty.status(), 204);
    assert!(world.elapsed() > 2 * SECOND);
    world.run(async {
        let write = async {
            world_sleep(&transport).await;
            send(&transport, post("/s", "def")).await.unwrap();
        };
        let (tail, ()) = futures_lite::future::zip(send(&transport, get(target)), write).await;
        assert_eq!(tail.unwrap().body(), "def");
    });
    assert!(world.elapsed() < 3 * SECOND);
}

#[test]
fn restart_resets_connections_and_loses_the_chosen_memory() {
    for (memory, known) in [(Memory::Kept, true), (Memory::Lost, false)] {
        let restart = Incident::Restart { down: 5 * SECOND, memory };
        let (mut world, transport) = start(World::builder(2).schedule(Schedule::new().at(SECOND, restart)));
        let runtime = world.runtime();
        world.run(async {
            let cut = send(&transport, get("/s?offset=now&live=long-poll")).await.unwrap_err();
            assert_eq!(cut.kind(), TransportErrorKind::Closed);
            let refused = send(&transport, get("/s")).await.unwrap_err();
            assert_eq!(refused.kind(), TransportErrorKind::Connect);
            runtime.sleep(5 * SECOND).await;
            let answer = send(&transport, get("/s")).await.unwrap();
            assert_eq!(answer.status() == 200, known);
        });
    }
}

#[test]
fn producers_may_be_forgotten() {
    let append = || {
        let producer = [("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", "0")];
        request("POST", "/s", &[&[("content-type", "text/plain")], &producer[..]].concat(), "d")
    };
    for (memory, after) in [(Memory::Kept, "abcd"), (Memory::WithoutProducers, "abcdd")] {
        let (mut world, transport) = start(World::builder(2));
        world.run(send(&transport, append())).unwrap();
        world.server().restart(Duration::ZERO, memory);
        world.run(send(&transport, append())).unwrap();
        assert_eq!(stored(&world, "/s"), after);
    }
}

#[test]
fn blackout_delays_without_an_error() {
    let schedule = Schedule::new().at(SECOND, Incident::Partition(30 * SECOND));
    let (mut world, transport) = start(World::builder(2).schedule(schedule));
    let runtime = world.runtime();
    world.run(runtime.sleep(SECOND));
    assert_eq!(world.run(send(&transport, get("/s"))).unwrap().body(), "abc");
    assert!(world.elapsed() >= 31 * SECOND);
}

#[test]
fn stale_cache_serves_an_earlier_response() {
    let (mut world, transport) =
        start(World::builder(2).schedule(Schedule::new().request(3, Fault::StaleCache)));
    assert_eq!(world.run(send(&transport, get("/s?offset=-1"))).unwrap().body(), "abc");
    world.run(send(&transport, post("/s", "d"))).unwrap();
    assert_eq!(world.run(send(&transport, get("/s?offset=-1"))).unwrap().body(), "abc");
    assert_eq!(world.run(send(&transport, get("/s?offset=-1"))).unwrap().body(), "abcd");
}

#[test]
fn dropped_request_may_still_arrive() {
    let arrived = (0..40).filter(|seed| {
        let (mut world, transport) = start(World::builder(*seed));
        let runtime = world.runtime();
        let patience = Duration::from_micros(900);
        assert!(world.run(runtime.timeout(patience, send(&transport, post("/s", "d")))).is_none());
        assert_eq!(world.settle(SECOND), Ok(0));
        stored(&world, "/s") == "abcd"
    });
    assert!((5..35).contains(&arrived.count()));
}

#[test]
fn bodies_come_in_pieces() {
    let mut network = NetworkOptions::default();
    network.in_pieces = 100;
    let (mut world, transport) = start(World::builder(2).network(network));
    let text = "0123456789".repeat(20);
    world.run(send(&transport, post("/s", &text))).unwrap();
    world.run(async {
        let answer = transport.send(get("/s?offset=-1"), SendOptions::new()).await.unwrap();
        let mut body = answer.into_body();
        let mut pieces = Vec::new();
        while let Some(piece) = body.next_chunk().await {
            pieces.push(piece.unwrap());
        }
        assert!(pieces.len() > 1);
        assert_eq!(pieces.concat(), format!("abc{text}").into_bytes());
    });
}

#[test]
fn requests_are_recorded_and_traced() {
    let (mut world, transport) = start(World::builder(2).trace(true));
    world.run(send(&transport, post("/s", "d"))).unwrap();
    let requests = world.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[1].body, requests[1].status.unwrap().as_u16()), (1, 204));
    let trace = world.take_trace().join("\n");
    for part in
        ["request 1: POST /s, 1 bytes \"d\"", "request 1: server says 204", "request 1: client has 204"]
    {
        assert!(trace.contains(part), "{trace}");
    }
}

fn fresh() -> SendOptions {
    SendOptions::new().with_fresh_connection(true)
}

/// A world with the stream `/s` holding "abc", in which every request meets `gateway` for 10 s from the first second on.
fn world_behind(gateway: Gateway) -> (World, SimTransport) {
    let schedule = Schedule::new().at(SECOND, Incident::Gateway(gateway, 10 * SECOND));
    let (mut world, transport) = start(World::builder(3).schedule(schedule));
    assert_eq!(world.run(send(&transport, get("/s?offset=-1"))).unwrap().body(), "abc");
    let runtime = world.runtime();
    world.run(runtime.sleep(SECOND));
    (world, transport)
}

#[test]
fn portal_answers_everything_until_it_ends() {
    for (gateway, status) in [(Gateway::Portal, 200), (Gateway::Redirect, 302)] {
        let (mut world, transport) = world_behind(gateway);
        for request in [get("/s"), post("/s", "d"), put("/t", "")] {
            let answer = world.run(send(&transport, request)).unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["content-type"], "text/html");
        }
        assert_eq!(stored(&world, "/s"), "abc");
        let runtime = world.runtime();
        world.run(runtime.sleep(10 * SECOND));
        assert_eq!(world.run(send(&transport, post("/s", "d"))).unwrap().status(), 204);
    }
    let mut world = World::new(1);
    let transport = world.transport();
    let request = Request::get("http://portal.invalid/login?offset=-1").body(Bytes::new()).unwrap();
    assert_eq!(world.run(send(&transport, request)).unwrap().status(), 200);
}

#[test]
fn gateway_with_a_limit_refuses_larger_bodies_only() {
    let (mut world, transport) = world_behind(Gateway::BodyLimit { bytes: 3, status: 413 });
    assert_eq!(world.run(send(&transport, post("/s", "1234"))).unwrap().status(), 413);
    assert_eq!(world.run(send(&transport, post("/s", "123"))).unwrap().status(), 204);
    assert_eq!(stored(&world, "/s"), "abc123");
}

#[test]
fn proxy_that_drops_the_body_passes_the_head() {
    let (mut world, transport) = world_behind(Gateway::DropBody);
    for target in ["/s?offset=-1", "/s?offset=-1&live=sse"] {
        let answer = world.run(send(&transport, get(target))).unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], "0");
        assert_eq!(answer.body(), "");
    }
}

#[test]
fn wrong_cache_answers_unless_it_is_bypassed() {
    let no_cache = |target| request("GET", target, &[("cache-control", "no-cache")], "");
    let tail = "/s?offset=0000000000000000_0000000000000003";
    let (mut world, transport) = world_behind(Gateway::IgnoreQuery);
    assert_eq!(world.run(send(&transport, get(tail))).unwrap().body(), "abc");
    assert_eq!(world.run(send(&transport, no_cache(tail))).unwrap().body(), "");

    let (mut world, transport) = world_behind(Gateway::StaleNotFound);
    assert_eq!(world.run(send(&transport, get("/s"))).unwrap().status(), 404);
    assert_eq!(world.run(send(&transport, no_cache("/s"))).unwrap().status(), 200);
}

#[test]
fn connection_is_reused_until_a_fresh_one_is_asked_for() {
    let mut world = World::new(4);
    let transport = world.transport();
    world.run(async {
        for options in [SendOptions::new(), SendOptions::new(), fresh(), SendOptions::new()] {
            send_with(&transport, get("/s"), options).await.unwrap();
        }
        // Two at once need two.
        let (one, two) = (send(&transport, get("/s")), send(&transport, get("/s")));
        futures_lite::future::zip(one, two).await.0.unwrap();
        // Another client has connections of its own.
        send(&transport, Request::get("http://other/s").body(Bytes::new()).unwrap()).await.unwrap();
    });
    let used: Vec<u64> = world.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [0, 0, 1, 1, 1, 2, 3]);
    let reused: Vec<bool> = world.requests().iter().map(|request| request.is_reused).collect();
    assert_eq!(reused, [false, true, false, true, true, false, false]);
}

#[test]
fn pinned_connection_leads_to_a_broken_backend() {
    let schedule = Schedule::new().at(SECOND, Incident::PinConnections(60 * SECOND));
    let (mut world, transport) = start(World::builder(2).schedule(schedule));
    let runtime = world.runtime();
    world.run(async {
        runtime.sleep(SECOND).await;
        for _ in 0..3 {
            assert_eq!(send(&transport, get("/s")).await.unwrap().status(), 503);
        }
        assert_eq!(transport.send(get("/s"), fresh()).await.unwrap().status(), 200);
        assert_eq!(send(&transport, get("/s")).await.unwrap().status(), 200);
    });
}

#[test]
fn idle_connection_without_state_is_silent() {
    let schedule = Schedule::new().at(SECOND, Incident::SilenceIdle);
    let (mut world, transport) = start(World::builder(2).schedule(schedule));
    let runtime = world.runtime();
    world.run(async {
        runtime.sleep(SECOND).await;
        assert!(runtime.timeout(60 * SECOND, send(&transport, get("/s"))).await.is_none());
        assert_eq!(transport.send(get("/s"), fresh()).await.unwrap().status(), 200);
    });
    assert!(world.requests()[1].is_silent && !world.requests()[2].is_silent);
}

#[test]
fn slow_uplink_is_shared_and_its_progress_is_counted() {
    let mut network = NetworkOptions::default();
    network.uplink = Some(1000);
    let (mut world, transport) = start(World::builder(2).network(network));
    let runtime = world.runtime();
    let append = |size| post("/s", &"x".repeat(size));
    let progress = UploadProgress::new();
    let counted = SendOptions::new().with_upload(progress.clone());
    world.run(async {
        let both = futures_lite::future::zip(
            transport.send(append(5000), counted),
            transport.send(append(5000), SendOptions::new()),
        );
        assert!(runtime.timeout(8 * SECOND, both).await.is_none());
    });
    // They shared 8,000 bytes, in packets of 1,400 at most; neither was sent whole.
    assert!((2800..5000).contains(&progress.sent().unwrap()), "{progress:?}");
    assert_eq!(world.server().stream("/s").unwrap().data, "abc");
    world.run(async {
        runtime.sleep(20 * SECOND).await;
        assert_eq!(send(&transport, append(500)).await.unwrap().status(), 204);
    });
}

#[test]
fn retention_moves_the_start_and_refuses_offsets_before_it() {
    let (mut world, transport) = start(World::builder(2));
    world.run(async {
        send(&transport, post("/s", "def")).await.unwrap();
        world_answers(&transport, "/s?offset=-1", 200, "abcdef").await;
    });
    world.server().with(Model::drop_older_half);
    world.run(async {
        world_answers(&transport, "/s?offset=-1", 200, "def").await;
        world_answers(&transport, "/s?offset=0000000000000000_0000000000000003", 200, "def").await;
        for live in ["", "&live=long-poll", "&live=sse"] {
            let target = format!("/s?offset=0000000000000000_0000000000000002{live}");
            assert_eq!(send(&transport, get(&target)).await.unwrap().status(), 410, "{live}");
        }
    });
    world.server().with(Model::recreate_all);
    world.run(world_answers(&transport, "/s?offset=-1", 200, ""));
}

#[test]
fn server_that_lags_behind_lacks_the_last_appends() {
    let mut options = ServerOptions::default();
    options.lag = SECOND;
    let mut world = World::builder(2).server(options).build();
    let (transport, runtime) = (world.transport(), world.runtime());
    world.run(async {
        send(&transport, put("/s", "abc")).await.unwrap();
        runtime.sleep(2 * SECOND).await;
        send(&transport, post("/s", "def")).await.unwrap();
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..50 {
            lengths.insert(send(&transport, get("/s?offset=-1")).await.unwrap().body().len());
            // Behind what a server has, there is nothing yet.
            let tail = "0000000000000000_0000000000000006";
            let answer = send(&transport, get(&format!("/s?offset={tail}"))).await.unwrap();
            assert_eq!(
                (answer.headers()["stream-next-offset"].to_str().unwrap(), answer.body().len()),
                (tail, 0)
            );
        }
        assert_eq!(lengths, [3, 6].into());
        runtime.sleep(2 * SECOND).await;
        world_answers(&transport, "/s?offset=-1", 200, "abcdef").await;
    });
}

async fn world_answers(transport: &SimTransport, target: &str, status: u16, body: &str) {
    let answer = send(transport, get(target)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_str()), (status, body), "{target}");
}

#[test]
fn time_passes_while_a_task_runs_and_the_network_delivers_meanwhile() {
    for drift in [0, 50] {
        let (mut world, transport) = start(World::builder(3).drift(drift));
        let runtime = world.runtime();
        let delivered = world.run(async {
            let mut sending = std::pin::pin!(send(&transport, get("/s")));
            let waker = std::task::Waker::noop();
            let poll =
                |sending: Pin<&mut _>| Future::poll(sending, &mut Context::from_waker(waker)).is_ready();
            assert!(!poll(sending.as_mut()));
            // In one run of the task, which never waits.
            let began = runtime.elapsed();
            let delivered = (0..1000).any(|_| {
                runtime.now();
                poll(sending.as_mut())
            });
            assert_eq!(runtime.elapsed() > began, drift > 0);
            delivered
        });
        assert_eq!(delivered, drift > 0);
    }
}
