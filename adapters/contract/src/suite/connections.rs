//! Which connection a request takes, and what becomes of it.

use super::limit::Limit;
use super::server::{Server, Then, lock};
use super::stack::{CheckResult, Stack, Transport, drop_after, ensure, get, post, sound};
use crate::{SendOptions, Timer, UploadProgress};
use futures_lite::future::{or, poll_once, zip};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Deadline of a step that has nothing to wait for, and of one that waits until it is dropped.
const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(50);

fn fresh() -> SendOptions {
    SendOptions::new().with_fresh_connection(true)
}

/// A connection that was returned may be the cause of a failure, and so may its server.
pub(crate) async fn fresh_connection_is_a_new_one(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for method in ["GET", "POST"] {
        transport.fetch(get(server.url("/before"))?).await?;
        let before = server.connections();
        let url = server.url("/fresh");
        let request = if method == "GET" { get(url)? } else { post(url, "record")? };
        let response = transport.send_as(request, fresh(), SOON).await?;
        transport.read(response.into_body()).await?.map_err(|error| error.to_string())?;
        let opened = server.connections() - before;
        let expected = usize::from(!stack.is_limited(Limit::NoFreshConnection));
        ensure!(opened >= expected, "a {method} that asks for a fresh connection was sent on an idle one");
    }
    Ok(())
}

/// A server that answers two requests for `/pair` together, so that they take two connections, and never one for `/silent`.
fn pairing_server() -> Result<Server, String> {
    let arrived = Mutex::new(0);
    Server::start(move |received, connection| {
        if received.is("/silent") {
            // Until the client closes the connection.
            connection.closes_within(LONG)?;
            return Ok(Then::Close);
        }
        if received.is("/pair") {
            *lock(&arrived) += 1;
            let start = Instant::now();
            while *lock(&arrived) < 2 && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        sound(received, connection)
    })
    .map_err(|error| error.to_string())
}

/// Leaves two idle connections, where the library keeps any.
async fn leave_two_idle(transport: &Transport, server: &Server) -> CheckResult {
    let pair = (get(server.url("/pair"))?, get(server.url("/pair"))?);
    let (first, second) = zip(transport.fetch(pair.0), transport.fetch(pair.1)).await;
    first?;
    second?;
    Ok(())
}

/// What was idle before is not used later either: it may lead to the same server.
pub(crate) async fn fresh_connection_discards_the_idle_ones(stack: Arc<Stack>) -> CheckResult {
    let server = pairing_server()?;
    let transport = stack.transport();
    leave_two_idle(&transport, &server).await?;
    let idle = server.connections();
    let response = transport.send_as(get(server.url("/fresh"))?, fresh(), SOON).await?;
    transport.read(response.into_body()).await?.map_err(|error| error.to_string())?;
    if stack.is_limited(Limit::NoFreshConnection) {
        return Ok(());
    }
    stack.until("the idle connections are closed", || server.gone() >= idle).await
}

/// Keeps connections open that it no longer answers: what a NAT or a firewall leaves behind when it loses their state.
struct FadingServer {
    server: Server,
    /// The connections that get no more answers.
    dead: Arc<Mutex<HashSet<SocketAddr>>>,
    idle: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl FadingServer {
    /// Requests for `/warm` are answered when `pool` of them have arrived, so that they take as many connections.
    fn start(pool: usize) -> Result<Self, String> {
        let (dead, idle) = (Arc::<Mutex<HashSet<_>>>::default(), Arc::<Mutex<HashSet<_>>>::default());
        let (now_dead, now_idle) = (Arc::clone(&dead), Arc::clone(&idle));
        let server = Server::start(move |received, connection| {
            let peer = connection.peer()?;
            if lock(&now_dead).contains(&peer) {
                connection.closes_within(LONG)?;
                return Ok(Then::Close);
            }
            if received.is("/warm") {
                lock(&now_idle).insert(peer);
                let start = Instant::now();
                while lock(&now_idle).len() < pool && start.elapsed() < Duration::from_secs(5) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            sound(received, connection)
        });
        Ok(Self { server: server.map_err(|error| error.to_string())?, dead, idle })
    }

    /// No connection that exists now gets another answer.
    fn fade(&self) {
        let idle = lock(&self.idle).clone();
        lock(&self.dead).extend(idle);
    }
}

/// One request that was given up is enough to know: the other dead connections must not cost a deadline each.
pub(crate) async fn dead_idle_connections_cost_one_request(stack: Arc<Stack>) -> CheckResult {
    const POOL: usize = 4;
    const GIVEN_UP: Duration = Duration::from_millis(300);
    let fading = FadingServer::start(POOL)?;
    let server = &fading.server;
    let transport = stack.transport();
    let url = server.url("/warm");
    let warm = || async { transport.fetch(get(&url)?).await.map(drop) };
    let ((a, b), (c, d)) = zip(zip(warm(), warm()), zip(warm(), warm())).await;
    a.and(b).and(c).and(d)?;
    fading.fade();
    let attempt = |path: &str, options: SendOptions| {
        let request = get(server.url(path));
        let transport = &transport;
        async move { transport.send_as(request?, options, SOON).await }
    };
    let first = attempt("/first", SendOptions::new());
    if stack.is_limited(Limit::NoReuse) {
        first.await?;
    } else {
        let first = drop_after(stack.runtime(), GIVEN_UP, first).await;
        ensure!(first.is_none(), "an idle connection that is dead answered, or was not used");
    }
    if stack.is_limited(Limit::NoFreshConnection) {
        let mut given_up = 1;
        while drop_after(stack.runtime(), GIVEN_UP, attempt("/second", fresh())).await.transpose()?.is_none()
        {
            given_up += 1;
            ensure!(given_up <= POOL, "{given_up} requests on {POOL} dead connections got no answer");
        }
    } else {
        attempt("/second", fresh()).await?;
    }
    // Not on the dead ones that are left, either.
    for _ in 0..POOL {
        attempt("/later", SendOptions::new()).await?;
    }
    Ok(())
}

/// A dropped request says nothing about other connections.
pub(crate) async fn dropped_request_keeps_the_idle_connections(stack: Arc<Stack>) -> CheckResult {
    let server = pairing_server()?;
    let transport = stack.transport();
    leave_two_idle(&transport, &server).await?;
    // It takes one of them, and is dropped.
    let request = transport.send_as(get(server.url("/silent"))?, SendOptions::new().with_live(true), LONG);
    let arrives = stack.until("the silent request arrives", || !server.seen_at("/silent").is_empty());
    or(async { request.await.map(drop) }, arrives).await?;
    let before = server.connections();
    transport.fetch(get(server.url("/later"))?).await?;
    let opened = server.connections() - before;
    let allowed = usize::from(stack.is_limited(Limit::NoReuse));
    ensure!(opened <= allowed, "after a dropped request, the next one opened {opened} connections");
    Ok(())
}

/// A response that was not asked for arrives while the connection is idle, before the next request is sent.
pub(crate) async fn stray_response_is_not_taken_for_an_answer(stack: Arc<Stack>) -> CheckResult {
    let strays = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&strays);
    let server = Server::start(move |received, connection| {
        connection.ok("right")?;
        if received.is("/stray") {
            // When the client has read its response, and the connection is idle.
            std::thread::sleep(Duration::from_millis(20));
            // The client may have closed the connection: it keeps none.
            let _ = connection.ok("stray");
            sent.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for turn in 1..=10 {
        transport.fetch(get(server.url("/stray"))?).await?;
        stack.until("the stray response is sent", || strays.load(Ordering::Acquire) == turn).await?;
        // On its way through the loopback interface.
        stack.runtime().sleep(Duration::from_millis(2)).await;
        let answer = transport.fetch(get(server.url(&format!("/{turn}")))?).await?;
        ensure!(answer.body == b"right", "turn {turn}: a stray response was taken for the answer");
    }
    Ok(())
}

/// Requests that are given up must not hold connections.
pub(crate) async fn abandoned_requests_leave_no_connection(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        if received.is("/silent") {
            connection.closes_within(LONG)?;
            return Ok(Then::Close);
        }
        sound(received, connection)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    const REQUESTS: usize = 100;
    let requests: Result<Vec<_>, String> = (0..REQUESTS)
        .map(|_| {
            let request = get(server.url("/silent"))?;
            Ok(Box::pin(transport.send_as(request, SendOptions::new(), LONG)))
        })
        .collect();
    let mut requests = requests?;
    let arrived = || server.seen_at("/silent").len() >= REQUESTS;
    let start = Instant::now();
    while !arrived() {
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "{} requests arrived",
            server.seen_at("/silent").len()
        );
        for request in &mut requests {
            let early = poll_once(request.as_mut()).await;
            ensure!(
                early.is_none(),
                "a request without a response ended: {:?}",
                early.map(|end| end.is_ok())
            );
        }
        stack.runtime().sleep(Duration::from_millis(5)).await;
    }
    drop(requests);
    stack.until("the connections are closed", || server.gone() >= REQUESTS).await?;
    let answer = transport.fetch(get(server.url("/after"))?).await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    Ok(())
}

/// A client whose requests time out one after the other, while another request of it is open.
pub(crate) async fn requests_given_up_in_turn_leave_no_connection(stack: Arc<Stack>) -> CheckResult {
    const REQUESTS: usize = 30;
    /// The open request, and the one that was given up last.
    const OPEN: usize = 2;
    let server = Server::start(|received, connection| {
        if received.is("/open") || received.is("/silent") {
            connection.closes_within(LONG)?;
            return Ok(Then::Close);
        }
        sound(received, connection)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let given_up = async {
        stack.until("the open request arrives", || !server.seen_at("/open").is_empty()).await?;
        for turn in 1..=REQUESTS {
            let request = transport.try_send(get(server.url("/silent"))?, SendOptions::new(), LONG);
            let arrives = async {
                stack
                    .until("the silent request arrives", || server.seen_at("/silent").len() >= turn)
                    .await
                    .map(|()| None)
            };
            let answer = or(async { request.await.map(Some) }, arrives).await?;
            ensure!(answer.is_none(), "a request without a response ended: {answer:?}");
        }
        let open = || server.connections() - server.gone();
        stack.until("the connections are closed", || open() <= OPEN).await
    };
    let open = async {
        let end = transport.try_send(get(server.url("/open"))?, SendOptions::new(), LONG).await?;
        Err(format!("the open request ended: {end:?}"))
    };
    or(open, given_up).await?;
    transport.is_sound(&server, "requests that were given up").await
}

/// Where a transport counts, it counts the body alone, and all of it.
pub(crate) async fn upload_progress_is_the_size_of_the_body(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| connection.ok(received.body.len().to_string()))
        .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let mut seen = HashSet::new();
    for size in [0, 1, 1000, 300_000] {
        let progress = UploadProgress::new();
        let options = SendOptions::new().with_upload(progress.clone());
        let response = transport.send_as(post(server.url("/"), vec![b'x'; size])?, options, SOON).await?;
        let body = transport.read(response.into_body()).await?.map_err(|error| error.to_string())?;
        ensure!(body == size.to_string().as_bytes(), "the server received {body:?} bytes, not {size}");
        let counted = progress.sent();
        ensure!(
            counted.is_none_or(|counted| counted == size as u64),
            "{size} bytes were counted as {counted:?}"
        );
        seen.insert(counted.is_some());
    }
    ensure!(seen.len() == 1, "some uploads are counted, and some are not");
    Ok(())
}
