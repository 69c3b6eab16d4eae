//! The loop between the machine, the response in flight and the timer.

use super::request_call::request_call;
use super::wakeup::{CLOCK_CHECK_INTERVAL, Wakeup};
use crate::error::Error;
use crate::exchange::call::{AttemptError, Call, Response};
use crate::exchange::http_client::is_connection_suspect;
use crate::reader::machine::{Action, Machine, Request};
use crate::stream::handle::DurableStream;
use crate::sync::Exclusive;
use durable_streams_contract::{AnyRuntime, AnyTransport, Body, HttpTransport, Runtime};
use futures_lite::Stream;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Inputs without content after which one poll yields, so that other tasks run.
const INPUTS_PER_POLL: u32 = 128;

/// The request or body whose next input the machine waits for.
enum InFlight {
    Nothing,
    Request(Pin<Box<dyn Future<Output = Attempt> + Send>>),
    Body(Body),
}

/// The result of a request.
struct Attempt {
    result: Result<Response, Error>,
    /// The next request needs a new connection.
    is_connection_suspect: bool,
}

pub(in crate::reader) struct Driver<T, R> {
    pub(in crate::reader) stream: DurableStream<T, R>,
    /// What all requests have in common.
    template: Call,
    pub(in crate::reader) machine: Machine,
    in_flight: Exclusive<InFlight>,
    wakeup: Exclusive<Option<Wakeup>>,
    /// The consumer got `Pending`, and nothing was taken since.
    waiting: bool,
    /// The next request needs a new connection: the last one failed in a way that may be the connection's.
    fresh_connection: bool,
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> Driver<T, R> {
    /// The same driver, independent of the stack. A request or body in flight stays.
    pub(in crate::reader) fn into_any(self) -> Driver<AnyTransport, AnyRuntime> {
        Driver {
            stream: self.stream.to_any(),
            template: self.template,
            machine: self.machine,
            in_flight: self.in_flight,
            wakeup: self.wakeup,
            waiting: self.waiting,
            fresh_connection: self.fresh_connection,
        }
    }
}

impl<T: HttpTransport, R: Runtime> Driver<T, R> {
    pub(in crate::reader) fn new(stream: DurableStream<T, R>, template: Call, machine: Machine) -> Self {
        Self {
            stream,
            template,
            machine,
            in_flight: Exclusive::new(InFlight::Nothing),
            wakeup: Exclusive::new(None),
            waiting: false,
            fresh_connection: false,
        }
    }

    /// Gives the handle the content type, which its appends need.
    pub(in crate::reader) fn share_content_type(&self) {
        if let Some(content_type) = self.machine.content_type() {
            self.stream.learn_content_type(content_type);
        }
    }

    /// Ready once the stream has responded.
    pub(in crate::reader) fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match std::task::ready!(self.poll(cx, |machine| machine.is_started().then_some(()))) {
            Some(result) => Poll::Ready(result),
            // A machine ends only after it has started.
            None => Poll::Ready(Ok(())),
        }
    }

    /// The next of what `take` takes from the machine; `None` after the end.
    #[inline]
    pub(in crate::reader) fn poll<O>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut Machine) -> Option<O>,
    ) -> Poll<Option<Result<O, Error>>> {
        // Most calls end here: one buffer brings many messages.
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
        for _ in 0..INPUTS_PER_POLL {
            if let Some(taken) = take(&mut self.machine) {
                self.waiting = false;
                return Poll::Ready(Some(Ok(taken)));
            }
            let now = self.stream.client().runtime().now();
            match self.machine.next_action(now) {
                // A group of events was complete in what had arrived.
                Action::Take => continue,
                Action::Fail(error) => {
                    *self.in_flight.get_mut() = InFlight::Nothing;
                    return Poll::Ready(Some(Err(error)));
                }
                Action::End => {
                    *self.in_flight.get_mut() = InFlight::Nothing;
                    *self.wakeup.get_mut() = None;
                    return Poll::Ready(None);
                }
                Action::Send(request) => {
                    // The old connection goes back to its pool before the new request looks for one.
                    *self.in_flight.get_mut() = InFlight::Nothing;
                    let fresh_connection = std::mem::take(&mut self.fresh_connection);
                    *self.in_flight.get_mut() = InFlight::Request(self.send(*request, fresh_connection));
                }
                // Nothing of the old response may reach the machine: it has given it up.
                Action::Wait => *self.in_flight.get_mut() = InFlight::Nothing,
                Action::Receive => {}
            }
            // Both leave a waker behind if they are pending. Polling the timer only then keeps its cost off a body that
            // arrives without a pause.
            if self.poll_in_flight(cx).is_pending() && self.poll_wakeup(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // Input is ready without a pause. Other tasks run before this one is polled again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets the machine see what has arrived, without waiting.
    ///
    /// The end of a page often arrives together with its last message. Seen now, it makes the checkpoint after that message
    /// the next page's start.
    #[cfg(feature = "json")]
    pub(in crate::reader) fn peek(&mut self, cx: &mut Context<'_>) {
        if self.poll_in_flight(cx).is_ready() {
            self.machine.end_consumed_page();
        }
    }

    /// Ready when the machine got an input.
    fn poll_in_flight(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.in_flight.get_mut() {
            InFlight::Nothing => Poll::Pending,
            InFlight::Request(request) => {
                let Attempt { result, is_connection_suspect } = std::task::ready!(request.as_mut().poll(cx));
                self.fresh_connection = is_connection_suspect;
                // A future that is ready must not be polled again.
                *self.in_flight.get_mut() = InFlight::Nothing;
                let now = self.stream.client().runtime().now();
                match result {
                    Ok(Response { status, headers, body, .. }) => {
                        *self.in_flight.get_mut() = InFlight::Body(body);
                        self.machine.on_response(status, &headers, now);
                    }
                    Err(error) => self.machine.on_request_failed(error, now),
                }
                Poll::Ready(())
            }
            InFlight::Body(body) => match Pin::new(body).poll_next(cx) {
                // The machine may hold back a last piece until it knows that nothing follows at once.
                Poll::Pending if self.machine.on_input_exhausted() => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
                Poll::Ready(piece) => {
                    let now = self.stream.client().runtime().now();
                    match piece {
                        Some(Ok(bytes)) => self.machine.on_bytes(bytes, now),
                        // The same for a body after its end or an error.
                        Some(Err(error)) => {
                            *self.in_flight.get_mut() = InFlight::Nothing;
                            self.fresh_connection = true;
                            self.machine.on_body_broken(error, now);
                        }
                        None => {
                            *self.in_flight.get_mut() = InFlight::Nothing;
                            self.machine.on_body_end(now);
                        }
                    }
                    Poll::Ready(())
                }
            },
        }
    }

    /// Ready when the machine got an input.
    fn poll_wakeup(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let runtime = self.stream.client().runtime();
        let wakeup = self.wakeup.get_mut();
        let now = runtime.now();
        if !std::mem::replace(&mut self.waiting, true) {
            self.machine.on_wait(now);
            // A timer that fell due while the consumer was busy is late for that reason: it shows no suspension.
            if wakeup.as_ref().is_some_and(|wakeup| wakeup.at() <= now) {
                *wakeup = None;
            }
        }
        let next_check = now + CLOCK_CHECK_INTERVAL;
        let due = self.machine.deadline().map_or(next_check, |deadline| deadline.min(next_check));
        // A timer that goes off too early is set again then: to set one for every piece of a body would be slow.
        if wakeup.as_ref().is_none_or(|wakeup| wakeup.at() > due) {
            let client = self.stream.client().clone();
            *wakeup = Some(Wakeup::new(runtime, now, due, move || client.runtime().now()));
        }
        let Some(set) = wakeup else { return Poll::Pending };
        std::task::ready!(set.poll(cx));
        let now = runtime.now();
        // The silence of that time is the consumer's, who read nothing.
        if set.shows_absence(now) {
            self.machine.on_wait(now);
        }
        // Before the deadline: dropping a connection that died meanwhile does not count as a failure.
        if set.shows_suspension(now, runtime.wall_time()) {
            self.machine.on_suspended(now);
            self.fresh_connection = true;
        }
        *wakeup = None;
        self.fresh_connection |= self.machine.on_deadline(now);
        Poll::Ready(())
    }

    /// Sends the request. The future owns all that it needs, so that it can be kept across polls.
    fn send(
        &self,
        request: Request,
        fresh_connection: bool,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        // One attempt. The machine decides about retries, because it knows what was delivered.
        let client = self.stream.http().clone();
        let call = request_call(&self.template, request, self.machine.idle_timeout());
        Box::pin(async move {
            let attempt = client.send_once(&call, fresh_connection).await;
            let is_connection_suspect = is_connection_suspect(&attempt);
            let result = match attempt {
                Ok(response) if response.status.is_success() => Ok(response),
                Ok(response) => Err(client.refusal(&call, response).await.0),
                Err(AttemptError::Refused(error) | AttemptError::Intercepted(error)) => Err(error),
                Err(AttemptError::Transport(error) | AttemptError::CutOff(error)) => {
                    Err(call.transport_error(&error))
                }
            };
            Attempt { result, is_connection_suspect }
        })
    }
}
