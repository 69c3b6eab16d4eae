//! The machine itself: what it knows, and what it does after a failure. Its inputs and outputs are in the files beside.

use super::catch_up::CatchUp;
use super::conditions::Conditions;
use super::pacing::Pacing;
use super::request::{RequestKind, SentRequest};
use super::sse_health::SseHealth;
use super::state::{SseResponse, State};
use super::stream_info::StreamInfo;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorAction;
use crate::offset::Offset;
use crate::outage::{FailedAttempt, OutageWatch};
use crate::protocol::content_type::DEFAULT_CONTENT_TYPE;
use crate::reader::options::{LiveMode, Options};
use crate::reader::output::Status;
use crate::reader::position::Position;
use crate::retry::OPERATION_BUDGET;
use durable_streams_contract::TransportErrorKind;
use std::time::{Duration, Instant};

/// A reader without I/O. The module's page has its states and its contract.
#[derive(Debug)]
pub(in crate::reader) struct Machine {
    pub(super) options: Options,
    pub(super) url: String,
    pub(super) state: State,
    pub(super) position: Position,
    pub(super) stream: StreamInfo,
    pub(super) reported: Reported,
    /// The first response to what the consumer asked for has arrived.
    pub(super) started: bool,
    pub(super) catch_up: CatchUp,
    pub(super) conditions: Conditions,
    /// The server refuses HEAD. A plain request gives the content type instead.
    pub(super) head_unsupported: bool,
    pub(super) pacing: Pacing,
    pub(super) sse_health: SseHealth,
    /// The start of the current silence: when the last byte or head arrived, or when the consumer began to wait, if that
    /// was later.
    pub(super) silent_since: Instant,
    /// When the first byte arrived after the last event of the event stream that is open. Comments alone follow until the next
    /// event.
    pub(super) eventless_since: Option<Instant>,
    /// Since when the port has answered in another protocol, before the first response.
    pub(super) foreign_since: Option<Instant>,
    pub(super) outage: OutageWatch,
}

/// What was reported to the consumer last.
#[derive(Debug, Default)]
pub(super) struct Reported {
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
    /// The checkpoint before messages that could not be deserialized, until one after them can be. It hides the position
    /// reached, so that a restart reads them again.
    pub(super) before_failed_items: Option<Checkpoint>,
}

impl Machine {
    /// A reader from `start` on. `random` seeds its jitter.
    pub(in crate::reader) fn new(
        mut options: Options,
        url: String,
        start: &Checkpoint,
        assumed_type: Option<String>,
        now: Instant,
        random: u64,
    ) -> Self {
        let (position, start_unit) = Position::new(start);
        // A catch-up read has an end, and its caller waits for it. A live reader survives an outage of any length.
        let retry = match options.live {
            LiveMode::Off => options.retry.bounded_by(OPERATION_BUDGET),
            _ => options.retry.clone(),
        };
        Self {
            outage: OutageWatch::new(options.connection_status.clone()),
            eventless_since: None,
            foreign_since: None,
            conditions: Conditions::new(options.if_none_match.take()),
            options,
            url,
            state: State::Waiting { until: now },
            position,
            stream: StreamInfo::new(start_unit, assumed_type),
            reported: Reported::default(),
            started: false,
            catch_up: CatchUp::default(),
            head_unsupported: false,
            pacing: Pacing::new(retry, random),
            sse_health: SseHealth::default(),
            silent_since: now,
        }
    }

    /// Whether the stream has responded. Before that there is nothing to take.
    pub(in crate::reader) fn is_started(&self) -> bool {
        self.started
    }

    pub(in crate::reader) fn idle_timeout(&self) -> Duration {
        self.options.idle_timeout
    }

    pub(in crate::reader) fn content_type(&self) -> Option<&str> {
        self.stream.content_type()
    }

    #[cfg(feature = "json")]
    pub(in crate::reader) fn url(&self) -> &str {
        &self.url
    }

    /// What is known about the content that was taken.
    pub(in crate::reader) fn status(&self) -> Status<'_> {
        // A checkpoint after a failed item would make a restart skip it.
        let reached = || self.position.checkpoint(self.stream.unit());
        Status {
            checkpoint: self.reported.before_failed_items.clone().unwrap_or_else(reached),
            offset: self.position.page_start(),
            cursor: self.stream.cursor.as_deref(),
            up_to_date: self.reported.up_to_date,
            closed: self.reported.closed,
            content_type: self.stream.content_type().unwrap_or(DEFAULT_CONTENT_TYPE),
            etag: self.stream.etag.as_deref(),
            unit: self.stream.unit(),
        }
    }

    /// The first response has arrived.
    pub(super) fn on_first_response(&mut self) {
        self.started = true;
        self.conditions.on_started();
    }

    /// Drops the response in flight, and continues in the state `next`.
    ///
    /// What was taken of its page is skipped when the page is read again, and a live reader catches up by a plain request
    /// first: data may have been appended meanwhile, and a cache can answer that request.
    pub(super) fn interrupt(&mut self, next: State) {
        // The old state goes first: it owns the page, or the event stream with data that has no control event yet. Nothing of
        // it may reach the next response.
        self.state = next;
        self.catch_up.restart();
        self.position.restart_page();
    }

    /// Gives up a connection that may be dead. That is not a failure.
    pub(super) fn reconnect(&mut self, now: Instant) {
        // The end of an event stream is recorded, in whatever way it ends. A page or a long-poll leaves no record.
        if let State::ReadingSse(response) = std::mem::replace(&mut self.state, State::Waiting { until: now })
        {
            self.record_sse_end(&response, now);
        }
        self.interrupt(State::Waiting { until: now });
    }

    /// Records the end of an event stream, for the retry budget and for the choice between event streams and long-polls.
    pub(super) fn record_sse_end(&mut self, response: &SseResponse, now: Instant) {
        // Counted from the request, so that a slow head counts as time that the server held it.
        let lifetime = response.lifetime(now);
        self.pacing.on_event_stream_end(response.connection.reconnection_time());
        self.sse_health.on_end(now, lifetime, response.connection.delivered_data);
        self.pacing.on_live_request_end(lifetime, response.connection.received_control);
    }

    /// The request or response in flight failed.
    pub(super) fn fail(&mut self, error: Error, now: Instant) {
        match std::mem::replace(&mut self.state, State::Waiting { until: now }) {
            // Not `fail_response`: how long the event stream lived decides whether it was a failure of event streams.
            State::ReadingSse(response) => {
                self.record_sse_end(&response, now);
                self.retry_or_stop(error, now);
            }
            state => {
                // The server answered before it held the long-poll. Whatever ended it then, a proxy's timeout for instance,
                // is not a sequel to an earlier failure.
                if let State::Requesting(request) = &state
                    && request.kind == RequestKind::LongPoll
                {
                    self.pacing.on_live_request_end(now.saturating_duration_since(request.at), true);
                }
                self.fail_response(state.request(), error, now);
            }
        }
    }

    /// The response in flight cannot be the answer to its request. The request is repeated once, past all caches; a second
    /// such response in a row is a failure.
    pub(super) fn on_misfit(&mut self, error: Error, now: Instant) {
        if self.conditions.on_misfit() {
            self.fail(error, now);
        } else {
            self.reconnect(now);
        }
    }

    /// The response to `request`, which is no longer part of the state, failed.
    pub(super) fn fail_response(&mut self, request: Option<SentRequest>, error: Error, now: Instant) {
        // An event stream that did not even begin counts like one that ended at once.
        if request.is_some_and(|request| request.kind == RequestKind::Sse) {
            self.sse_health.on_failure(now);
        }
        self.retry_or_stop(error, now);
    }

    /// An attempt failed: the application, the retry policy and the kind of failure decide what comes next.
    fn retry_or_stop(&mut self, error: Error, now: Instant) {
        // Before the handler runs: it may panic, and the machine must be consistent by then.
        self.interrupt(State::Waiting { until: now });
        let error = self.name_oversized_event(error.with_attempts(self.pacing.attempts()));
        let action = match &self.options.on_error {
            Some(handler) => {
                // If the handler panics, and the application continues nevertheless, the reader ends with this error.
                self.state = State::Failed(error.clone());
                handler(error.kind())
            }
            None if error.is_retryable() => ErrorAction::Retry { headers: None },
            None => ErrorAction::Stop,
        };
        self.state = match action {
            ErrorAction::Stop => State::Failed(error),
            ErrorAction::Retry { headers } => {
                if let Some(headers) = headers {
                    self.conditions.set_handler_headers(headers);
                }
                // The handler cannot exceed the policy: it says whether to retry, not for how long.
                let delay = self.pacing.delay_after_failure(now, error.retry_after());
                let delay = delay.filter(|delay| !self.speaks_another_protocol(&error, now + *delay));
                // A silence was lost time. Before another failure the server may have held a live request as it should.
                let began =
                    if matches!(error.kind(), StreamError::Timeout) { self.silent_since } else { now };
                self.outage.on_failure(&FailedAttempt { began, now, cause: &error, delay });
                match delay {
                    None => State::Failed(error),
                    Some(delay) => State::Waiting { until: now + delay },
                }
            }
        };
    }

    /// Whether the port has answered in another protocol since the reader began, and for longer than an operation is tried. A
    /// server that was there once may come back, but this URL is wrong.
    fn speaks_another_protocol(&mut self, error: &Error, next_attempt: Instant) -> bool {
        let is_foreign = matches!(error.kind(), StreamError::Network(error) if error.kind() == TransportErrorKind::Malformed);
        // Another failure between two such answers shows nothing: some of these servers reset the connection at times.
        if self.started || !is_foreign {
            return false;
        }
        let since = *self.foreign_since.get_or_insert(self.silent_since);
        next_attempt.saturating_duration_since(since) > OPERATION_BUDGET
    }

    /// If the data of an oversized event cannot be fetched by plain requests either, its size is what the caller can change.
    fn name_oversized_event(&self, error: Error) -> Error {
        let is_refused = matches!(
            error.kind(),
            StreamError::BadRequest { .. } | StreamError::NotSupported | StreamError::PayloadTooLarge { .. }
        );
        if !(is_refused && self.catch_up.is_fetching_oversized_event()) {
            return error;
        }
        error.with_kind(StreamError::TooLarge {
            what: "a server-sent event".into(),
            option: "max_event_bytes",
            limit: self.options.max_event_bytes,
        })
    }

    /// The error, of reading this stream from this page's start.
    pub(super) fn locate(&self, error: impl Into<Error>) -> Error {
        // Not from the checkpoint: the page's start is the offset of the request, as the server's log has it.
        self.locate_at(self.position.page_start().clone(), error)
    }

    /// The error, of reading this stream from `offset`.
    pub(super) fn locate_at(&self, offset: Offset, error: impl Into<Error>) -> Error {
        error.into().with_request("read", &self.url).edit(|context| context.offset = Some(offset))
    }
}
