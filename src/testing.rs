//! A scripted transport, clock and executor for tests of the drivers.
//!
//! Nothing happens on its own. The test polls the spawned tasks with [`Rig::run`], looks at the requests that they sent,
//! decides when each is answered, and moves the clock. So it can place a response between any two polls.

use crate::client::{Client, ClientBuilder};
use crate::retry::RetryConfig;
use crate::stream::DurableStream;
use crate::sync::lock;
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, Executor, HeadMayBeCut, HttpTransport, SendOptions, Sleep, Task, Timer, TransportError,
    TransportErrorKind, UploadProgress,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A request that the code under test has sent.
pub(crate) struct Sent {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) is_fresh_connection: bool,
    /// The counter of its upload, if it has one. The test counts.
    pub(crate) upload: Option<UploadProgress>,
    response: Scripted,
}

enum Scripted {
    /// Not answered yet.
    None,
    /// Answered at the next poll, or after as many polls more.
    Ready {
        after_polls: u32,
        result: Result<Response<Body>, TransportError>,
    },
    Taken,
}

#[derive(Clone, Default)]
pub(crate) struct ScriptedTransport(Arc<Mutex<Vec<Sent>>>);

#[async_trait]
impl HttpTransport for ScriptedTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        options: SendOptions,
    ) -> Result<Response<Body>, TransportError> {
        let (head, _) = request.into_parts();
        let index = {
            let mut sent = lock(&self.0);
            let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let response = Scripted::None;
            sent.push(Sent {
                method: head.method,
                target,
                headers: head.headers,
                is_fresh_connection: options.is_fresh_connection(),
                upload: options.upload().cloned(),
                response,
            });
            sent.len() - 1
        };
        poll_fn(|_| {
            let response = &mut lock(&self.0)[index].response;
            match response {
                Scripted::Ready { after_polls: 0, .. } => {}
                Scripted::Ready { after_polls, .. } => {
                    *after_polls -= 1;
                    return Poll::Pending;
                }
                Scripted::None | Scripted::Taken => return Poll::Pending,
            }
            match std::mem::replace(response, Scripted::Taken) {
                Scripted::Ready { result, .. } => Poll::Ready(result),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

/// A response's body that arrives as the test says.
#[derive(Clone, Default)]
pub(crate) struct ScriptedBody(Arc<Mutex<VecDeque<BodyInput>>>);

enum BodyInput {
    Piece(Bytes),
    End,
    Broken,
}

impl ScriptedBody {
    /// A piece arrives at the next poll.
    pub(crate) fn push(&self, piece: impl AsRef<[u8]>) {
        lock(&self.0).push_back(BodyInput::Piece(Bytes::copy_from_slice(piece.as_ref())));
    }

    /// The body is complete.
    pub(crate) fn end(&self) {
        lock(&self.0).push_back(BodyInput::End);
    }

    /// The body breaks off with a closed connection.
    pub(crate) fn break_off(&self) {
        lock(&self.0).push_back(BodyInput::Broken);
    }
}

/// A clock that only the test moves, and tasks that only the test polls.
#[derive(Clone)]
pub(crate) struct ManualRuntime {
    now: Arc<Mutex<Instant>>,
    tasks: Arc<Mutex<Vec<Task>>>,
    /// What the sleeps that were polled wake, and when.
    timers: Arc<Mutex<Vec<(Instant, Waker)>>>,
}

impl Executor for ManualRuntime {
    fn spawn(&self, task: Task) {
        lock(&self.tasks).push(task);
    }

    fn random(&self) -> u64 {
        u64::MAX / 2
    }
}

impl Timer for ManualRuntime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let (runtime, due) = (self.clone(), self.now() + duration);
        Sleep::new(poll_fn(move |cx| {
            if runtime.now() >= due {
                return Poll::Ready(());
            }
            lock(&runtime.timers).push((due, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn now(&self) -> Instant {
        *lock(&self.now)
    }
}

pub(crate) type ScriptedStream = DurableStream<ScriptedTransport, ManualRuntime>;

/// The code under test, with everything that it touches.
pub(crate) struct Rig {
    transport: ScriptedTransport,
    runtime: ManualRuntime,
    client: Client<ScriptedTransport, ManualRuntime>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let transport = ScriptedTransport::default();
        let runtime = ManualRuntime {
            now: Arc::new(Mutex::new(Instant::now())),
            tasks: Arc::default(),
            timers: Arc::default(),
        };
        let client = ClientBuilder::new(transport.clone(), runtime.clone())
            .base_url("http://server")
            .header_timeout(Duration::from_secs(3600))
            .retry_config(RetryConfig::default())
            .build()
            .unwrap();
        Self { transport, runtime, client }
    }

    pub(crate) fn client(&self) -> &Client<ScriptedTransport, ManualRuntime> {
        &self.client
    }

    pub(crate) fn transport(&self) -> ScriptedTransport {
        self.transport.clone()
    }

    pub(crate) fn runtime(&self) -> ManualRuntime {
        self.runtime.clone()
    }

    pub(crate) fn stream(&self) -> ScriptedStream {
        self.client.stream("s")
    }

    /// Polls the spawned tasks until they neither send a request nor finish.
    pub(crate) fn run(&self) {
        loop {
            let before = self.sent();
            let tasks = std::mem::take(&mut *lock(&self.runtime.tasks));
            let mut pending: Vec<Task> = tasks
                .into_iter()
                .filter_map(|mut task| poll_once(&mut task).is_none().then_some(task))
                .collect();
            lock(&self.runtime.tasks).append(&mut pending);
            if self.sent() == before {
                return;
            }
        }
    }

    /// Lets time pass, and fires the timers that are due then.
    pub(crate) fn advance(&self, duration: Duration) {
        let now = {
            let mut now = lock(&self.runtime.now);
            *now += duration;
            *now
        };
        let due: Vec<_> = lock(&self.runtime.timers).extract_if(.., |(due, _)| *due <= now).collect();
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The number of requests so far.
    pub(crate) fn sent(&self) -> usize {
        lock(&self.transport.0).len()
    }

    /// The methods of all requests so far.
    pub(crate) fn methods(&self) -> Vec<Method> {
        lock(&self.transport.0).iter().map(|sent| sent.method.clone()).collect()
    }

    pub(crate) fn request<O>(&self, index: usize, look: impl FnOnce(&Sent) -> O) -> O {
        look(&lock(&self.transport.0)[index])
    }

    /// Answers request `index` with `status` and these headers, at its next poll.
    pub(crate) fn respond(&self, index: usize, status: u16, headers: &[(&'static str, &str)]) {
        self.script(index, 0, status, headers, Body::empty());
    }

    /// Answers request `index` with a head, at its next poll. The body is empty until the test fills it.
    pub(crate) fn respond_with_body(
        &self,
        index: usize,
        status: u16,
        headers: &[(&'static str, &str)],
    ) -> ScriptedBody {
        let body = ScriptedBody::default();
        let pieces = body.0.clone();
        let stream = futures_lite::stream::poll_fn(move |_| match lock(&pieces).pop_front() {
            Some(BodyInput::Piece(piece)) => Poll::Ready(Some(Ok(piece))),
            Some(BodyInput::End) => Poll::Ready(None),
            Some(BodyInput::Broken) => {
                Poll::Ready(Some(Err(TransportError::new(TransportErrorKind::Closed))))
            }
            None => Poll::Pending,
        });
        self.script(index, 0, status, headers, Body::from_stream(stream));
        body
    }

    /// As [`respond`](Self::respond), one poll later.
    pub(crate) fn respond_at_second_poll(&self, index: usize, status: u16, headers: &[(&'static str, &str)]) {
        self.script(index, 1, status, headers, Body::empty());
    }

    /// As [`respond`](Self::respond), with a head that may have been cut.
    pub(crate) fn respond_with_cut_head(&self, index: usize, status: u16, headers: &[(&'static str, &str)]) {
        self.script(index, 0, status, headers, Body::empty());
        if let Scripted::Ready { result: Ok(response), .. } = &mut lock(&self.transport.0)[index].response {
            response.extensions_mut().insert(HeadMayBeCut);
        }
    }

    /// Fails request `index` with a closed connection.
    pub(crate) fn break_connection(&self, index: usize) {
        self.fail(index, TransportErrorKind::Closed);
    }

    /// Fails request `index` with an error of this kind.
    pub(crate) fn fail(&self, index: usize, kind: TransportErrorKind) {
        let result = Err(TransportError::new(kind));
        lock(&self.transport.0)[index].response = Scripted::Ready { after_polls: 0, result };
    }

    fn script(
        &self,
        index: usize,
        after_polls: u32,
        status: u16,
        headers: &[(&'static str, &str)],
        body: Body,
    ) {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        let sent = &mut lock(&self.transport.0)[index];
        assert!(matches!(sent.response, Scripted::None), "request {index} has a response already");
        sent.response = Scripted::Ready { after_polls, result: Ok(response) };
    }
}

/// The output of `future`, if one poll is enough.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
