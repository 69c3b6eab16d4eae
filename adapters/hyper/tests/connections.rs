//! The pool's rules, addresses that fail, and proxies: what the contract's suite cannot ask.
#![cfg(feature = "async-io")]
#![allow(clippy::unwrap_used)]

mod support;

use durable_streams_contract::{
    HttpTransport, SendOptions, Sent, TransportError, TransportErrorKind, UploadProgress, async_trait,
};
use durable_streams_hyper::{AsyncIoConnect, ByteStream, Connect, HyperTransport, PoolLimits};
use durable_streams_smol::SmolRuntime;
use futures_lite::future::{block_on, zip};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{builder, fetch, get, options, post, until};

/// A server that answers every request with the number of its connection, from 0.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let server = Self { port, connections: connections.clone(), open: open.clone() };
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let number = connections.fetch_add(1, Ordering::AcqRel);
                let open = open.clone();
                open.fetch_add(1, Ordering::AcqRel);
                std::thread::spawn(move || {
                    // The client has gone.
                    let _ = answer(stream, number);
                    open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

fn answer(stream: TcpStream, number: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let body = number.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        reader.get_mut().write_all(head.as_bytes())?;
    }
}

#[test]
fn connection_that_was_idle_for_too_long_is_not_used() {
    let server = Server::start();
    let limits = PoolLimits::default().with_idle_time(Duration::from_millis(20));
    let transport = builder().pool_limits(limits).build().unwrap();
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "0");
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "0");
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "1");
}

#[test]
fn connection_that_is_too_old_takes_no_more_requests() {
    let server = Server::start();
    let limits = PoolLimits::default().with_max_age(Duration::from_millis(20));
    let transport = builder().pool_limits(limits).build().unwrap();
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "0");
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "1");
}

#[test]
fn pool_keeps_no_more_than_its_limit() {
    let server = Server::start();
    let transport = builder().pool_limits(PoolLimits::default().with_max_idle(2)).build().unwrap();
    let responses: Vec<_> =
        (0..5).map(|_| block_on(transport.send(get(&server.url()), SendOptions::new())).unwrap()).collect();
    assert_eq!(server.connections(), 5);
    for response in responses {
        block_on(support::read(response.into_body())).unwrap();
    }
    until("three connections are closed", || server.open.load(Ordering::Acquire) == 2);
}

#[test]
fn return_of_a_connection_closes_those_that_have_expired() {
    let (first, second) = (Server::start(), Server::start());
    let limits = PoolLimits::default().with_idle_time(Duration::from_millis(20));
    let transport = builder().pool_limits(limits).build().unwrap();
    block_on(fetch(&transport, get(&first.url()))).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    block_on(fetch(&transport, get(&second.url()))).unwrap();
    until("the other origin's connection is closed", || first.open.load(Ordering::Acquire) == 0);
}

#[test]
fn connection_that_was_open_before_a_fresh_one_does_not_come_back() {
    let server = Server::start();
    let transport = builder().build().unwrap();
    let before = block_on(transport.send(get(&server.url()), SendOptions::new())).unwrap();
    assert_eq!(block_on(support::fetch_as(&transport, get(&server.url()), support::fresh())).unwrap(), "1");
    assert_eq!(block_on(support::read(before.into_body())).unwrap(), b"0");
    assert_eq!(block_on(fetch(&transport, get(&server.url()))).unwrap(), "1");
    until("the first connection is closed", || server.open.load(Ordering::Acquire) == 1);
}

#[test]
fn upload_progress_is_counted_on_new_and_on_reused_connections() {
    let server = Server::start();
    let transport = builder().build().unwrap();
    for size in [1, 300_000] {
        let progress = UploadProgress::new();
        let upload = SendOptions::new().with_upload(progress.clone());
        block_on(support::fetch_as(&transport, post(&server.url(), vec![b'x'; size]), upload)).unwrap();
        assert_eq!(progress.sent(), Some(size as u64));
    }
    assert_eq!(server.connections(), 1);
}

/// Resolves every name to these addresses; those in `silent` never answer.
#[derive(Clone)]
struct Addresses {
    addresses: Vec<SocketAddr>,
    silent: Vec<SocketAddr>,
    tried: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Addresses {
    fn new(addresses: &[SocketAddr], silent: &[SocketAddr]) -> Self {
        Self { addresses: addresses.to_vec(), silent: silent.to_vec(), tried: Arc::default() }
    }

    fn transport(&self) -> HyperTransport<Self, SmolRuntime> {
        HyperTransport::new(self.clone(), SmolRuntime::new(), &options(Duration::from_secs(5))).unwrap()
    }

    fn tried(&self) -> Vec<SocketAddr> {
        self.tried.lock().unwrap().clone()
    }
}

#[async_trait]
impl Connect for Addresses {
    async fn resolve(&self, _host: &str, _port: u16) -> Result<Vec<SocketAddr>, TransportError> {
        Ok(self.addresses.clone())
    }

    async fn connect(&self, address: SocketAddr) -> Result<ByteStream, TransportError> {
        self.tried.lock().unwrap().push(address);
        if self.silent.contains(&address) {
            std::future::pending::<()>().await;
        }
        AsyncIoConnect::new().connect(address).await
    }
}

fn v4(host: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, host), port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

/// A port without a listener.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn second_address_is_used_soon_when_the_first_is_silent() {
    let server = Server::start();
    let silent = v6(server.port);
    let connect = Addresses::new(&[silent, v4(1, server.port)], &[silent]);
    let start = Instant::now();
    assert_eq!(block_on(fetch(&connect.transport(), get("http://name/"))).unwrap(), "0");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn second_address_is_used_at_once_when_the_first_refuses() {
    let server = Server::start();
    let connect = Addresses::new(&[v4(1, closed_port()), v4(1, server.port)], &[]);
    let start = Instant::now();
    assert_eq!(block_on(fetch(&connect.transport(), get("http://name/"))).unwrap(), "0");
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn address_families_are_tried_in_turn() {
    let port = closed_port();
    let (a, b, c, d) = (v6(port), v4(1, port), v4(2, port), v6(1));
    let connect = Addresses::new(&[a, d, b, c], &[]);
    let error = block_on(fetch(&connect.transport(), get("http://name/"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
    assert_eq!(connect.tried(), [a, b, d, c]);
}

#[test]
fn addresses_that_are_all_silent_end_with_the_connect_timeout() {
    let silent = [v4(1, 1), v4(2, 1), v4(3, 1)];
    let connect = Addresses::new(&silent, &silent);
    let transport =
        HyperTransport::new(connect.clone(), SmolRuntime::new(), &options(Duration::from_millis(800)));
    let error = block_on(fetch(&transport.unwrap(), get("http://name/"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error:?}");
    assert_eq!(connect.tried(), silent);
}

#[test]
fn name_without_an_address_is_a_dns_error() {
    let connect = Addresses::new(&[], &[]);
    let error = block_on(fetch(&connect.transport(), get("http://name/"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Dns, Sent::No), "{error:?}");
}

#[test]
fn name_is_resolved_again_for_each_new_connection() {
    let (first, second) = (Server::start(), Server::start());
    let moving = Arc::new(Mutex::new(v4(1, first.port)));
    #[derive(Clone)]
    struct Moving(Arc<Mutex<SocketAddr>>);
    #[async_trait]
    impl Connect for Moving {
        async fn resolve(&self, _host: &str, _port: u16) -> Result<Vec<SocketAddr>, TransportError> {
            Ok(vec![*self.0.lock().unwrap()])
        }
        async fn connect(&self, address: SocketAddr) -> Result<ByteStream, TransportError> {
            AsyncIoConnect::new().connect(address).await
        }
    }
    let transport =
        HyperTransport::new(Moving(moving.clone()), SmolRuntime::new(), &options(Duration::from_secs(5)))
            .unwrap();
    block_on(fetch(&transport, get("http://name/"))).unwrap();
    *moving.lock().unwrap() = v4(1, second.port);
    block_on(support::fetch_as(&transport, get("http://name/"), support::fresh())).unwrap();
    assert_eq!((first.connections(), second.connections()), (1, 1));
}

#[test]
fn concurrent_requests_have_connections_of_their_own() {
    let server = Server::start();
    let transport = builder().build().unwrap();
    let (first, second) = block_on(zip(
        transport.send(get(&server.url()), SendOptions::new()),
        transport.send(post(&server.url(), "record"), SendOptions::new()),
    ));
    assert_eq!(server.connections(), 2);
    drop((first, second));
}
