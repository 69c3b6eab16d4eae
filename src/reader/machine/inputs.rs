//! What happens to a body, and to time.

use super::machine_core::Machine;
use super::page::{Invalid, Page};
use super::request::RequestKind;
use super::state::{PageResponse, State};
use crate::error::StreamError;
use crate::reader::options::LiveMode;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use std::time::{Duration, Instant};

/// How long `LiveMode::Auto` waits for the head of an event stream, and then for its first byte, before it takes the
/// stream for one that a proxy buffers. Servers send the head and a first event at once.
pub(super) const SSE_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const SSE_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

impl Machine {
    /// A part of the body arrived.
    pub(in crate::reader) fn on_bytes(&mut self, bytes: Bytes, now: Instant) {
        self.silent_since = now;
        match &mut self.state {
            // `next_action` parses, one group at a time, so that parsed groups do not pile up.
            State::ReadingSse(response) => {
                self.eventless_since.get_or_insert(now);
                response.connection.push(bytes);
            }
            State::ReadingPage(response) => response.page.push(bytes),
            // It may be all of the stream: the rest is not waited for.
            State::ResolvingTail(response) => {
                if response.push(&bytes) {
                    self.fail_with_content_at_tail(now);
                }
            }
            State::Draining(draining) => {
                let page = &mut draining.response.page;
                page.push(bytes);
                // White space may follow the array, more content may not: it would be lost.
                if !page.find_end() {
                    let kind = StreamError::protocol("the response continues after its end");
                    let offset = draining.response.offset.clone();
                    let error = self.locate_at(offset, kind);
                    self.fail(error, now);
                }
            }
            // No body is in flight.
            State::Waiting { .. }
            | State::Requesting(_)
            | State::CheckingGone { .. }
            | State::Failed(_)
            | State::Ended => {}
        }
    }

    fn fail_with_content_at_tail(&mut self, now: Instant) {
        let kind = StreamError::protocol("the response to offset=now has content, and must not");
        self.on_misfit(self.locate(kind), now);
    }

    /// The body is complete.
    pub(in crate::reader) fn on_body_end(&mut self, now: Instant) {
        match &mut self.state {
            State::ReadingSse(response) => response.end = Some(Ok(())),
            State::ReadingPage(response) => {
                response.body_ended = true;
                response.page.on_body_end();
                let page = &response.page;
                let must_have_content = self.position.must_have_content(page.boundary.up_to_date);
                if page.has_empty_body() && !page.no_advance && must_have_content {
                    response.page.invalidate(Invalid::NoContent);
                }
            }
            State::Draining(draining) => draining.response.body_ended = true,
            State::ResolvingTail(_) => self.resolve_tail(now),
            State::Waiting { .. }
            | State::Requesting(_)
            | State::CheckingGone { .. }
            | State::Failed(_)
            | State::Ended => {}
        }
    }

    /// The tail's offset is known: the reader starts there, with an empty page that reports the flags of the response.
    fn resolve_tail(&mut self, now: Instant) {
        let State::ResolvingTail(response) = &mut self.state else { return };
        if response.has_content() {
            return self.fail_with_content_at_tail(now);
        }
        // From here on the position has an offset of the server's. A failure before this asks for `now` again, which may be
        // a later tail. The reader has not started before this, so that no data is missed.
        let (request, boundary) = (response.request, response.boundary.clone());
        let offset = self.position.page_start().clone();
        self.position.start_page(boundary.next.clone());
        let page = Page::empty(boundary);
        self.state = State::ReadingPage(Box::new(PageResponse { request, offset, page, body_ended: true }));
        self.on_first_response();
    }

    /// The body broke off.
    pub(in crate::reader) fn on_body_broken(&mut self, error: TransportError, now: Instant) {
        match &mut self.state {
            State::ReadingSse(_) => {
                // Complete groups that have arrived are taken first. The error is kept with the offset of now.
                let end = Err(self.locate(error));
                if let State::ReadingSse(response) = &mut self.state {
                    response.end = Some(end);
                }
            }
            State::ReadingPage(response) => {
                // What has arrived is taken first. `next_action` reports the failure after that.
                let page = &mut response.page;
                page.on_body_broken(error.into());
                response.body_ended = true;
            }
            // All of its content was there.
            State::Draining(draining) => draining.response.body_ended = true,
            State::ResolvingTail(_) => self.fail(self.locate(error), now),
            State::Waiting { .. }
            | State::Requesting(_)
            | State::CheckingGone { .. }
            | State::Failed(_)
            | State::Ended => {}
        }
    }

    /// The body has nothing more at the moment. Returns whether something can be taken for that reason.
    pub(in crate::reader) fn on_input_exhausted(&mut self) -> bool {
        self.state.page_mut().is_some_and(Page::on_input_exhausted)
    }

    /// The consumer waits from now on: silence before that does not count.
    pub(in crate::reader) fn on_wait(&mut self, now: Instant) {
        self.silent_since = now;
    }

    /// When `on_deadline` is due, if nothing else happens before.
    pub(in crate::reader) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            // Other requests have deadlines in the exchange below.
            State::Requesting(request)
                if self.options.live == LiveMode::Auto && request.kind == RequestKind::Sse =>
            {
                Some(request.at.max(self.silent_since) + SSE_HEAD_TIMEOUT)
            }
            // A silence whose end lies beyond the clock has no deadline.
            State::ResolvingTail(_) | State::ReadingPage(_) => {
                self.silent_since.checked_add(self.max_silence())
            }
            State::ReadingSse(_) => {
                let silence = self.silent_since.checked_add(self.max_silence());
                let comments =
                    self.eventless_since.and_then(|since| since.checked_add(self.options.event_timeout));
                [silence, comments].into_iter().flatten().min()
            }
            State::Draining(draining) => draining.drain_until,
            State::Requesting(_) | State::CheckingGone { .. } | State::Failed(_) | State::Ended => None,
        }
    }

    /// How long the body in flight may be silent.
    fn max_silence(&self) -> Duration {
        // Never more than the idle timeout, which may be the shorter of the two.
        let idle = self.options.idle_timeout;
        match &self.state {
            // Until the first byte, a proxy may be buffering the events.
            State::ReadingSse(response)
                if self.options.live == LiveMode::Auto && !response.connection.received_bytes =>
            {
                idle.min(SSE_FIRST_BYTE_TIMEOUT)
            }
            // Also for an event stream after its first byte: servers send a control event at least once a minute.
            _ => idle,
        }
    }

    /// The deadline may have passed. Returns whether a response was given up that did not come: its connection may be dead.
    pub(in crate::reader) fn on_deadline(&mut self, now: Instant) -> bool {
        // The driver's timer may go off early: it is kept when the deadline moves back.
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        // The rest of a page that is drained is not waited for, and a delay before a request is no silence.
        let is_silence = !matches!(self.state, State::Draining(_) | State::Waiting { .. });
        match &mut self.state {
            // Only the request for an event stream in `Auto` has a deadline here: SSE_HEAD_TIMEOUT has passed.
            State::Requesting(_) => self.fall_back_to_long_poll(now),
            // All of its content was taken. The connection cannot be used again, but the reader can go on.
            State::Draining(draining) => draining.response.body_ended = true,
            // An event stream is silent while nothing is appended. Another connection shows whether this one was dead.
            State::ReadingSse(response) if response.connection.received_bytes => self.reconnect(now),
            State::ReadingSse(_) if self.options.live == LiveMode::Auto => self.fall_back_to_long_poll(now),
            State::ReadingSse(_) | State::ReadingPage(_) | State::ResolvingTail(_) => {
                let silence = TransportError::new(TransportErrorKind::Timeout)
                    .with_message(format!("silence for {:?}", self.max_silence()));
                self.fail(self.locate(silence), now);
            }
            // `next_action` compares the times itself.
            State::Waiting { .. } | State::CheckingGone { .. } | State::Failed(_) | State::Ended => {}
        }
        is_silence
    }

    /// Much more time has passed than was waited for: the computer was suspended, and its connections may be dead without
    /// an error.
    pub(in crate::reader) fn on_suspended(&mut self, now: Instant) {
        match &mut self.state {
            State::Requesting(_) | State::ResolvingTail(_) | State::ReadingPage(_) | State::ReadingSse(_) => {
                self.reconnect(now)
            }
            State::CheckingGone { sent, .. } => *sent = false,
            State::Draining(draining) => draining.response.body_ended = true,
            // A delay before a request is not cut short.
            State::Waiting { .. } | State::Failed(_) | State::Ended => {}
        }
    }
}
