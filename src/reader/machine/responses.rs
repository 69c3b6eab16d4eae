//! What the head of a response means, or that there is none.

use super::machine_core::Machine;
use super::page::{BodyLength, Boundary, Page, no_content};
use super::request::{RequestKind, SentRequest};
use super::sse_connection::SseConnection;
use super::state::{PageResponse, SseResponse, State, TailResponse};
use crate::error::{Error, StreamError, truncate_for_display};
use crate::offset::Offset;
use crate::protocol::content_type;
use crate::protocol::content_type::DEFAULT_CONTENT_TYPE;
use crate::protocol::encoding::check_encoding;
use crate::protocol::head::{DataEncoding, Head};
use crate::reader::options::LiveMode;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, Instant};

/// Why the head of a response is not accepted.
enum Refused {
    /// It cannot be the answer to the request: a cache may have answered, or a proxy dropped the body.
    Misfit(StreamError),
    Invalid(StreamError),
}

impl From<StreamError> for Refused {
    fn from(error: StreamError) -> Self {
        Self::Invalid(error)
    }
}

impl Machine {
    /// The head of a successful response has arrived.
    pub(in crate::reader) fn on_response(&mut self, status: StatusCode, headers: &HeaderMap, now: Instant) {
        self.silent_since = now;
        match std::mem::replace(&mut self.state, State::Waiting { until: now }) {
            // The request leaves the state here. A failure below is one of the response, not of a long-poll that was held.
            State::Requesting(request) => {
                let (kind, is_misfit) = match self.open_response(request, status, headers, now) {
                    Ok(()) => return,
                    Err(Refused::Misfit(kind)) => (kind, true),
                    Err(Refused::Invalid(kind)) => (kind, false),
                };
                if is_misfit && !self.conditions.on_misfit() {
                    return self.interrupt(State::Waiting { until: now });
                }
                let error = self.locate(kind).with_status(Some(status));
                self.fail_response(Some(request), error, now);
            }
            // The stream exists: it is the data that is gone.
            State::CheckingGone { gone, .. } => self.fail_response(None, gone, now),
            // A response that the driver should have dropped.
            state => self.state = state,
        }
    }

    /// Goes from `Waiting`, which stands in for the request's state, to the state of the response.
    fn open_response(
        &mut self,
        request: SentRequest,
        status: StatusCode,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<(), Refused> {
        // A response without a body is in no encoding, whatever its headers claim.
        if status != StatusCode::NO_CONTENT && request.kind != RequestKind::Head {
            check_encoding(headers)?;
        }
        let head = Head::for_read(headers)?;
        match request.kind {
            RequestKind::Head => Ok(self.on_head(&head)?),
            // Every status of success is accepted here: only the offset counts.
            RequestKind::Tail => Ok(self.on_tail(request, head)?),
            RequestKind::Page | RequestKind::LongPoll => {
                self.on_page(request, status, head, BodyLength::of(headers))
            }
            // No event stream, because there will be no more events. Browsers do not reconnect after a 204.
            RequestKind::Sse
                if status == StatusCode::NO_CONTENT && head.closed && head.next_offset.is_some() =>
            {
                self.on_page(request, status, head, BodyLength::Known(0))
            }
            RequestKind::Sse => Ok(self.on_sse(request, &head, now)?),
        }
    }

    fn on_head(&mut self, head: &Head) -> Result<(), StreamError> {
        // A response without an offset is not one of the protocol, so that its content type says nothing.
        head.require_offset("head")?;
        let content_type = head.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
        self.stream.learn_type(Some(content_type), &self.position)
    }

    fn on_tail(&mut self, request: SentRequest, head: Head) -> Result<(), StreamError> {
        let next = head.require_offset("read")?;
        // The reader has not started yet: the body may show that the server ignored `offset=now`.
        self.stream.learn_type(head.content_type.as_deref(), &self.position)?;
        let response = TailResponse::new(request, Boundary::of_response(next, head));
        self.state = State::ResolvingTail(Box::new(response));
        Ok(())
    }

    fn on_page(
        &mut self,
        request: SentRequest,
        status: StatusCode,
        mut head: Head,
        length: BodyLength,
    ) -> Result<(), Refused> {
        let next = head.require_offset("read")?;
        self.check_order(&next).map_err(Refused::Misfit)?;
        let etag = head.etag.take();
        let base = self.position.page_start().clone();
        let must_have_content = next != base && self.position.must_have_content(head.up_to_date);
        if status == StatusCode::OK && length == BodyLength::Known(0) && must_have_content {
            return Err(Refused::Misfit(no_content(&next)));
        }
        let page = match status {
            StatusCode::OK => {
                self.catch_up.on_response();
                // Where HEAD is refused, this response is the only one that could name the type.
                let fallback = self.head_unsupported.then_some(DEFAULT_CONTENT_TYPE);
                self.stream.learn_type(head.content_type.as_deref().or(fallback), &self.position)?;
                let limit = self.options.max_event_bytes;
                Page::arriving(Boundary::of_response(next, head), &base, self.stream.unit(), length, limit)
            }
            StatusCode::NO_CONTENT => {
                // A content type that a server or proxy adds to every response does not count.
                self.stream.learn_type(None, &self.position)?;
                let at_tail = next == base;
                if !self.catch_up.accept_204(at_tail, request.kind == RequestKind::Page) {
                    return Err(Refused::Invalid(StreamError::protocol(format!(
                        "204 No Content after offset {base}, though the server's next offset is {next}"
                    ))));
                }
                // The tail has moved on since the server looked. The reader stays where it is, and asks for what lies
                // between; the flags describe the tail, not this position.
                let boundary = Boundary {
                    up_to_date: head.up_to_date && at_tail,
                    closed: head.closed && at_tail,
                    more_follows: !at_tail,
                    ..Boundary::of_response(base, head)
                };
                Page::empty(boundary)
            }
            status => {
                return Err(Refused::Invalid(StreamError::protocol(format!(
                    "the response to read has the unexpected status {status}"
                ))));
            }
        };
        // The tag of the first response identifies what the reader began with. Those of later pages are other pages' tags.
        if !self.started {
            self.stream.etag = etag;
            self.on_first_response();
        }
        self.state = State::ReadingPage(Box::new(PageResponse {
            request,
            offset: self.position.page_start().clone(),
            page,
            body_ended: false,
        }));
        Ok(())
    }

    fn on_sse(&mut self, request: SentRequest, head: &Head, now: Instant) -> Result<(), StreamError> {
        let response_type = head.content_type.as_deref().unwrap_or("no type");
        // The response's own type is `text/event-stream`. What the events carry is known from elsewhere, or not at all.
        let stream_type = self.stream.expected_type().map(str::to_owned);
        let is_textual = stream_type
            .as_deref()
            .is_some_and(|kind| content_type::is_json(kind) || content_type::is_text(kind));
        let is_event_stream = content_type::is_event_stream(response_type);
        let (is_base64, unknown_encoding) = match &head.data_encoding {
            DataEncoding::Plain => (false, None),
            DataEncoding::Base64 => (true, None),
            DataEncoding::Unknown(name) => (false, Some(name)),
        };
        // Binary content that is not base64 does not survive as an event.
        if is_event_stream && unknown_encoding.is_none() && (is_base64 || is_textual) {
            self.catch_up.on_response();
            self.stream.learn_type(stream_type.as_deref(), &self.position)?;
            self.on_first_response();
            let connection = SseConnection::new(is_base64, self.options.max_event_bytes);
            self.eventless_since = None;
            self.state = State::ReadingSse(Box::new(SseResponse::new(request, connection)));
            return Ok(());
        }
        // `Auto` has a fallback. With `Sse` the caller gets the reason.
        if self.options.live == LiveMode::Auto {
            self.fall_back_to_long_poll(now);
            return Ok(());
        }
        if let (true, Some(name)) = (is_event_stream, unknown_encoding) {
            return Err(StreamError::protocol(format!(
                "the server's events carry data as {:?} (Stream-SSE-Data-Encoding), which is unknown here; \
                 read with LiveMode::LongPoll or LiveMode::Auto",
                truncate_for_display(name)
            )));
        }
        // A response with an offset comes from a server of the protocol, which serves no event streams. Any other comes from
        // another server, or a proxy.
        Err(if is_event_stream || head.next_offset.is_some() {
            StreamError::SseNotSupported { content_type: stream_type.unwrap_or_default() }
        } else {
            StreamError::ContentTypeMismatch {
                expected: "text/event-stream".into(),
                actual: truncate_for_display(response_type).into_owned(),
            }
        })
    }

    /// Refuses an offset before the one asked for.
    pub(super) fn check_order(&self, next: &Offset) -> Result<(), StreamError> {
        // Offsets are ordered as strings (protocol §8). Equal ones are a page without content.
        let base = self.position.page_start();
        if next < base {
            return Err(StreamError::Recreated { evidence: format!("after offset {base} comes {next}") });
        }
        Ok(())
    }

    /// The request failed: there is no response, or its status is not a success.
    pub(in crate::reader) fn on_request_failed(&mut self, error: Error, now: Instant) {
        let request = match std::mem::replace(&mut self.state, State::Waiting { until: now }) {
            State::Requesting(request) => request,
            State::CheckingGone { gone, .. } => {
                let is_deleted =
                    matches!(error.kind(), StreamError::Gone { .. } | StreamError::NotFound { .. });
                // The offset and the attempts of the first error describe the read that failed.
                let error = if is_deleted { gone.with_kind(error.into_kind()) } else { gone };
                return self.fail_response(None, error, now);
            }
            // A request that the driver should have dropped.
            state => {
                self.state = state;
                return;
            }
        };
        let took = now.saturating_duration_since(request.at);
        match (request.kind, error.kind()) {
            (RequestKind::LongPoll, StreamError::Timeout) if took >= self.options.idle_timeout => {
                self.give_up_long_poll(took, now);
            }
            // One status for two things: expired data, and a stream that is kept for its forks alone.
            (_, StreamError::OffsetGone { .. }) => {
                let gone = self.with_offset(error);
                self.interrupt(State::CheckingGone { gone, sent: false });
            }
            // The state is `Waiting`, so that the plain request follows at once.
            (RequestKind::Head, StreamError::NotSupported) => self.head_unsupported = true,
            (RequestKind::Sse, _) => self.on_sse_failed(request, error, now),
            _ => self.fail_request(request, error, now),
        }
    }

    fn on_sse_failed(&mut self, request: SentRequest, error: Error, now: Instant) {
        match (self.options.live, error.status_code().unwrap_or_default()) {
            // These have causes of their own, with other requests too: credentials, timeouts, rate limits.
            (LiveMode::Auto, 401 | 403 | 408 | 421 | 425 | 429) => self.fail_request(request, error, now),
            // Something on the way may answer event streams alone. A plain request shows it.
            (LiveMode::Auto, 200..=299) => self.fall_back_to_long_poll(now),
            // A plain request shows whether it is the event stream that is refused, or the stream that is gone.
            (LiveMode::Auto, 501 | 400..=499) => self.fall_back_to_long_poll(now),
            // `Sse`: the codes that refuse the kind of request rather than this one.
            (_, 405 | 406 | 415 | 501) => {
                let content_type = self.stream.expected_type().unwrap_or_default().to_owned();
                let kind = StreamError::SseNotSupported { content_type };
                self.fail_response(Some(request), error.with_kind(kind), now);
            }
            _ => self.fail_request(request, error, now),
        }
    }

    /// The request failed, in a way that is not special to its kind.
    fn fail_request(&mut self, request: SentRequest, error: Error, now: Instant) {
        let mut error = self.with_offset(error);
        if matches!(error.kind(), StreamError::NotModified) && !self.sent_etag(request) {
            let detail = "the reader sent no entity tag; check the caches on the way";
            error = error.with_detail(detail.into());
        }
        // `fail` judges the request by the state: a long-poll that was held counts as a sign of health.
        self.state = State::Requesting(request);
        self.fail(error, now);
    }

    /// Whether the request asked for a page with another entity tag.
    fn sent_etag(&self, request: SentRequest) -> bool {
        request.kind == RequestKind::Page && self.conditions.if_none_match().is_some()
    }

    /// The error with the offset asked for, if it has none.
    fn with_offset(&self, error: Error) -> Error {
        error.edit(|context| {
            context.offset.get_or_insert_with(|| self.position.page_start().clone());
        })
    }

    /// A long-poll was held for longer than the allowed silence. The server may hold them that long: a plain request, which
    /// it answers at once, shows whether it is alive.
    fn give_up_long_poll(&mut self, held: Duration, now: Instant) {
        // The delay is zero unless the idle timeout is below MIN_SPACING.
        let delay = self.pacing.delay_after_empty_response(held);
        self.interrupt(State::Waiting { until: now + delay });
    }

    /// Continues by long-poll, after a plain request that catches up, and tries event streams again after the cooldown.
    pub(super) fn fall_back_to_long_poll(&mut self, now: Instant) {
        #[cfg(feature = "tracing")]
        tracing::debug!(url = self.url, "event stream unavailable; falling back to long-poll");
        self.sse_health.on_unsupported(now);
        self.interrupt(State::Waiting { until: now });
    }
}
