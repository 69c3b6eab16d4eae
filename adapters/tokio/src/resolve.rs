//! The addresses of a name, in an order in which a silent one does not hold up the others.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves names, and puts their addresses in order.
pub(crate) struct Resolver<L> {
    lookup: L,
    /// How many clients there were before. Each begins with another address: it was built because the one before failed.
    turn: usize,
}

/// The resolver of the operating system.
pub(crate) fn system(turn: usize) -> Resolver<impl Fn(String) -> Addresses + Send + Sync> {
    let lookup = |host: String| -> Addresses {
        // reqwest sets the port.
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    };
    Resolver { lookup, turn }
}

impl<L: Fn(String) -> Addresses + Send + Sync> Resolve for Resolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = (self.lookup)(name.as_str().to_owned());
        let turn = self.turn;
        Box::pin(async move {
            let addresses: Addrs = Box::new(in_order(addresses.await?, turn).into_iter());
            Ok(addresses)
        })
    }
}

/// Both families, each from its `turn`th address on; first the family that the resolver prefers.
///
/// hyper-util tries the addresses of one family one after the other, and gives each an equal part of the connect timeout. Only the
/// families race: the second starts 300 ms after the first. So where there are IPv4 addresses alone, they are there a second time
/// in their IPv6 form (RFC 4291, section 2.5.5.2), from the second one on. The operating system connects both forms over IPv4.
fn in_order(addresses: Vec<SocketAddr>, turn: usize) -> VecDeque<SocketAddr> {
    let prefers_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_v6);
    for family in [&mut first, &mut second] {
        family.rotate_left(turn.checked_rem(family.len()).unwrap_or_default());
    }
    if second.is_empty() && first.len() > 1 {
        second = first.iter().filter_map(|address| mapped(*address)).collect();
        // One family of IPv6 has no second form.
        second.rotate_left(usize::from(!second.is_empty()));
    }
    first.extend(second);
    first
}

/// The IPv6 form of an IPv4 address.
fn mapped(address: SocketAddr) -> Option<SocketAddr> {
    match address {
        SocketAddr::V4(address) => Some((address.ip().to_ipv6_mapped(), address.port()).into()),
        SocketAddr::V6(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    use std::time::{Duration, Instant};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::time::timeout;

    fn v4(host: u8) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, host), 80).into()
    }

    fn v6(host: u16) -> SocketAddr {
        (Ipv6Addr::from_segments([0, 0, 0, 0, 0, 0, 1, host]), 80).into()
    }

    fn mapped(host: u8) -> SocketAddr {
        super::mapped(v4(host)).unwrap()
    }

    #[test]
    fn one_address_stays_alone() {
        assert_eq!(in_order(vec![v4(1)], 1), [v4(1)]);
        assert_eq!(in_order(Vec::new(), 1), []);
    }

    #[test]
    fn ipv4_addresses_race_in_their_ipv6_form_from_the_second_on() {
        assert_eq!(in_order(vec![v4(1), v4(2)], 0), [v4(1), v4(2), mapped(2), mapped(1)]);
    }

    #[test]
    fn families_race_as_they_are() {
        assert_eq!(in_order(vec![v6(1), v4(1), v4(2)], 0), [v6(1), v4(1), v4(2)]);
        assert_eq!(in_order(vec![v6(1), v6(2)], 0), [v6(1), v6(2)]);
    }

    #[test]
    fn each_turn_begins_with_the_next_address_of_each_family() {
        assert_eq!(in_order(vec![v4(1), v4(2)], 3), [v4(2), v4(1), mapped(1), mapped(2)]);
        assert_eq!(in_order(vec![v6(1), v4(1), v6(2), v4(2)], 1), [v6(2), v6(1), v4(2), v4(1)]);
    }

    /// An address that does not answer a SYN: its listener's queue is full.
    async fn silent(address: SocketAddr) -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (listener, queued)
    }

    #[test]
    fn second_address_is_used_soon_when_the_first_is_silent() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 1000];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            // Without IPv6 in the operating system there is nothing to race.
            if TcpSocket::new_v6().is_err() {
                return;
            }
            let _silent = silent((Ipv4Addr::new(127, 0, 0, 2), port).into()).await;
            let lookup = |_| -> Addresses { Box::pin(async { Ok(vec![v4(2), v4(1)]) }) };
            let client = reqwest::Client::builder()
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .dns_resolver(Resolver { lookup, turn: 0 })
                .build()
                .unwrap();
            let start = Instant::now();
            let response = client.get(format!("http://two-addresses.test:{port}/")).send().await.unwrap();
            assert_eq!(response.status(), 200);
            let took = start.elapsed();
            assert!(took > Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
        });
    }
}
