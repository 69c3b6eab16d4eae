//! A scripted transport and clock: a test decides what arrives, in which order, and when.

use crate::client::ClientBuilder;
use crate::reader::builder::ReaderBuilder;
use crate::sync::lock;
use bytes::Bytes;
use durable_streams_contract::{
    Body, Executor, HttpTransport, SendOptions, Sleep, Task, Timer, TransportError, TransportErrorKind,
    async_trait,
};
use http::{Request, Response, StatusCode};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The world around one reader. Clones share it.
#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<World>>);

struct World {
    now: Instant,
    /// Requests that the test has not looked at yet: path and query.
    requests: VecDeque<String>,
    /// Responses that no request has taken yet.
    responses: VecDeque<Result<Response<Body>, TransportError>>,
    /// Pieces of the body that the test writes to. An empty piece is its end.
    body: VecDeque<Result<Bytes, TransportError>>,
}

impl Script {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            now: Instant::now(),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            body: VecDeque::new(),
        })))
    }

    /// A reader of the stream `s` in this world.
    pub(super) fn reader(&self) -> ReaderBuilder<Self, Self> {
        let client = ClientBuilder::new(self.clone(), self.clone()).base_url("http://host").build().unwrap();
        client.stream("s").reader()
    }

    /// The next request that was sent, as path and query.
    pub(super) fn request(&self) -> Option<String> {
        lock(&self.0).requests.pop_front()
    }

    /// Responds to a request with a head; the body comes from [`push`](Self::push).
    pub(super) fn respond(&self, status: u16, fields: &[(&str, &str)]) {
        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let world = self.0.clone();
        let pieces = futures_lite::stream::poll_fn(move |_| match lock(&world).body.pop_front() {
            None => Poll::Pending,
            Some(Ok(piece)) if piece.is_empty() => Poll::Ready(None),
            Some(piece) => Poll::Ready(Some(piece)),
        });
        let response = response.body(Body::from_stream(pieces)).unwrap();
        lock(&self.0).responses.push_back(Ok(response));
    }

    /// Responds with a whole page of text.
    pub(super) fn respond_with(&self, status: u16, fields: &[(&str, &str)], body: &'static str) {
        self.respond(status, fields);
        if !body.is_empty() {
            self.push(body);
        }
        self.push("");
    }

    /// A piece of the response's body. An empty one ends the body.
    pub(super) fn push(&self, piece: &'static (impl AsRef<[u8]> + ?Sized)) {
        lock(&self.0).body.push_back(Ok(Bytes::from_static(piece.as_ref())));
    }

    /// Ends the response's body with a broken connection.
    pub(super) fn break_body(&self) {
        lock(&self.0).body.push_back(Err(TransportError::new(TransportErrorKind::Closed)));
    }

    /// Moves the clock. Whatever waits for it has to be polled again.
    pub(super) fn advance(&self, time: Duration) {
        lock(&self.0).now += time;
    }

    /// Polls once.
    pub(super) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }
}

#[async_trait]
impl HttpTransport for Script {
    async fn send(&self, request: Request<Bytes>, _: SendOptions) -> Result<Response<Body>, TransportError> {
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        lock(&self.0).requests.push_back(target);
        poll_fn(|_| match lock(&self.0).responses.pop_front() {
            None => Poll::Pending,
            Some(response) => Poll::Ready(response),
        })
        .await
    }
}

impl Timer for Script {
    fn sleep(&self, duration: Duration) -> Sleep {
        let world = self.0.clone();
        let until = lock(&world).now.checked_add(duration);
        Sleep::new(poll_fn(move |_| match until {
            Some(until) if lock(&world).now >= until => Poll::Ready(()),
            _ => Poll::Pending,
        }))
    }

    fn now(&self) -> Instant {
        lock(&self.0).now
    }
}

impl Executor for Script {
    fn spawn(&self, task: Task) {
        // No test reads ahead: a task that never runs would hide that.
        panic!("{task:?} has nowhere to run");
    }

    fn random(&self) -> u64 {
        7
    }
}
