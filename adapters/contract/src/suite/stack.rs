use super::limit::Limit;
use super::server::Server;
use crate::{
    AnyRuntime, AnyTransport, Body, Executor, HttpTransport, Runtime, SendOptions, Task, Timer,
    TransportError,
};
use bytes::Bytes;
use futures_lite::future::{or, poll_once};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// What a check found: nothing, or what is wrong.
pub(crate) type CheckResult = Result<(), String>;

/// A check: its name and its function.
pub(crate) type Check = (&'static str, fn(Arc<Stack>) -> Pin<Box<dyn Future<Output = CheckResult> + Send>>);

/// No check takes this long, unless it hangs. Three quiet spells of [`Stack::quiet_spell`] come on top.
const PATIENCE: Duration = Duration::from_secs(60);

/// The stack under test: a transport, a runtime, and how to wait for a future on it.
pub struct Stack {
    make: Box<dyn Fn() -> AnyTransport + Send + Sync>,
    block_on: Box<dyn Fn(Task) + Send + Sync>,
    runtime: AnyRuntime,
    limits: Vec<Limit>,
    quiet_spell: Duration,
}

impl Stack {
    /// A stack without limits. `make` gives a new transport at each call, and `block_on` runs a task to its end
    /// on the calling thread.
    #[must_use]
    pub fn new<T: HttpTransport>(
        make: impl Fn() -> T + Send + Sync + 'static,
        runtime: impl Runtime,
        block_on: impl Fn(Task) + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(move || AnyTransport::new(make())),
            block_on: Box::new(block_on),
            runtime: AnyRuntime::new(runtime),
            limits: Vec::new(),
            quiet_spell: Duration::from_secs(3),
        }
    }

    /// Declares what the library cannot do.
    #[must_use]
    pub fn limits(mut self, limits: &[Limit]) -> Self {
        self.limits.extend_from_slice(limits);
        self
    }

    /// How long the server is silent where a library's own timeout would show. Default: 3 s, which finds
    /// the small ones; 65 s finds the usual ones.
    #[must_use]
    pub fn quiet_spell(mut self, quiet_spell: Duration) -> Self {
        self.quiet_spell = quiet_spell;
        self
    }

    pub(crate) fn silence(&self) -> Duration {
        self.quiet_spell
    }

    pub(crate) fn is_limited(&self, limit: Limit) -> bool {
        self.limits.contains(&limit)
    }

    pub(crate) fn runtime(&self) -> &AnyRuntime {
        &self.runtime
    }

    /// A transport that no other check uses.
    pub(crate) fn transport(&self) -> Transport {
        Transport { inner: (self.make)(), runtime: self.runtime.clone() }
    }

    /// Waits on the stack's own timer until `condition` holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) -> CheckResult {
        let start = Instant::now();
        while !condition() {
            if start.elapsed() > Duration::from_secs(5) {
                return Err(format!("not within 5 s: {what}"));
            }
            self.runtime.sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Runs one check on a thread of its own, with a time limit.
    pub(crate) fn run(self: Arc<Self>, (name, check): Check) -> CheckResult {
        let (report, reported) = mpsc::channel();
        let limit = PATIENCE + 3 * self.quiet_spell;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let future = check(Arc::clone(&self));
            (self.block_on)(Task::new(async move {
                // The receiver is gone once the check counts as hanging.
                let _ = report.send(future.await);
            }));
        });
        let thread = thread.map_err(|error| error.to_string())?;
        match reported.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("hangs: no end after {limit:?}")),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(match thread.join() {
                Ok(()) => "its task was dropped before its end".to_owned(),
                Err(panic) => match panic.downcast_ref::<String>() {
                    Some(message) => format!("panicked: {message}"),
                    None => format!("panicked: {:?}", panic.downcast_ref::<&str>()),
                },
            }),
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("limits", &self.limits).field("quiet_spell", &self.quiet_spell).finish()
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The transport under test, with the calls that the checks share.
#[derive(Clone)]
pub(crate) struct Transport {
    inner: AnyTransport,
    runtime: AnyRuntime,
}

/// Deadline of a step that has nothing to wait for.
const SOON: Duration = Duration::from_secs(10);

impl Transport {
    /// Sends; the outer error is a hang.
    pub(crate) async fn try_send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
        limit: Duration,
    ) -> Result<Result<http::Response<Body>, TransportError>, String> {
        let what = format!("the response to {} {}", request.method(), request.uri());
        within(&self.runtime, limit, &what, self.inner.send(request, options)).await
    }

    pub(crate) async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, String> {
        self.send_as(request, SendOptions::new(), SOON).await
    }

    pub(crate) async fn send_as(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
        limit: Duration,
    ) -> Result<http::Response<Body>, String> {
        let what = format!("{} {}", request.method(), request.uri());
        let result = self.try_send(request, options, limit).await?;
        result.map_err(|error| format!("{what}: {}", describe(&error)))
    }

    /// Sends, and expects an error before the body.
    pub(crate) async fn fails(&self, request: http::Request<Bytes>) -> Result<TransportError, String> {
        let what = format!("{} {}", request.method(), request.uri());
        match self.try_send(request, SendOptions::new(), 3 * SOON).await? {
            Err(error) => Ok(error),
            Ok(response) => Err(format!("{what} got {response:?} where an error was due")),
        }
    }

    /// Sends, and reads the body to its end.
    pub(crate) async fn fetch(&self, request: http::Request<Bytes>) -> Result<Whole, String> {
        let what = format!("{} {}", request.method(), request.uri());
        let (parts, body) = self.send(request).await?.into_parts();
        let body = self.read(body).await?.map_err(|error| format!("body of {what}: {}", describe(&error)))?;
        Ok(Whole { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Reads a body to its end; the outer error is a hang.
    pub(crate) async fn read(&self, mut body: Body) -> Result<Result<Vec<u8>, TransportError>, String> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk(&mut body).await? {
            match chunk {
                Ok(chunk) => all.extend_from_slice(&chunk),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(all))
    }

    /// The next chunk; the outer error is a hang.
    pub(crate) async fn chunk(
        &self,
        body: &mut Body,
    ) -> Result<Option<Result<Bytes, TransportError>>, String> {
        within(&self.runtime, SOON, "the next chunk of a body", body.next_chunk()).await
    }

    /// A request that must come back with its own answer, whatever went before.
    pub(crate) async fn is_sound(&self, server: &Server, after: &str) -> CheckResult {
        for turn in 0..3 {
            let path = format!("/sound/{turn}");
            let whole = self
                .fetch(get(server.url(&path))?)
                .await
                .map_err(|error| format!("after {after}: {error}"))?;
            if whole.status != 200 || whole.body != path.as_bytes() {
                return Err(format!("after {after}, {path} got the response of another request: {whole:?}"));
            }
            let body = format!("sound {turn}");
            let whole = self.fetch(post(server.url("/sound/echo"), &body)?).await;
            let whole = whole.map_err(|error| format!("after {after}: {error}"))?;
            if whole.status != 200 || whole.body != body.as_bytes() {
                return Err(format!("after {after}, a POST got the response of another request: {whole:?}"));
            }
        }
        Ok(())
    }
}

/// The server's part of [`Transport::is_sound`]: its path, or the body it was sent.
pub(crate) fn sound(
    received: &super::server::Received,
    connection: &mut super::server::Connection,
) -> std::io::Result<super::server::Then> {
    if received.method == "POST" { connection.ok(&received.body) } else { connection.ok(&received.target) }
}

pub(crate) async fn within<F: Future>(
    timer: &(impl Timer + ?Sized),
    limit: Duration,
    what: &str,
    future: F,
) -> Result<F::Output, String> {
    let late = async {
        timer.sleep(limit).await;
        Err(format!("no end after {limit:?}: {what}"))
    };
    // In this order: a future that lost its wake-up would be ready when the timer has it polled again.
    or(late, async { Ok(future.await) }).await
}

/// Polls `future` until it is ready or `duration` has passed, and drops it.
pub(crate) async fn drop_after<F: Future>(
    timer: &impl Timer,
    duration: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    if let Some(output) = poll_once(future.as_mut()).await {
        return Some(output);
    }
    or(async { Some(future.await) }, async {
        timer.sleep(duration).await;
        None
    })
    .await
}

pub(crate) fn describe(error: &TransportError) -> String {
    let mut text = format!("{error} ({:?}, sent {:?})", error.kind(), error.sent());
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" <- {error}"));
        source = error.source();
    }
    text
}

pub(crate) fn request(
    method: &str,
    url: impl AsRef<str>,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Result<http::Request<Bytes>, String> {
    let mut builder = http::Request::builder().method(method).uri(url.as_ref());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::copy_from_slice(body)).map_err(|error| format!("{method} {}: {error}", url.as_ref()))
}

pub(crate) fn get(url: impl AsRef<str>) -> Result<http::Request<Bytes>, String> {
    request("GET", url, &[], b"")
}

pub(crate) fn post(url: impl AsRef<str>, body: impl AsRef<[u8]>) -> Result<http::Request<Bytes>, String> {
    request("POST", url, &[("content-type", b"text/plain")], body.as_ref())
}

/// An [`CheckResult`] from a condition.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;

/// Spawns `task`, detached.
pub(crate) fn spawn(stack: &Stack, task: impl Future<Output = ()> + Send + 'static) {
    stack.runtime.spawn(Task::new(task));
}
