//! The reader as a state machine: what happened goes in, what to do comes out. No I/O, no clock of its own.
//!
//! The driver asks for content ([`Machine::take_chunk`], [`Machine::take_item`]), and when there is none, for the
//! next [`Action`]. What happens to that action comes back as an event (`on_…`).

mod asking;
mod events;
mod pace;
mod page;
mod session;
mod taking;
#[cfg(test)]
mod tests;

use super::options::{LiveMode, Options};
use super::output::Status;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorAction;
use crate::offset::Offset;
use crate::protocol::content_type::DEFAULT_CONTENT_TYPE;
use crate::reader::position::{Position, Unit};
use crate::retry::Backoff;
use crate::retry::OPERATION_BUDGET;
use http::{HeaderMap, HeaderValue};
use pace::{Pace, Trust};
use page::{Page, PageEnd};
use session::{Session, Unusable};
use std::time::{Duration, Instant};

/// How long a body may take to end after all its content has arrived.
const DRAIN: Duration = Duration::from_secs(1);
/// How long `Auto` waits for the head of an event stream, and for the first byte after it, before it takes
/// the stream for held back by something on the way. Servers begin with an event at once.
const PATIENCE_FOR_HEAD: Duration = Duration::from_secs(10);
const PATIENCE_FOR_EVENTS: Duration = Duration::from_secs(5);
/// Responses in a row without data that may leave the reader before the tail. One more ends it.
///
/// Catch-up pages, long-polls and the resolution of `offset=now` count alike. Data, or a response at the tail, resets the
/// count; a failed request leaves it as it is.
const MAX_EMPTY_PAGES: u32 = 100;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Where the tail is, and nothing else.
    Tail,
    /// The stream's content type, or whether there is a stream at all.
    Metadata,
    /// What is there, at once.
    Page,
    /// What comes next, when it comes.
    LongPoll,
    /// A stream of events.
    Events,
}

/// A request in the reader's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) offset: Offset,
    /// The last cursor, to be sent back with what waits for news: a cache must not answer it as it did before.
    pub(super) cursor: Option<String>,
    pub(super) if_none_match: Option<HeaderValue>,
    /// What the error handler wants on it.
    pub(super) headers: HeaderMap,
}

/// What the driver is to do next.
#[derive(Debug)]
pub(super) enum Action {
    /// Send this; give up whatever was under way.
    Send(Box<Request>),
    /// Go on with what is under way: the request, or the body.
    Receive,
    /// Give up whatever was under way and wait for the deadline.
    Rest,
    /// There is content to take.
    Take,
    /// End with this error.
    Fail(Error),
    /// End.
    End,
}

#[derive(Debug)]
enum State {
    /// Nothing is under way; a request is due.
    Idle {
        until: Instant,
    },
    /// A request is under way.
    Sent,
    /// A body arrives.
    Body {
        ended: bool,
    },
    /// A body's page was handed out; the body itself has yet to end, and nothing more may be in it.
    Turned {
        ended: bool,
        drain_until: Option<Instant>,
        outcome: Outcome,
    },
    Failed(Error),
    Ended,
}

/// How a page of a body ended.
#[derive(Debug)]
struct Outcome {
    page: Page,
    up_to_date: bool,
    closed: bool,
    /// It ended before the position that was read from it earlier.
    short: bool,
}

#[derive(Debug)]
pub(super) struct Machine {
    options: Options,
    url: String,
    position: Position,
    /// The checkpoint that the reader started from counts in this.
    start_unit: Option<Unit>,
    /// What the handle knows of the content type, for answers that do not say it.
    assumed_type: Option<String>,
    content_type: Option<String>,
    unit: Unit,
    etag: Option<String>,
    cursor: Option<String>,
    /// The position to tell, where it is not the position reached.
    held: Option<Checkpoint>,
    /// What the last chunk said, or would have said.
    up_to_date: bool,
    closed: bool,
    /// Plain requests have nothing more to give: time to go live.
    caught_up: bool,
    /// The server does not answer to what only asks for metadata: a plain request tells the content type.
    headless: bool,
    /// An event exceeded the limit once: plain requests catch up from then on, also where events were asked for.
    outgrown: bool,
    /// What it held is not fetched yet.
    too_large: bool,
    empty_pages: u32,
    /// The last response was a 204 whose next offset is beyond the one asked for.
    early_204: bool,
    /// The server has nothing at this offset any more. Whether it has the stream is asked before that is told.
    gone: Option<Error>,
    /// An answer had less than was read before: no cache may be in the way of the next one.
    past_caches: bool,
    /// The first answer to what the consumer asked for is there.
    ready: bool,
    /// Headers from the error handler.
    headers: HeaderMap,
    ask: Ask,
    /// When the last request was sent.
    sent: Instant,
    /// Since when nothing was heard.
    quiet_since: Instant,
    state: State,
    page: Option<Page>,
    session: Option<Session>,
    /// The session's connection is over, for this reason or in good order.
    session_end: Option<Result<(), Error>>,
    /// The start of the answer to where the tail is.
    tail: Option<events::Tail>,
    backoff: Backoff,
    pace: Pace,
    trust: Trust,
    random: u64,
}

impl Machine {
    /// A reader from `start` on. `random` seeds its jitter.
    pub(super) fn new(
        options: Options,
        url: String,
        start: &Checkpoint,
        assumed_type: Option<String>,
        now: Instant,
        random: u64,
    ) -> Self {
        let (position, start_unit) = Position::new(start);
        let retry = match options.live {
            LiveMode::Off => options.retry.bounded_by(OPERATION_BUDGET),
            _ => options.retry.clone(),
        };
        Self {
            options,
            url,
            position,
            start_unit,
            assumed_type,
            content_type: None,
            unit: start_unit.unwrap_or(Unit::Bytes),
            etag: None,
            cursor: None,
            held: None,
            up_to_date: false,
            closed: false,
            caught_up: false,
            headless: false,
            outgrown: false,
            too_large: false,
            empty_pages: 0,
            early_204: false,
            gone: None,
            past_caches: false,
            ready: false,
            headers: HeaderMap::new(),
            ask: Ask::Page,
            sent: now,
            quiet_since: now,
            state: State::Idle { until: now },
            page: None,
            session: None,
            session_end: None,
            tail: None,
            backoff: Backoff::new(retry),
            pace: Pace::default(),
            trust: Trust::default(),
            random: random | 1,
        }
    }

    /// Whether the stream has answered. Before that there is nothing to take.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        self.options.idle_timeout
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// What can be told of what was taken.
    pub(super) fn status(&self) -> Status<'_> {
        Status {
            checkpoint: self.held.clone().unwrap_or_else(|| self.position.checkpoint(self.unit)),
            offset: self.position.page_start(),
            cursor: self.cursor.as_deref(),
            up_to_date: self.up_to_date,
            closed: self.closed,
            content_type: self.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE),
            etag: self.etag.as_deref(),
            unit: self.unit,
        }
    }

    fn too_short(&self) -> StreamError {
        let behind = self.position.to_skip();
        let unit = match self.unit {
            Unit::Bytes => "bytes",
            Unit::Messages => "messages",
        };
        StreamError::Recreated {
            evidence: format!("it ends {behind} {unit} before the position that was read up to"),
        }
    }

    /// What to do, when there is nothing to take.
    pub(super) fn next_action(&mut self, now: Instant) -> Action {
        loop {
            match &mut self.state {
                State::Idle { until } if now < *until => return Action::Rest,
                State::Idle { .. } => return Action::Send(Box::new(self.plan(now))),
                State::Sent => return Action::Receive,
                State::Body { .. } if self.page.is_some() => {
                    let Some(page) = &mut self.page else { return Action::Receive };
                    match page.end.take() {
                        None => return Action::Receive,
                        Some(PageEnd::Broken(kind)) => {
                            let error = self.error(kind);
                            self.fail(error, now);
                        }
                        // A complete page always gives something, at least its end: the caller has yet to take it.
                        Some(PageEnd::Whole) => {
                            page.end = Some(PageEnd::Whole);
                            return Action::Take;
                        }
                    }
                }
                State::Body { .. } if self.session.is_some() => {
                    if let Some(action) = self.listen(now) {
                        return action;
                    }
                }
                State::Body { .. } => return Action::Receive,
                State::Turned { ended: false, drain_until, .. } => {
                    drain_until.get_or_insert(now + DRAIN);
                    return Action::Receive;
                }
                State::Turned { .. } => self.after_page(now),
                State::Failed(_) => {
                    if let State::Failed(error) = std::mem::replace(&mut self.state, State::Ended) {
                        return Action::Fail(error);
                    }
                }
                State::Ended => return Action::End,
            }
        }
    }

    /// Takes the next group of events, or deals with the connection's end.
    fn listen(&mut self, now: Instant) -> Option<Action> {
        let session = self.session.as_mut()?;
        match session.next_group() {
            Ok(Some(group)) => {
                return match self.open_group(group) {
                    Ok(()) => Some(Action::Take),
                    Err(kind) => {
                        let error = self.error(kind);
                        self.fail(error, now);
                        None
                    }
                };
            }
            Ok(None) => {}
            Err(Unusable::TooLarge) => {
                (self.too_large, self.outgrown) = (true, true);
                self.abandon();
                self.state = State::Idle { until: now };
                return None;
            }
            Err(Unusable::Broken(kind)) => {
                let error = self.error(kind);
                self.fail(error, now);
                return None;
            }
        }
        match self.session_end.take() {
            None => Some(Action::Receive),
            Some(Ok(())) => {
                self.session_over(now);
                None
            }
            Some(Err(error)) => {
                self.fail(error, now);
                None
            }
        }
    }

    /// What follows from a page that was handed out and whose body has ended.
    fn after_page(&mut self, now: Instant) {
        let State::Turned { outcome, .. } = std::mem::replace(&mut self.state, State::Idle { until: now })
        else {
            return;
        };
        if outcome.short {
            if !std::mem::replace(&mut self.past_caches, true) {
                return;
            }
            let error = self.error(self.too_short());
            return self.fail(error, now);
        }
        self.past_caches &= outcome.page.empty;
        if outcome.closed || (self.options.live == LiveMode::Off && outcome.up_to_date) {
            self.state = State::Ended;
            return;
        }
        self.caught_up = outcome.up_to_date;
        self.too_large &= !outcome.up_to_date;
        if self.ask == Ask::LongPoll {
            // The server was asked for news and has answered: it is well.
            self.backoff.reset();
        }
        if !outcome.page.empty {
            self.empty_pages = 0;
            return;
        }
        if outcome.up_to_date {
            self.empty_pages = 0;
        } else {
            self.empty_pages += 1;
            if self.empty_pages > MAX_EMPTY_PAGES {
                let kind = StreamError::protocol(format!(
                    "more than {MAX_EMPTY_PAGES} responses in a row brought neither data nor the stream's tail"
                ));
                let error = self.error(kind);
                return self.fail(error, now);
            }
        }
        let wait =
            self.pace.fruitless(now.saturating_duration_since(self.sent), next_random(&mut self.random));
        self.state = State::Idle { until: now + wait };
    }

    /// An event stream has ended in good order, as they all do now and then.
    fn session_over(&mut self, now: Instant) {
        let (lived, news) = self.judge_session(now);
        self.session = None;
        let wait =
            if news { Duration::ZERO } else { self.pace.fruitless(lived, next_random(&mut self.random)) };
        self.state = State::Idle { until: now + wait };
    }

    /// Whether a long-poll was waited for as it should be. Before it the server had answered; what ends it then, a
    /// proxy's patience for instance, is no sequel to what failed earlier.
    fn is_held_long_poll(&self, now: Instant) -> bool {
        let held = now.saturating_duration_since(self.sent);
        self.ask == Ask::LongPoll && matches!(self.state, State::Sent) && pace::is_healthy(held)
    }

    /// What is to be thought of event streams after this one: how long it lived, and whether it brought news.
    fn judge_session(&mut self, now: Instant) -> (Duration, bool) {
        let Some(session) = &self.session else { return (Duration::ZERO, false) };
        let lived = now.saturating_duration_since(session.since);
        self.trust.ended(now, lived, session.news);
        if session.vouched && pace::is_healthy(lived) {
            self.backoff.reset();
        }
        (lived, session.news)
    }

    /// Forgets what was under way; what was handed out of it is skipped the next time.
    fn abandon(&mut self) {
        self.page = None;
        self.session = None;
        self.session_end = None;
        self.tail = None;
        self.caught_up = false;
        self.position.restart_page();
    }

    /// An attempt failed: the application, the retry policy and the kind of failure decide what comes next.
    fn fail(&mut self, error: Error, now: Instant) {
        if self.session.is_some() {
            self.judge_session(now);
        } else if self.ask == Ask::Events {
            self.trust.ended(now, Duration::ZERO, false);
        } else if self.is_held_long_poll(now) {
            self.backoff.reset();
        }
        self.abandon();
        let attempts = self.backoff.retries() + 1;
        let mut error = error.with_attempts(attempts);
        let refused = matches!(
            error.kind(),
            StreamError::BadRequest { .. } | StreamError::NotSupported | StreamError::PayloadTooLarge { .. }
        );
        if self.too_large && refused {
            error = error.with_kind(StreamError::TooLarge {
                what: "a server-sent event".into(),
                option: "max_event_bytes",
                limit: self.options.max_event_bytes,
            });
        }
        let action = match &self.options.on_error {
            Some(handler) => {
                // If it panics, and the application goes on nevertheless, that is how the reader ends.
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
                    self.headers = headers;
                }
                let random = next_random(&mut self.random);
                match self.backoff.next(now, random, error.retry_after()) {
                    None => State::Failed(error),
                    Some(wait) => {
                        #[cfg(feature = "tracing")]
                        tracing::debug!(?wait, %error, "the reader tries again");
                        State::Idle { until: now + wait }
                    }
                }
            }
        };
    }

    #[cfg(feature = "json")]
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The error, of reading this stream at this offset.
    fn with_position(&self, error: Error) -> Error {
        let offset = self.position.page_start().clone();
        error.with_request("read", &self.url).edit(|context| context.offset = Some(offset))
    }

    /// An error of the reader's own, and where it happened.
    fn error(&self, kind: StreamError) -> Error {
        self.with_position(kind.into())
    }
}

/// Xorshift: jitter need not be better.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
