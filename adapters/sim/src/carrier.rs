use crate::core::SimSleep;
use crate::exchange::Sending;
use crate::gateway::{is_for_portal, portal, refusal};
use crate::model::{Events, Handled, Step, Wait};
use crate::net::Net;
use crate::pool::Connection;
use crate::tasks::NETWORK;
use crate::{Fault, Gateway};
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind as Kind, UploadProgress};
use futures_lite::future::poll_fn;
use http::{HeaderValue, Method, Request, Response, header};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Takes one request to the server and its answer back, through whatever goes wrong on the way.
///
/// It is not a task of the client: a request that was sent arrives even if the client has dropped its future.
pub(crate) async fn carry(
    net: Arc<Net>,
    number: u64,
    request: Request<Bytes>,
    connection: Connection,
    sending: Sending,
    upload: Option<UploadProgress>,
) {
    let fault = net.fault(number);
    if let Some(fault) = &fault {
        net.core.note(|| format!("request {number}: fault: {fault}"));
    }
    let host = request.uri().host().unwrap_or_default().to_owned();
    let trip = Trip { connections: net.connections(), net, number, fault, connection, sending, upload };
    match trip.make(request).await {
        Ok(()) if trip.sending.is_dropped() => {}
        Ok(()) => trip.net.with_pool(|pool| pool.give_back(&host, connection)),
        Err(error) => trip.sending.fail(error),
    }
}

struct Trip {
    net: Arc<Net>,
    number: u64,
    fault: Option<Fault>,
    /// Which generation of connections this one is of.
    connections: u64,
    connection: Connection,
    sending: Sending,
    upload: Option<UploadProgress>,
}

/// How much of a body is sent at once on a slow uplink.
const PACKET: usize = 1400;

/// The server's response.
enum ServerResponse {
    Whole(Response<Bytes>),
    Events(Response<()>, Events),
}

impl Trip {
    async fn make(&self, request: Request<Bytes>) -> Result<(), TransportError> {
        let (there, back) = match &self.fault {
            Some(Fault::Delay { request, response }) => (*request, *response),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        if !self.send_body(&request).await? {
            self.note(|| "cancelled before it was sent".to_owned());
            return Ok(());
        }
        self.way(there).await?;
        if self.sending.is_dropped() && self.net.chance(|rng| rng.percent(50)) {
            self.note(|| "cancelled in the network".to_owned());
            return Ok(());
        }
        if self.connection.is_silent {
            self.note(|| "sent on a connection that is lost".to_owned());
            return self.silence().await;
        }
        let gateway = self.gateway();
        if let Some(answer) = self.intercepted(gateway.as_ref(), &request) {
            self.way(back).await?;
            return self.deliver(answer).await;
        }
        match &self.fault {
            Some(Fault::Refuse) => return Err(refused()),
            Some(Fault::LoseRequest) => return Err(reset()),
            Some(Fault::Hang { applied: false }) => return self.silence().await,
            Some(Fault::StaleCache) => {
                if let Some(answer) = self.net.stale(&request) {
                    self.note(|| "response of a cache".to_owned());
                    self.way(back).await?;
                    return self.deliver(answer).await;
                }
            }
            Some(Fault::CaptivePortal) => return self.deliver(portal()).await,
            Some(Fault::Status { status, retry_after, applied: false }) => {
                let answer = refusal(*status, *retry_after, self.net.core.wall());
                self.way(back).await?;
                return self.deliver(answer).await;
            }
            _ => {}
        }
        let Some(handled) = self.net.handle(&request) else { return Err(refused()) };
        if let (Some(Fault::Repeat { later }), Handled::Answer(answer)) = (&self.fault, &handled)
            && answer.status().is_success()
        {
            self.again(request.clone(), *later);
        }
        let said = match handled {
            Handled::Answer(answer) => ServerResponse::Whole(answer),
            Handled::Events(head, events) => ServerResponse::Events(head, events),
            Handled::Wait(wait) => match self.wait(&wait).await? {
                Some(answer) => ServerResponse::Whole(answer),
                None => return Ok(()),
            },
        };
        if let ServerResponse::Whole(answer) = &said {
            self.note(|| format!("server says {}", describe_answer(answer)));
            self.net.remember(&request, answer);
        }
        match &self.fault {
            Some(Fault::LoseResponse) => return Err(reset()),
            Some(Fault::Hang { applied: true }) => return self.silence().await,
            Some(Fault::Status { status, retry_after, applied: true }) => {
                let answer = refusal(*status, *retry_after, self.net.core.wall());
                self.way(back).await?;
                return self.deliver(answer).await;
            }
            _ => {}
        }
        self.way(back).await?;
        let drops_body = gateway.as_ref().is_some_and(Gateway::drops_body);
        match said {
            ServerResponse::Whole(answer) if *request.method() == Method::HEAD => {
                self.deliver(answer.map(|_| Bytes::new())).await
            }
            ServerResponse::Whole(mut answer) => {
                self.net.retell(&request, &mut answer);
                if drops_body {
                    answer = without_body(answer);
                }
                self.deliver(answer).await
            }
            ServerResponse::Events(head, _) if drops_body => {
                self.deliver(without_body(head.map(|()| Bytes::new()))).await
            }
            ServerResponse::Events(head, events) => self.deliver_events(head, events).await,
        }
    }

    /// Sends the body, as fast as the uplink allows. Returns whether all of it was sent.
    async fn send_body(&self, request: &Request<Bytes>) -> Result<bool, TransportError> {
        let Some(rate) = self.net.options.uplink else { return Ok(true) };
        if let Some(upload) = &self.upload {
            upload.start();
        }
        let host = request.uri().host().unwrap_or_default();
        for packet in request.body().chunks(PACKET) {
            self.sleep(self.net.reserve_uplink(host, packet.len(), rate)).await;
            self.light().await;
            self.connected()?;
            if self.sending.is_dropped() {
                return Ok(false);
            }
            if let Some(upload) = &self.upload {
                upload.add(packet.len() as u64);
            }
        }
        Ok(true)
    }

    /// What the request meets on the way.
    fn gateway(&self) -> Option<Gateway> {
        match &self.fault {
            Some(Fault::Gateway(gateway)) => Some(gateway.clone()),
            _ => self.net.gateway(),
        }
    }

    /// The response of something else than the server.
    fn intercepted(&self, gateway: Option<&Gateway>, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if is_for_portal(request) {
            return Some(portal());
        }
        if self.net.is_pinned(self.connection) {
            self.note(|| "sent to a broken backend".to_owned());
            return Some(refusal(503, None, self.net.core.wall()));
        }
        let gateway = gateway?;
        let answer = gateway.intercept(request, || self.net.last_page(request), self.net.core.wall());
        if answer.is_some() {
            self.note(|| gateway.to_string());
        }
        answer
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.net.core.note(|| format!("request {}: {}", self.number, line()));
    }

    fn sleep(&self, duration: Duration) -> SimSleep {
        self.net.core.sleep(None, duration)
    }

    /// One way through the network, longer by `extra`.
    async fn way(&self, extra: Duration) -> Result<(), TransportError> {
        let options = &self.net.options;
        let latency = self.net.chance(|rng| rng.duration(options.fastest, options.slowest));
        self.sleep(latency + extra).await;
        self.light().await;
        self.connected()
    }

    /// Waits until something gets through at all.
    async fn light(&self) {
        loop {
            let dark = self.net.dark_until().saturating_sub(self.net.core.now());
            if dark.is_zero() {
                return;
            }
            self.sleep(dark).await;
        }
    }

    fn connected(&self) -> Result<(), TransportError> {
        if self.net.connections() == self.connections { Ok(()) } else { Err(reset()) }
    }

    /// No response until the client drops the request or the connection is reset.
    async fn silence(&self) -> Result<(), TransportError> {
        while !self.sending.is_dropped() {
            let version = self.net.version();
            self.connected()?;
            self.changed(version, None).await;
        }
        Ok(())
    }

    /// Waits until something changes at the server or with the client, or until `deadline`.
    async fn changed(&self, version: u64, deadline: Option<Duration>) {
        let left = deadline.map_or(Duration::MAX, |at| at.saturating_sub(self.net.core.now()));
        let mut sleep = pin!(self.sleep(left));
        poll_fn(|cx| {
            self.sending.watch(cx.waker());
            if self.net.changed_since(version, cx.waker()) || self.sending.is_dropped() {
                return Poll::Ready(());
            }
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    /// The response to a long-poll. `None` if the client has dropped it.
    async fn wait(&self, wait: &Wait) -> Result<Option<Response<Bytes>>, TransportError> {
        loop {
            let version = self.net.version();
            self.connected()?;
            let at = self.net.moment();
            if let Some(answer) = self.net.look(|model| model.resume(wait, at)) {
                return Ok(Some(answer));
            }
            if self.sending.is_dropped() {
                return Ok(None);
            }
            self.changed(version, Some(wait.deadline())).await;
        }
    }

    /// Delivers the request once more, later. The response is discarded.
    fn again(&self, request: Request<Bytes>, later: Duration) {
        let (net, number) = (self.net.clone(), self.number);
        let sleep = self.sleep(later);
        self.net.core.spawn(
            NETWORK,
            Box::pin(async move {
                sleep.await;
                let handled = net.handle(&request);
                net.core.note(|| match &handled {
                    Some(Handled::Answer(answer)) => {
                        format!("request {number}: again: server says {}", describe_answer(answer))
                    }
                    _ => format!("request {number}: again"),
                });
            }),
        );
    }

    /// Delivers an answer that is all there, its body at once or in pieces.
    async fn deliver(&self, answer: Response<Bytes>) -> Result<(), TransportError> {
        let (parts, body) = answer.into_parts();
        // A body with a length that ends early is an error, not an end.
        let fault = self.fault.as_ref().filter(|fault| !matches!(fault, Fault::EndEvents { .. }));
        let in_pieces = body.len() > 1 && self.net.chance(|rng| rng.percent(self.net.options.in_pieces));
        let cut = match fault {
            Some(Fault::CutBody { after }) => *after <= body.len() && !body.is_empty(),
            Some(Fault::StallBody { after }) => *after < body.len(),
            _ => false,
        };
        if !in_pieces && !cut {
            self.sending.head(Response::from_parts(parts, Some(body)));
            self.sending.end();
            return Ok(());
        }
        self.sending.head(Response::from_parts(parts, None));
        let mut sent = 0;
        if self.feed(fault, body, &mut sent, in_pieces).await? {
            self.sending.end();
        }
        Ok(())
    }

    /// Delivers a part of a body; false where a fault has ended it.
    async fn feed(
        &self,
        fault: Option<&Fault>,
        mut bytes: Bytes,
        sent: &mut usize,
        in_pieces: bool,
    ) -> Result<bool, TransportError> {
        let until = match fault {
            Some(Fault::CutBody { after } | Fault::EndEvents { after } | Fault::StallBody { after }) => {
                after.saturating_sub(*sent)
            }
            _ => usize::MAX,
        };
        let ends = until <= bytes.len();
        bytes.truncate(until);
        *sent += bytes.len();
        while !bytes.is_empty() {
            let (length, pause) = match in_pieces {
                false => (bytes.len(), Duration::ZERO),
                true => self.net.chance(|rng| {
                    // A few large pieces, or many small ones.
                    let most = if rng.percent(70) { bytes.len() } else { bytes.len().min(8) };
                    (rng.index(most) + 1, Duration::from_micros(rng.below(3) * 500))
                }),
            };
            self.sending.piece(bytes.split_to(length));
            if !pause.is_zero() {
                self.sleep(pause).await;
                self.light().await;
            }
            self.connected().map_err(|_| cut())?;
        }
        match (fault, ends) {
            (Some(Fault::CutBody { .. }), true) => Err(cut()),
            (Some(Fault::EndEvents { .. }), true) => {
                self.sending.end();
                Ok(false)
            }
            (Some(Fault::StallBody { .. }), true) => {
                self.silence().await.map_err(|_| cut())?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    async fn deliver_events(&self, head: Response<()>, mut events: Events) -> Result<(), TransportError> {
        self.sending.head(head.map(|()| None));
        let mut sent = 0;
        let in_pieces = self.net.chance(|rng| rng.percent(self.net.options.in_pieces));
        loop {
            self.sending.room().await;
            let version = self.net.version();
            self.connected().map_err(|_| cut())?;
            if self.sending.is_dropped() {
                return Ok(());
            }
            let at = self.net.moment();
            match self.net.look(|model| model.step(&mut events, at)) {
                Step::Send(bytes) => {
                    self.note(|| format!("server sends {}", describe_events(&bytes)));
                    self.light().await;
                    if !self.feed(self.fault.as_ref(), bytes, &mut sent, in_pieces).await? {
                        return Ok(());
                    }
                }
                Step::End(bytes) => {
                    self.note(|| format!("server sends {} and the end", describe_events(&bytes)));
                    self.light().await;
                    if self.feed(self.fault.as_ref(), bytes, &mut sent, in_pieces).await? {
                        self.sending.end();
                    }
                    return Ok(());
                }
                Step::Wait(deadline) => self.changed(version, Some(deadline)).await,
            }
        }
    }
}

fn refused() -> TransportError {
    TransportError::new(Kind::Connect).with_message("connection refused")
}

fn reset() -> TransportError {
    TransportError::new(Kind::Closed).with_message("connection reset")
}

fn cut() -> TransportError {
    TransportError::new(Kind::Truncated).with_message("connection reset")
}

/// The answer as a proxy passes it that drops the body.
fn without_body(answer: Response<Bytes>) -> Response<Bytes> {
    let mut answer = answer.map(|_| Bytes::new());
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}

/// A request in a line of the trace.
pub(crate) fn describe(request: &Request<Bytes>) -> String {
    let uri = request.uri();
    let mut line =
        format!("{} {}", request.method(), uri.path_and_query().map_or("/", |target| target.as_str()));
    let field = |name: &str| request.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()));
    if let (Some(id), Some(epoch), Some(seq)) =
        (field("producer-id"), field("producer-epoch"), field("producer-seq"))
    {
        line += &format!(" as {id} epoch {epoch} seq {seq}");
    }
    if field("stream-closed").is_some() {
        line += " to close";
    }
    if !request.body().is_empty() {
        line += &format!(", {}", describe_bytes(request.body()));
    }
    line
}

fn describe_answer(answer: &Response<Bytes>) -> String {
    let mut line = answer.status().as_u16().to_string();
    for name in
        ["stream-next-offset", "stream-closed", "producer-epoch", "producer-seq", "producer-expected-seq"]
    {
        if let Some(value) = answer.headers().get(name) {
            line += &format!(", {name} {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    if !answer.body().is_empty() {
        line += &format!(", {}", describe_bytes(answer.body()));
    }
    line
}

fn describe_events(bytes: &Bytes) -> String {
    describe_bytes(bytes)
}

fn describe_bytes(bytes: &Bytes) -> String {
    let shown = &bytes[..bytes.len().min(80)];
    let more = if shown.len() < bytes.len() { "…" } else { "" };
    format!("{} bytes {:?}{more}", bytes.len(), String::from_utf8_lossy(shown))
}
