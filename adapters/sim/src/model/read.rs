//! Reads: catch-up pages, and the beginning of live reads.

use super::moment::Moment;
use super::pending::{Events, Wait};
use super::reply::{CLOSED, CURSOR, NEXT_OFFSET, SSE_ENCODING, Set, UP_TO_DATE, error, query, status, text};
use super::server::{Handled, Model};
use super::start::Start;
use super::stream::Stream;
use bytes::Bytes;
use http::{Request, Response, header};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Cursors count intervals of 20 s from 2024-10-09T00:00:00Z.
const CURSOR_EPOCH: Duration = Duration::from_secs(1_728_432_000);
const CURSOR_INTERVAL: u64 = 20;

impl Model {
    pub(super) fn read(&mut self, path: &str, request: &Request<Bytes>, at: Moment) -> Handled {
        let whole = self.fall_behind(path, at);
        let handled = self.try_read(path, request, at).unwrap_or_else(Handled::Answer);
        if let Some(whole) = whole {
            self.streams.insert(path.to_owned(), whole);
        }
        handled
    }

    /// Puts a stream in its place that lacks the last appends, for one read. Returns the stream, if there is such a lag.
    fn fall_behind(&mut self, path: &str, at: Moment) -> Option<Stream> {
        if self.options.lag.is_zero() {
            return None;
        }
        let lag = self.rng.duration(Duration::ZERO, self.options.lag);
        let mut whole = self.streams.get(path)?.clone();
        whole.touched = at.elapsed;
        let behind = whole.before(at.elapsed.saturating_sub(lag));
        self.streams.insert(path.to_owned(), behind);
        Some(whole)
    }

    fn try_read(
        &mut self,
        path: &str,
        request: &Request<Bytes>,
        at: Moment,
    ) -> Result<Handled, Response<Bytes>> {
        let (uri, options) = (request.uri(), self.options.clone());
        let stream = self.find(path)?;
        stream.touched = at.elapsed;
        let offsets = query(uri, "offset");
        let live = query(uri, "live").into_iter().next();
        let start = match offsets.as_slice() {
            [] => Start { position: 0, now: false, beginning: true },
            [offset] => match offset.as_str() {
                "-1" => Start { position: 0, now: false, beginning: true },
                "now" => Start { position: stream.tail(), now: true, beginning: false },
                token => {
                    let position =
                        options.offsets.decode(token).and_then(|position| position.try_into().ok());
                    let position = position.ok_or_else(|| error(400, "malformed offset"))?;
                    Start { position, now: false, beginning: false }
                }
            },
            _ => return Err(error(400, "multiple offset parameters not allowed")),
        };
        let start = match start.beginning {
            true => Start { position: stream.start, ..start },
            false if start.position < stream.start => {
                return Err(error(410, "the offset is before the earliest that is kept"));
            }
            false => start,
        };
        let live = match live.as_deref() {
            Some(mode @ ("long-poll" | "sse")) => {
                if offsets.is_empty() {
                    return Err(error(400, "offset is required for live modes"));
                }
                Some(mode == "sse")
            }
            Some(_) if !options.dialect.ignores_unknown_live() => {
                return Err(error(400, "invalid live mode"));
            }
            _ => None,
        };
        let condition = text(request.headers(), header::IF_NONE_MATCH);
        let cursor = query(uri, "cursor").first().and_then(|cursor| cursor.parse().ok());
        match live {
            None => Ok(Handled::Answer(self.catch_up(path, start, condition))),
            Some(true) if options.refuse_events => Err(error(400, "server-sent events are not supported")),
            Some(true) => Ok(self.events_begin(path, start.position, at, cursor)),
            Some(false) => {
                let condition = condition.filter(|_| options.dialect.long_poll_conditional());
                let wait = Wait {
                    path: path.to_owned(),
                    stream: self.find(path)?.id,
                    start,
                    deadline: at.elapsed + options.long_poll,
                    cursor,
                };
                if start.beginning && self.find(path)?.tail() == 0 && options.dialect.answers_empty_start() {
                    let mut answer = self.catch_up(path, start, condition);
                    if answer.status() != 304 {
                        answer.set_number(CURSOR, self.cursor(at, cursor));
                    }
                    return Ok(Handled::Answer(answer));
                }
                Ok(match self.resume_as(&wait, at, condition) {
                    Some(answer) => Handled::Answer(answer),
                    None => Handled::Wait(wait),
                })
            }
        }
    }

    fn catch_up(&mut self, path: &str, start: Start, condition: Option<&str>) -> Response<Bytes> {
        let options = self.options.clone();
        let stream = match self.find(path) {
            Ok(stream) => stream,
            Err(answer) => return answer,
        };
        if start.now || start.position > stream.tail() {
            let mut answer = status(200).map(|_| stream.frame(stream.tail(), stream.tail()));
            answer.set(header::CONTENT_TYPE, &stream.content_type);
            answer.set(header::CACHE_CONTROL, "no-store");
            answer.set(UP_TO_DATE, "true");
            stream.say_tail(&mut answer, &options);
            if !start.now && (options.dialect.echoes_beyond_tail() || !options.lag.is_zero()) {
                answer.set(NEXT_OFFSET, &options.offsets.encode(start.position as u64));
            }
            return answer;
        }
        self.page(path, start, condition)
    }

    /// The data from `start`, up to a page's end.
    pub(super) fn page(&mut self, path: &str, start: Start, condition: Option<&str>) -> Response<Bytes> {
        let (options, from) = (self.page_options(), start.position);
        let Some(stream) = self.streams.get(path) else { return error(404, "stream not found") };
        let end = stream.page_end(from, &options);
        let last = end == stream.tail();
        let etag = stream.etag(&start.name(options.dialect.etags_are_literal()), end);
        let mut answer = match condition == Some(&etag) {
            true => status(304),
            false => status(200).map(|_| stream.frame(from, end)),
        };
        answer.set(header::ETAG, &etag);
        if answer.status() == 304 && !options.dialect.not_modified_says_end() {
            return answer;
        }
        if answer.status() == 200 {
            answer.set(header::CONTENT_TYPE, &stream.content_type);
            answer.set(header::CACHE_CONTROL, "public, max-age=60, stale-while-revalidate=300");
        }
        answer.set(NEXT_OFFSET, &options.offsets.encode(end as u64));
        if last && (options.last_page_up_to_date || end == from || stream.closed) {
            answer.set(UP_TO_DATE, "true");
        }
        if last && stream.closed {
            answer.set(CLOSED, "true");
        }
        answer
    }

    fn events_begin(&mut self, path: &str, from: usize, at: Moment, cursor: Option<u64>) -> Handled {
        let (lifetime, has_lag) = (self.options.events_lifetime, !self.options.lag.is_zero());
        let stream = match self.find(path) {
            Ok(stream) => stream,
            Err(answer) => return Handled::Answer(answer),
        };
        let mut head = Response::new(());
        head.set(header::CONTENT_TYPE, "text/event-stream");
        head.set(header::CACHE_CONTROL, "no-cache");
        if !stream.json && !stream.is_text() {
            head.set(SSE_ENCODING, "base64");
        }
        let position = if has_lag { from } else { from.min(stream.tail()) };
        let events = Events::new(path, stream.id, position, at.elapsed + lifetime, cursor);
        Handled::Events(head, events)
    }

    /// The cursor of an answer to a request that brought `given`: it never goes back.
    pub(super) fn cursor(&mut self, at: Moment, given: Option<u64>) -> u64 {
        let now = cursor_at(at.wall);
        match given {
            Some(given) if given >= now => given.saturating_add(self.rng.between(1, 180)),
            _ => now,
        }
    }
}

fn cursor_at(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH + CURSOR_EPOCH).unwrap_or_default();
    since.as_secs() / CURSOR_INTERVAL
}

impl Stream {
    /// Whether there is something to read at `from`: data, or the news that it is closed.
    pub(super) fn has_news(&self, from: usize) -> bool {
        from < self.tail() || self.closed
    }
}
