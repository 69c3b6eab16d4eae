//! Connects the machine to the world: the request or body under way, and one timer.

use crate::error::Error;
use crate::exchange::call::{AttemptError, Call, Response, Wait};
use crate::exchange::headers::replace;
use crate::protocol::operation::Operation;
use crate::reader::machine::{Action, Machine, Request, RequestKind};
use crate::stream::handle::DurableStream;
use crate::sync::Exclusive;
use durable_streams_contract::{AnyRuntime, AnyTransport, Body, HttpTransport, Runtime, Sleep};
use futures_lite::Stream;
use http::{HeaderValue, header};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// How often a waiting reader looks at the clock, to notice that the machine slept.
const TICK: Duration = Duration::from_secs(15);
/// Nobody is this late, unless the machine slept.
const OVERSLEPT: Duration = Duration::from_secs(10);
/// After this many events without anything for the consumer, others get a turn.
const FUEL: u32 = 128;

/// What is under way.
enum Under {
    Nothing,
    Request(Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>),
    Body(Body),
}

struct Alarm {
    sleep: Sleep,
    /// When it goes off.
    at: Instant,
    set: Instant,
    set_wall: SystemTime,
}

pub(in crate::reader) struct Driver<T, R> {
    pub(in crate::reader) stream: DurableStream<T, R>,
    /// What all requests have in common.
    template: Call,
    pub(in crate::reader) machine: Machine,
    under: Exclusive<Under>,
    alarm: Exclusive<Option<Alarm>>,
    /// The consumer was told to wait, and nothing was handed out since.
    waiting: bool,
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> Driver<T, R> {
    /// The same driver, independent of the stack. A request or body in flight stays.
    pub(in crate::reader) fn into_any(self) -> Driver<AnyTransport, AnyRuntime> {
        Driver {
            stream: self.stream.to_any(),
            template: self.template,
            machine: self.machine,
            under: self.under,
            alarm: self.alarm,
            waiting: self.waiting,
        }
    }
}

impl<T: HttpTransport, R: Runtime> Driver<T, R> {
    pub(in crate::reader) fn new(stream: DurableStream<T, R>, template: Call, machine: Machine) -> Self {
        Self {
            stream,
            template,
            machine,
            under: Exclusive::new(Under::Nothing),
            alarm: Exclusive::new(None),
            waiting: false,
        }
    }

    /// Lets the handle know what appends would have to ask for.
    pub(in crate::reader) fn learn_content_type(&self) {
        if let Some(content_type) = self.machine.content_type() {
            self.stream.learn_content_type(content_type);
        }
    }

    /// Ready once the stream has answered.
    pub(in crate::reader) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match std::task::ready!(self.poll(cx, |machine| machine.is_started().then_some(()))) {
            Some(result) => Poll::Ready(result),
            // A machine ends after it was ready.
            None => Poll::Ready(Ok(())),
        }
    }

    /// The next of what `take` takes from the machine; `None` after the end.
    ///
    /// All state is in the driver: a poll that is not followed by another loses nothing.
    #[inline]
    pub(in crate::reader) fn poll<O>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut Machine) -> Option<O>,
    ) -> Poll<Option<Result<O, Error>>> {
        if let Some(taken) = take(&mut self.machine) {
            self.waiting = false;
            return Poll::Ready(Some(Ok(taken)));
        }
        self.poll_more(cx, take)
    }

    fn poll_more<O>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut Machine) -> Option<O>,
    ) -> Poll<Option<Result<O, Error>>> {
        let mut fuel = FUEL;
        loop {
            if let Some(taken) = take(&mut self.machine) {
                self.waiting = false;
                return Poll::Ready(Some(Ok(taken)));
            }
            let now = self.stream.client().runtime().now();
            match self.machine.next_action(now) {
                Action::Take => continue,
                Action::Fail(error) => {
                    *self.under.get_mut() = Under::Nothing;
                    return Poll::Ready(Some(Err(error)));
                }
                Action::End => {
                    *self.under.get_mut() = Under::Nothing;
                    *self.alarm.get_mut() = None;
                    return Poll::Ready(None);
                }
                Action::Send(request) => {
                    *self.under.get_mut() = Under::Nothing;
                    *self.under.get_mut() = Under::Request(self.request(*request));
                }
                Action::Wait => *self.under.get_mut() = Under::Nothing,
                Action::Receive => {}
            }
            if self.poll_under(cx).is_ready() || self.poll_alarm(cx).is_ready() {
                fuel -= 1;
                if fuel == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            return Poll::Pending;
        }
    }

    /// Lets the machine see what has arrived, so that the position after the last message of a page is the
    /// page's end.
    #[cfg(feature = "json")]
    pub(in crate::reader) fn peek(&mut self, cx: &mut Context<'_>) {
        if self.poll_under(cx).is_ready() {
            self.machine.end_consumed_page();
        }
    }

    /// Ready when the machine was told of something.
    fn poll_under(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.under.get_mut() {
            Under::Nothing => Poll::Pending,
            Under::Request(request) => {
                let result = std::task::ready!(request.as_mut().poll(cx));
                *self.under.get_mut() = Under::Nothing;
                let now = self.stream.client().runtime().now();
                match result {
                    Ok(Response { status, headers, body, .. }) => {
                        *self.under.get_mut() = Under::Body(body);
                        self.machine.on_response(status, &headers, now);
                    }
                    Err(error) => self.machine.on_request_failed(error, now),
                }
                Poll::Ready(())
            }
            Under::Body(body) => match Pin::new(body).poll_next(cx) {
                Poll::Pending => {
                    if self.machine.on_input_exhausted() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                }
                Poll::Ready(piece) => {
                    let now = self.stream.client().runtime().now();
                    match piece {
                        Some(Ok(bytes)) => self.machine.on_bytes(bytes, now),
                        Some(Err(error)) => {
                            *self.under.get_mut() = Under::Nothing;
                            self.machine.on_body_broken(error, now);
                        }
                        None => {
                            *self.under.get_mut() = Under::Nothing;
                            self.machine.on_body_end(now);
                        }
                    }
                    Poll::Ready(())
                }
            },
        }
    }

    /// Ready when the machine was told of something.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let runtime = self.stream.client().runtime();
        let now = runtime.now();
        if !std::mem::replace(&mut self.waiting, true) {
            self.machine.on_wait(now);
            // However late it is now, nobody was waiting.
            if self.alarm.get_mut().as_ref().is_some_and(|alarm| alarm.at <= now) {
                *self.alarm.get_mut() = None;
            }
        }
        let tick = now + TICK;
        let due = self.machine.deadline().map_or(tick, |deadline| deadline.min(tick));
        // One that goes off too early is set again then: setting it for every piece of a body is dear.
        let too_late = self.alarm.get_mut().as_ref().is_none_or(|alarm| alarm.at > due);
        if too_late {
            let sleep = runtime.sleep(due.saturating_duration_since(now));
            *self.alarm.get_mut() = Some(Alarm { sleep, at: due, set: now, set_wall: runtime.wall_time() });
        }
        let Some(alarm) = self.alarm.get_mut() else { return Poll::Pending };
        std::task::ready!(Pin::new(&mut alarm.sleep).poll(cx));
        let Some(alarm) = self.alarm.get_mut().take() else { return Poll::Pending };
        let now = runtime.now();
        let by_wall = runtime.wall_time().duration_since(alarm.set_wall).unwrap_or_default();
        // A clock that stands still while the machine sleeps shows by the one that does not.
        let lost = by_wall.saturating_sub(now.saturating_duration_since(alarm.set));
        if now.saturating_duration_since(alarm.at) > OVERSLEPT || lost > OVERSLEPT {
            self.machine.on_suspended(now);
        }
        self.machine.on_deadline(now);
        Poll::Ready(())
    }

    fn request(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>> {
        let client = self.stream.http().clone();
        let call = self.call(request);
        Box::pin(async move {
            match client.send_once(&call).await {
                Ok(answer) if answer.status.is_success() => Ok(answer),
                Ok(answer) => Err(client.refusal(&call, answer).await.0),
                Err(AttemptError::Refused(error)) => Err(error),
                Err(AttemptError::Transport(error)) => Err(call.transport_error(&error)),
            }
        })
    }

    fn call(&self, request: Request) -> Call {
        let mut call = self.template.clone();
        replace(&mut call.extra_headers, request.headers);
        let mut query = |live: Option<&str>, wait| {
            call.query.push(("offset", request.offset.to_query_value().to_owned()));
            call.query.extend(live.map(|live| ("live", live.to_owned())));
            call.wait = wait;
        };
        match request.kind {
            RequestKind::Head => call.operation = Operation::Head,
            RequestKind::Tail | RequestKind::Page => query(None, Wait::Page),
            RequestKind::LongPoll => query(Some("long-poll"), Wait::LongPoll(self.machine.idle_timeout())),
            RequestKind::Sse => {
                query(Some("sse"), Wait::EventStream);
                call.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
            }
        }
        call.query.extend(request.cursor.map(|cursor| ("cursor", cursor)));
        if let Some(etag) = request.if_none_match {
            call.headers.insert(header::IF_NONE_MATCH, etag);
        }
        call
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
