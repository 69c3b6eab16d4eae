//! What to do when there is nothing to take.

use super::machine_core::Machine;
use super::page::{Arrival, Boundary, Page};
use super::request::{Request, RequestKind};
use super::sse_connection::{SseError, SseGroup};
use super::state::{Draining, State};
use crate::error::{Error, StreamError};
use crate::reader::options::LiveMode;
use crate::reader::position::Unit;
use std::time::{Duration, Instant};

/// How long a body may take to end after all of its content was taken.
pub(super) const MAX_DRAIN_TIME: Duration = Duration::from_secs(1);

/// What the driver is to do next.
#[derive(Debug)]
pub(in crate::reader) enum Action {
    /// Drop what is in flight, and send this.
    Send(Box<Request>),
    /// Poll what is in flight: the request, or the body.
    Receive,
    /// Drop what is in flight, and wait for the deadline.
    Wait,
    /// There is content to take.
    Take,
    /// End with this error.
    Fail(Error),
    /// End.
    End,
}

impl Machine {
    /// What to do, when there is nothing to take.
    pub(in crate::reader) fn next_action(&mut self, now: Instant) -> Action {
        // Each iteration returns, or changes to a state that is closer to a return.
        loop {
            match &mut self.state {
                State::Waiting { until } if now < *until => return Action::Wait,
                State::Waiting { .. } => return Action::Send(Box::new(self.start_request(now))),
                State::CheckingGone { sent: true, .. } => return Action::Receive,
                // The HEAD is about the stream as a whole: its offset does not matter.
                State::CheckingGone { sent, .. } => {
                    *sent = true;
                    return Action::Send(Box::new(self.request(RequestKind::Head)));
                }
                State::Requesting(_) | State::ResolvingTail(_) => return Action::Receive,
                State::ReadingPage(response) => match &response.page.arrival {
                    Arrival::Receiving => return Action::Receive,
                    // A complete page gives something when it is asked, at least its end, and leaves this state with it.
                    Arrival::Complete => return Action::Take,
                    Arrival::Broken(kind) => {
                        let kind = kind.clone();
                        self.fail(self.locate(kind), now);
                    }
                    Arrival::Misfit(kind) => {
                        let kind = kind.clone();
                        self.on_misfit(self.locate(kind), now);
                    }
                },
                State::ReadingSse(response) => match &response.group {
                    Some(Page { arrival: Arrival::Broken(kind), .. }) => {
                        let kind = kind.clone();
                        self.fail(self.locate(kind), now);
                    }
                    Some(Page { arrival: Arrival::Misfit(kind), .. }) => {
                        let kind = kind.clone();
                        self.on_misfit(self.locate(kind), now);
                    }
                    // A group is complete from the beginning.
                    Some(_) => return Action::Take,
                    None => {
                        if let Some(action) = self.next_group(now) {
                            return action;
                        }
                    }
                },
                // The page was delivered. Its body's end is waited for only when the consumer asks for more, and not for long:
                // a connection that is read to its end can be used again.
                State::Draining(draining) if !draining.response.body_ended => {
                    draining.drain_until.get_or_insert(now + MAX_DRAIN_TIME);
                    return Action::Receive;
                }
                State::Draining(_) => {
                    if let State::Draining(draining) =
                        std::mem::replace(&mut self.state, State::Waiting { until: now })
                    {
                        self.after_page(&draining, now);
                    }
                }
                // The error is returned once. After it comes `End`.
                State::Failed(_) => {
                    if let State::Failed(error) = std::mem::replace(&mut self.state, State::Ended) {
                        return Action::Fail(error);
                    }
                }
                State::Ended => return Action::End,
            }
        }
    }

    /// Continues an event stream whose groups so far were taken: with the next group, or its end.
    fn next_group(&mut self, now: Instant) -> Option<Action> {
        let State::ReadingSse(response) = &mut self.state else { return None };
        match response.connection.next_group() {
            // A group may be empty. It still moves the position, and may report the tail.
            Ok(Some(group)) => match self.open_group(group) {
                Ok(()) => return Some(Action::Take),
                Err(kind) => self.on_misfit(self.locate(kind), now),
            },
            // The event stream worked. Its health is not affected.
            Err(SseError::TooLarge) => {
                self.catch_up.on_oversized_event();
                self.interrupt(State::Waiting { until: now });
            }
            Err(SseError::Invalid(kind)) => self.fail(self.locate(kind), now),
            // Groups that have arrived come before the end, also if the connection broke.
            Ok(None) => match response.end.take() {
                None => return Some(Action::Receive),
                Some(Ok(())) => self.after_sse(now),
                Some(Err(error)) => self.fail(error, now),
            },
        }
        None
    }

    /// The events up to a control event become a page of their own.
    fn open_group(&mut self, group: SseGroup) -> Result<(), StreamError> {
        self.eventless_since = None;
        self.check_order(&group.control.next_offset)?;
        // Text cannot be counted inside a group. Content of unknown type came as base64, which is exact.
        let divisible = self.stream.is_exact_in_events() != Some(false);
        let page = Page::of_events(
            Boundary::of_control(group.control),
            self.position.page_start(),
            self.stream.unit(),
            divisible,
            group.data,
            self.options.max_event_bytes,
        );
        // The state has not changed since the group was parsed: only `check_order` came between, which changes nothing.
        if let State::ReadingSse(response) = &mut self.state {
            response.group = Some(page);
        }
        Ok(())
    }

    /// An event stream has ended in good order, as servers do now and then. Data without its control event is dropped: the
    /// next request asks for it again.
    fn after_sse(&mut self, now: Instant) {
        let State::ReadingSse(response) = std::mem::replace(&mut self.state, State::Waiting { until: now })
        else {
            return;
        };
        self.record_sse_end(&response, now);
        // Without a delay, a server that ends every event stream at once would be asked in a loop.
        let delivered_data = response.connection.delivered_data;
        let delay = self.pacing.delay_after_event_stream(response.lifetime(now), delivered_data);
        self.state = State::Waiting { until: now + delay };
    }

    /// What follows from a page that was taken, and whose body has ended. The state is `Waiting` until now.
    fn after_page(&mut self, draining: &Draining, now: Instant) {
        let (request, outcome) = (draining.response.request, draining.outcome);
        let has_content = draining.response.page.has_content;
        if outcome.is_short {
            // A cache may have answered with an older page. If the origin has less than was read before, the stream is another one.
            if self.conditions.on_misfit() {
                let error = self.locate_at(draining.response.offset.clone(), self.shorter_than_read());
                self.fail_response(Some(request), error, now);
            }
            return;
        }
        self.conditions.on_response(has_content);
        // Without a live mode, the tail is the end. So is the end of the stream in every mode.
        if outcome.closed || (self.options.live == LiveMode::Off && outcome.up_to_date) {
            self.state = State::Ended;
            return;
        }
        // See the rule at `Pacing`.
        if request.kind == RequestKind::LongPoll {
            self.pacing.on_long_poll_response();
        }
        if let Err(kind) = self.catch_up.on_page_end(has_content, outcome.up_to_date) {
            let error = self.locate_at(draining.response.offset.clone(), kind);
            return self.fail_response(Some(request), error, now);
        }
        // The time that the server held the request counts as spacing.
        if !has_content {
            let took = now.saturating_duration_since(request.at);
            let delay = self.pacing.delay_after_empty_response(took);
            self.state = State::Waiting { until: now + delay };
        }
    }

    fn shorter_than_read(&self) -> StreamError {
        let missing = self.position.to_skip();
        let unit = match self.stream.unit() {
            Unit::Bytes => "bytes",
            Unit::Messages => "messages",
        };
        StreamError::Recreated {
            evidence: format!("it ends {missing} {unit} before the position that was read up to"),
        }
    }
}
