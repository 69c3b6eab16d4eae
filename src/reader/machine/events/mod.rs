//! What happens to a request, and what it means.

use super::{
    Ask, DEFAULT_CONTENT_TYPE, Machine, PATIENCE_FOR_EVENTS, PATIENCE_FOR_HEAD, Page, State, Unit,
    next_random,
};
use crate::error::{Error, StreamError, truncate_for_display};
use crate::offset::Offset;
use crate::protocol::content_type;
use crate::protocol::encoding::check_encoding;
use crate::protocol::head::{DataEncoding, Head};
use crate::reader::machine::page::{BodyLength, Boundary};
use crate::reader::machine::session::{Group, Session};
use crate::reader::options::LiveMode;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use std::time::{Duration, Instant};

/// The answer to where the tail is, as far as it has arrived.
#[derive(Debug)]
pub(super) struct Tail {
    boundary: Boundary,
    content: Vec<u8>,
}

impl Tail {
    /// No more is kept than shows whether there is anything but nothing.
    const KEPT: usize = 16;

    /// Whether the answer brought content, which it must not.
    fn has_content(&self) -> bool {
        !matches!(self.content.trim_ascii(), b"" | b"[]")
    }
}

impl Machine {
    /// The head of a successful answer is there.
    pub(in crate::reader) fn on_answer(&mut self, status: StatusCode, headers: &HeaderMap, now: Instant) {
        self.quiet_since = now;
        self.state = State::Body { ended: false };
        // What has no body is in no encoding, whatever it says.
        let encoding = match (status, self.ask) {
            (StatusCode::NO_CONTENT, _) | (_, Ask::Metadata) => Ok(()),
            _ => check_encoding(headers),
        };
        let judged = encoding.and_then(|()| Head::for_read(headers)).and_then(|head| match self.ask {
            Ask::Metadata => self.on_metadata(&head, now),
            Ask::Tail => self.on_tail(head),
            Ask::Page | Ask::LongPoll => self.on_page(status, head, body_length(headers)),
            // No events because none will come: what tells a browser not to connect again.
            Ask::Events if status == StatusCode::NO_CONTENT && head.closed && head.next_offset.is_some() => {
                self.on_page(status, head, BodyLength::Known(0))
            }
            Ask::Events => self.on_events(&head, now),
        });
        if let Err(kind) = judged {
            let error = self.error(kind).with_status(Some(status));
            self.fail(error, now);
        }
    }

    fn on_metadata(&mut self, head: &Head, now: Instant) -> Result<(), StreamError> {
        if let Some(error) = self.gone.take() {
            // The stream is there: it is the data that is not.
            self.fail(error, now);
            return Ok(());
        }
        head.require_offset("head")?;
        self.learn_type(Some(head.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE)))?;
        self.state = State::Idle { until: now };
        Ok(())
    }

    fn on_tail(&mut self, head: Head) -> Result<(), StreamError> {
        let boundary = boundary(head.require_offset("read")?, &head);
        self.learn_type(head.content_type.as_deref())?;
        self.tail = Some(Tail { boundary, content: Vec::new() });
        Ok(())
    }

    fn on_page(&mut self, status: StatusCode, mut head: Head, length: BodyLength) -> Result<(), StreamError> {
        let next = head.require_offset("read")?;
        self.check_order(&next)?;
        let base = self.position.page_start().clone();
        let page = match status {
            StatusCode::OK => {
                self.early_204 = false;
                // Nobody else will tell it.
                let untyped = self.headless.then_some(DEFAULT_CONTENT_TYPE);
                self.learn_type(head.content_type.as_deref().or(untyped))?;
                Page::body(boundary(next, &head), &base, self.unit, length, self.options.max_event_bytes)
            }
            StatusCode::NO_CONTENT => {
                // What a default of a server or proxy says of nothing does not count.
                self.learn_type(None)?;
                // The tail may have moved on since the server looked: what lies between is asked for.
                let here = next == base;
                // One 204 before the tail is a race with an append. A second one in a row is not, for a request that is
                // answered at once.
                if !here && self.ask == Ask::Page && self.early_204 {
                    return Err(StreamError::protocol(format!(
                        "204 No Content after offset {base}, though the server's next offset is {next}"
                    )));
                }
                self.early_204 = !here;
                head.up_to_date &= here;
                head.closed &= here;
                let mut page = Page::nothing(boundary(base.clone(), &head), &base);
                page.stuck = here;
                page
            }
            status => {
                return Err(StreamError::protocol(format!(
                    "the answer to read has the unexpected status {status}"
                )));
            }
        };
        if !self.ready {
            self.etag = head.etag;
            self.ready = true;
        }
        self.page = Some(page);
        Ok(())
    }

    fn on_events(&mut self, head: &Head, now: Instant) -> Result<(), StreamError> {
        let answered = head.content_type.as_deref().unwrap_or("no type");
        let stream_type = self.content_type.clone().or_else(|| self.assumed_type.clone());
        let textual = stream_type
            .as_deref()
            .is_some_and(|kind| content_type::is_json(kind) || content_type::is_text(kind));
        let is_events = content_type::is_event_stream(answered);
        let (base64, unknown) = match &head.data_encoding {
            DataEncoding::Plain => (false, None),
            DataEncoding::Base64 => (true, None),
            DataEncoding::Unknown(name) => (false, Some(name)),
        };
        // Binary content that is not base64 does not survive as an event.
        if !is_events || unknown.is_some() || (!base64 && !textual) {
            if self.options.live == LiveMode::Auto {
                self.give_up_events(now);
                return Ok(());
            }
            if let (true, Some(name)) = (is_events, unknown) {
                return Err(StreamError::protocol(format!(
                    "the server's events carry data as {:?} (Stream-SSE-Data-Encoding), which is unknown here; \
                     read with LiveMode::LongPoll or LiveMode::Auto",
                    truncate_for_display(name)
                )));
            }
            // An answer in the stream's own terms comes from a server that knows no events.
            return Err(if is_events || head.next_offset.is_some() {
                StreamError::SseNotSupported { content_type: stream_type.unwrap_or_default() }
            } else {
                StreamError::ContentTypeMismatch {
                    expected: "text/event-stream".into(),
                    actual: truncate_for_display(answered).into_owned(),
                }
            });
        }
        self.early_204 = false;
        self.learn_type(stream_type.as_deref())?;
        self.session = Some(Session::new(self.sent, base64, self.options.max_event_bytes));
        self.ready = true;
        Ok(())
    }

    /// Remembers the stream's content type, and refuses another one later.
    fn learn_type(&mut self, content_type: Option<&str>) -> Result<(), StreamError> {
        let Some(known) = &self.content_type else {
            // Some servers leave it out where there is no content.
            let Some(content_type) = content_type.or(self.assumed_type.as_deref()) else { return Ok(()) };
            self.unit = Unit::of(content_type);
            if self.start_unit.is_some_and(|unit| unit != self.unit) {
                let unit = match self.unit {
                    Unit::Bytes => "bytes (OFFSET,bN)",
                    Unit::Messages => "messages (OFFSET,mN)",
                };
                let reason = format!("positions in a stream of {content_type} count {unit}");
                return Err(StreamError::config("offset", self.started_at(), reason));
            }
            self.content_type = Some(content_type.to_owned());
            return Ok(());
        };
        match content_type {
            Some(got) if !content_type::same(got, known) => Err(StreamError::Recreated {
                evidence: format!(
                    "its content type was {} and is {} now",
                    truncate_for_display(known),
                    truncate_for_display(got)
                ),
            }),
            _ => Ok(()),
        }
    }

    fn started_at(&self) -> String {
        self.position.checkpoint(self.start_unit.unwrap_or(self.unit)).to_string()
    }

    /// Refuses an offset before the one asked for.
    fn check_order(&self, next: &Offset) -> Result<(), StreamError> {
        let base = self.position.page_start();
        if next < base {
            return Err(StreamError::Recreated { evidence: format!("after offset {base} comes {next}") });
        }
        Ok(())
    }

    /// Events up to a control event: a page of their own.
    pub(super) fn open_group(&mut self, group: Group) -> Result<(), StreamError> {
        self.check_order(&group.next)?;
        let exact = self.content_type.as_deref().is_none_or(|kind| !content_type::is_text(kind));
        let boundary = Boundary {
            next: group.next,
            up_to_date: group.up_to_date,
            closed: group.closed,
            cursor: group.cursor,
        };
        let limit = self.options.max_event_bytes;
        self.page =
            Some(Page::events(boundary, self.position.page_start(), self.unit, exact, group.data, limit));
        Ok(())
    }

    /// The attempt failed before a head arrived, or with a status that is no success.
    pub(in crate::reader) fn on_refused(&mut self, error: Error, now: Instant) {
        if self.ask == Ask::LongPoll && matches!(error.kind(), StreamError::Timeout) {
            let held = now.saturating_duration_since(self.sent);
            if held >= self.options.idle_timeout {
                return self.give_up_long_poll(held, now);
            }
        }
        if let Some(gone) = self.gone.take() {
            let deleted = matches!(error.kind(), StreamError::Gone { .. } | StreamError::NotFound { .. });
            return self.fail(if deleted { gone.with_kind(error.into_kind()) } else { gone }, now);
        }
        if matches!(error.kind(), StreamError::OffsetGone { .. }) {
            // One status for two things: expired data, and a stream that is kept for its forks alone.
            self.abandon();
            self.gone = Some(self.here(error));
            self.state = State::Idle { until: now };
            return;
        }
        if self.ask == Ask::Metadata && matches!(error.kind(), StreamError::NotSupported) {
            self.headless = true;
            self.state = State::Idle { until: now };
            return;
        }
        if self.ask == Ask::Events {
            let status = error.status_code().unwrap_or_default();
            match self.options.live {
                // A plain request tells whether it is the events that are refused, or the stream that is gone.
                LiveMode::Auto
                    if status == 501
                        || (matches!(status, 400..=499)
                            && !matches!(status, 401 | 403 | 408 | 425 | 429)) =>
                {
                    return self.give_up_events(now);
                }
                _ if matches!(status, 405 | 406 | 415 | 501) => {
                    let content_type = self.content_type.as_ref().or(self.assumed_type.as_ref());
                    let content_type = content_type.cloned().unwrap_or_default();
                    return self.fail(error.with_kind(StreamError::SseNotSupported { content_type }), now);
                }
                _ => {}
            }
        }
        let unasked = matches!(error.kind(), StreamError::NotModified) && !self.compares();
        let error = self.here(error).edit(|context| {
            if unasked {
                context.detail = Some("the reader gave none; is a cache on the way out of order?".into());
            }
        });
        self.fail(error, now);
    }

    /// The error with the offset asked for, where it does not say it.
    fn here(&self, error: Error) -> Error {
        error.edit(|context| {
            context.offset.get_or_insert_with(|| self.position.page_start().clone());
        })
    }

    /// A long-poll was held for longer than silence may last. The server may just be a patient one: a plain request,
    /// which it answers at once, tells.
    fn give_up_long_poll(&mut self, held: Duration, now: Instant) {
        self.abandon();
        let wait = self.pace.fruitless(held, next_random(&mut self.random));
        self.state = State::Idle { until: now + wait };
    }

    /// Goes on by long-poll, after a plain request for what was missed, and tries events again later.
    fn give_up_events(&mut self, now: Instant) {
        #[cfg(feature = "tracing")]
        tracing::debug!(url = self.url, "server-sent events do not get through; going on by long-poll");
        self.abandon();
        self.trust.refused(now);
        self.state = State::Idle { until: now };
    }

    /// A part of the body arrived.
    pub(in crate::reader) fn on_bytes(&mut self, bytes: Bytes, now: Instant) {
        self.quiet_since = now;
        if let Some(session) = &mut self.session {
            session.push(bytes);
        } else if let Some(page) = &mut self.page {
            page.push(bytes);
        } else if let Some(tail) = &mut self.tail {
            let room = Tail::KEPT - tail.content.len();
            tail.content.extend_from_slice(&bytes[..bytes.len().min(room)]);
            // It may be all of the stream: that is not waited for.
            if tail.content.len() == Tail::KEPT && tail.has_content() {
                self.fail_with_tail(now);
            }
        } else if let State::Turned { outcome, .. } = &mut self.state {
            outcome.page.push(bytes);
            if !outcome.page.is_over() {
                let kind = StreamError::protocol("an answer goes on after its end");
                let error = self.error(kind);
                self.fail(error, now);
            }
        }
    }

    fn fail_with_tail(&mut self, now: Instant) {
        let kind = StreamError::protocol("the answer to offset=now has content, and must not");
        let error = self.error(kind);
        self.fail(error, now);
    }

    /// The body is complete.
    pub(in crate::reader) fn on_end(&mut self, now: Instant) {
        match &mut self.state {
            State::Body { ended } | State::Turned { ended, .. } => *ended = true,
            _ => return,
        }
        if self.session.is_some() {
            self.session_end = Some(Ok(()));
        } else if let Some(page) = &mut self.page {
            page.finish();
        } else if let Some(tail) = self.tail.take() {
            if tail.has_content() {
                return self.fail_with_tail(now);
            }
            self.ready = true;
            self.position.start_page(tail.boundary.next.clone());
            self.page = Some(Page::nothing(tail.boundary, &self.position.page_start().clone()));
        }
    }

    /// The body broke off.
    pub(in crate::reader) fn on_broken(&mut self, error: TransportError, now: Instant) {
        if self.session.is_some() {
            self.session_end = Some(Err(self.transport_error(error)));
        } else if let Some(page) = &mut self.page {
            page.cut(error.into());
            self.state = State::Body { ended: true };
        } else if let State::Turned { ended, .. } = &mut self.state {
            // All of its content was there.
            *ended = true;
        } else {
            let error = self.transport_error(error);
            self.fail(error, now);
        }
    }

    /// No more of the body has arrived yet. Whether that lets something be taken.
    pub(in crate::reader) fn on_starved(&mut self) -> bool {
        self.page.as_mut().is_some_and(Page::starve)
    }

    /// The consumer is waiting, from now on.
    pub(in crate::reader) fn on_wait(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    /// When something is due though nothing happens.
    pub(in crate::reader) fn deadline(&self) -> Option<Instant> {
        let events_on_trial = self.options.live == LiveMode::Auto && self.ask == Ask::Events;
        match &self.state {
            State::Idle { until } => Some(*until),
            State::Sent if events_on_trial => Some(self.sent + PATIENCE_FOR_HEAD),
            // A patience too long to count never ends.
            State::Body { .. } => self.quiet_since.checked_add(self.patience()),
            State::Turned { drain_until, .. } => *drain_until,
            _ => None,
        }
    }

    /// How long a body may be silent.
    fn patience(&self) -> Duration {
        let idle = self.options.idle_timeout;
        let on_trial = self.options.live == LiveMode::Auto
            && self.session.as_ref().is_some_and(|session| !session.heard);
        if on_trial { idle.min(PATIENCE_FOR_EVENTS) } else { idle }
    }

    /// The time has come.
    pub(in crate::reader) fn on_deadline(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match &mut self.state {
            State::Sent => self.give_up_events(now),
            State::Turned { ended, .. } => *ended = true,
            State::Body { .. } => {
                let patience = self.patience();
                match &self.session {
                    Some(session) if session.heard => self.reconnect(now),
                    Some(_) if self.options.live == LiveMode::Auto => self.give_up_events(now),
                    _ => {
                        let silence = TransportError::new(TransportErrorKind::Timeout)
                            .with_message(format!("silence for {patience:?}"));
                        let error = self.transport_error(silence);
                        self.fail(error, now);
                    }
                }
            }
            State::Idle { .. } | State::Failed(_) | State::Ended => {}
        }
    }

    /// Much more time has passed than anybody meant to wait: the machine slept, and what it was connected
    /// to may be long gone.
    pub(in crate::reader) fn on_slept(&mut self, now: Instant) {
        match &mut self.state {
            State::Sent | State::Body { .. } => self.reconnect(now),
            State::Turned { ended, .. } => *ended = true,
            State::Idle { .. } | State::Failed(_) | State::Ended => {}
        }
    }

    /// Nothing is wrong for certain, but the connection is not to be relied on.
    fn reconnect(&mut self, now: Instant) {
        self.judge_session(now);
        self.abandon();
        self.state = State::Idle { until: now };
    }

    fn transport_error(&self, error: TransportError) -> Error {
        self.with_position(error.into())
    }
}

fn boundary(next: Offset, head: &Head) -> Boundary {
    Boundary { next, up_to_date: head.up_to_date, closed: head.closed, cursor: head.cursor.clone() }
}

fn body_length(headers: &HeaderMap) -> BodyLength {
    match headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok()) {
        Some(length) => BodyLength::Known(length),
        None if headers.contains_key(TRANSFER_ENCODING) => BodyLength::Framed,
        None => BodyLength::UntilClose,
    }
}

#[cfg(test)]
mod tests;
