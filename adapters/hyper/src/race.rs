//! Which of a host's addresses answers first: RFC 8305, "Happy Eyeballs".

use crate::byte_stream::ByteStream;
use crate::connect::Connect;
use durable_streams_contract::{Sleep, Timer, TransportError, TransportErrorKind};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an attempt has for itself before the next one starts beside it (RFC 8305, section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<ByteStream, TransportError>> + Send + 'a>>;

/// The first connection that succeeds. An attempt that fails starts the next one at once.
pub(crate) async fn connect_first(
    connect: &dyn Connect,
    timer: &dyn Timer,
    addresses: Vec<SocketAddr>,
) -> Result<ByteStream, TransportError> {
    let mut race = Race {
        connect,
        timer,
        waiting: interleave(addresses),
        running: Vec::new(),
        next_at: None,
        failed: None,
    };
    poll_fn(|cx| race.poll(cx)).await
}

struct Race<'a> {
    connect: &'a dyn Connect,
    timer: &'a dyn Timer,
    waiting: VecDeque<SocketAddr>,
    running: Vec<Attempt<'a>>,
    /// When the next attempt starts beside those that are running.
    next_at: Option<Sleep>,
    failed: Option<TransportError>,
}

impl Race<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ByteStream, TransportError>> {
        loop {
            let mut index = 0;
            while index < self.running.len() {
                match self.running[index].as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        drop(self.running.swap_remove(index));
                        self.failed = Some(error);
                        self.next_at = None;
                    }
                }
            }
            if self.next_at.as_mut().is_some_and(|next_at| Pin::new(next_at).poll(cx).is_pending()) {
                return Poll::Pending;
            }
            match self.waiting.pop_front() {
                Some(address) => {
                    self.running.push(self.connect.connect(address));
                    self.next_at = (!self.waiting.is_empty()).then(|| self.timer.sleep(ATTEMPT_DELAY));
                }
                None if self.running.is_empty() => {
                    return Poll::Ready(Err(self.failed.take().unwrap_or_else(|| {
                        TransportError::new(TransportErrorKind::Dns).with_message("the name has no address")
                    })));
                }
                None => return Poll::Pending,
            }
        }
    }
}

/// The families in turn, each in the resolver's order, beginning with the family of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = VecDeque::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}
