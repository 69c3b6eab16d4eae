//! Exchanges over HTTP/2: one connection for many, driven by tasks of the runtime.

use crate::byte_stream::ByteStream;
use crate::classify::{Phase, Unprocessed, classify, unprocessed};
use crate::upload::Upload;
use crate::wire::Wire;
use bytes::Bytes;
use durable_streams_contract::{
    AnyRuntime, Body, Executor, Sent, Task, Timer, TransportError, TransportErrorKind,
};
use futures_lite::Stream as FuturesStream;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How much of one response, and of all on a connection, may be in flight. A catch-up needs the bandwidth times the
/// round trip: 4 MiB are 335 Mbit/s at 100 ms.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Larger frames cost fewer steps per byte.
const MAX_FRAME: u32 = 64 * 1024;

/// When a ping asks whether a connection of HTTP/2 lives (RFC 9113, section 6.7).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// After this long without a frame, while a stream is open.
    pub(crate) interval: Duration,
    /// How long its answer may take.
    pub(crate) timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) }
    }
}

/// An open connection that many exchanges share. Dropping it lets those in progress go on.
pub(crate) struct Connection {
    sender: http2::SendRequest<Upload>,
    streams: Arc<Streams>,
    pub(crate) opened_at: Instant,
}

/// How many streams are open, and how many the server allows.
struct Streams {
    open: AtomicUsize,
    max: AtomicUsize,
}

impl Connection {
    /// Waits for the server's settings, so that the number of streams is known before the first request.
    pub(crate) async fn open(
        stream: ByteStream,
        runtime: &AnyRuntime,
        keep_alive: KeepAlive,
    ) -> Result<Self, TransportError> {
        let (wire, written) = Wire::new(stream);
        let mut builder = http2::Builder::new(HyperExecutor(runtime.clone()));
        builder
            .timer(HyperTimer(runtime.clone()))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout);
        let failed = |error| classify(error, Phase::Head, Sent::No);
        let (sender, mut driver) = builder.handshake(wire).await.map_err(failed)?;
        let streams = Arc::new(Streams { open: AtomicUsize::new(0), max: AtomicUsize::new(0) });
        let shared = Arc::clone(&streams);
        let (settled, settings) = tokio::sync::oneshot::channel();
        let mut settled = Some(settled);
        runtime.spawn(Task::new(async move {
            let end = poll_fn(|cx| {
                let end = Pin::new(&mut driver).poll(cx);
                shared.max.store(driver.current_max_send_streams(), Ordering::Relaxed);
                if written.poll_first_bytes(cx).is_ready()
                    && let Some(settled) = settled.take()
                {
                    // The receiver is gone where the exchange was given up.
                    let _ = settled.send(());
                }
                end
            });
            // Each exchange has its own error.
            let _ = end.await;
        }));
        settings.await.map_err(|_| {
            TransportError::new(TransportErrorKind::Connect)
                .with_message("the server closed the connection before it sent its HTTP/2 settings")
        })?;
        Ok(Self { sender, streams, opened_at: Instant::now() })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// A stream, if the server allows one more.
    pub(crate) fn reserve(&self) -> Option<Stream> {
        let max = self.streams.max.load(Ordering::Relaxed);
        let more = |open: usize| (open < max).then_some(open + 1);
        self.streams.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Stream { sender: self.sender.clone(), place: Place(Arc::clone(&self.streams)) })
    }
}

/// The error of a server that allows no stream at all.
pub(crate) fn no_streams() -> TransportError {
    TransportError::new(TransportErrorKind::Connect)
        .with_sent(Sent::No)
        .with_message("the server allows no HTTP/2 stream on a new connection")
}

/// One of the streams that the server allows.
struct Place(Arc<Streams>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream for one exchange.
pub(crate) struct Stream {
    sender: http2::SendRequest<Upload>,
    place: Place,
}

/// Why there is no response.
pub(crate) struct Failure {
    pub(crate) error: TransportError,
    /// The connection takes no more requests, and did not process this one. Another connection may.
    pub(crate) went_away: bool,
}

impl Stream {
    /// Sends a request, until the response's head is there. Dropping the future resets the stream.
    pub(crate) async fn send(mut self, request: Request<Upload>) -> Result<Response<Body>, Failure> {
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                let body = if incoming.is_end_stream() {
                    Body::empty()
                } else {
                    Body::from_stream(Chunks { incoming: Some(incoming), _place: self.place })
                };
                Ok(Response::from_parts(head, body))
            }
            Err(mut failed) => {
                let untaken = failed.take_message().is_some();
                let error = failed.into_error();
                let unprocessed = unprocessed(&error);
                let sent = if untaken || unprocessed.is_some() { Sent::No } else { Sent::Maybe };
                Err(Failure {
                    error: classify(error, Phase::Head, sent),
                    went_away: untaken || unprocessed == Some(Unprocessed::GoAway),
                })
            }
        }
    }
}

struct Chunks {
    /// `None` after the end.
    incoming: Option<Incoming>,
    _place: Place,
}

impl FuturesStream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
            match ready!(Pin::new(incoming).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers say nothing to a client of this protocol.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.incoming = None;
                    return Poll::Ready(Some(Err(classify(error, Phase::Body, Sent::Maybe))));
                }
                None => self.incoming = None,
            }
        }
    }
}

/// The runtime as hyper spawns on it.
#[derive(Clone)]
struct HyperExecutor(AnyRuntime);

impl<F> hyper::rt::Executor<F> for HyperExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(Task::new(async move {
            future.await;
        }));
    }
}

/// The runtime as hyper waits on it, for its pings.
#[derive(Clone)]
struct HyperTimer(AnyRuntime);

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep(self.0.sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.0.now()))
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

struct HyperSleep(durable_streams_contract::Sleep);

impl Future for HyperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for HyperSleep {}
