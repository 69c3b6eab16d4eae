use super::moment::Moment;
use super::options::ServerOptions;
use super::reply::{self, CLOSED, EXPIRES_AT, NEXT_OFFSET, Set, TTL};
use bytes::Bytes;
use http::{Response, header};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// One stream: its bytes, its state, and the producers that wrote to it.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Different for each stream ever created.
    pub(super) id: u64,
    pub(super) content_type: String,
    pub(super) json: bool,
    /// JSON: each message is followed by a comma.
    pub(super) data: Vec<u8>,
    /// What is before this was dropped.
    pub(super) start: usize,
    /// JSON: where each message ends, its comma included.
    pub(super) messages: Vec<usize>,
    /// Where each append ends.
    pub(super) appends: Vec<usize>,
    /// When each was made.
    pub(super) appended_at: Vec<Duration>,
    pub(super) lifetime: Lifetime,
    /// When it was last read or written.
    pub(super) touched: Duration,
    pub(super) closed: bool,
    /// The producer's append that closed it, if one did.
    pub(super) closed_by: Option<(String, u64, u64)>,
    pub(super) last_seq: Option<String>,
    /// Epoch and last seq of each producer.
    pub(super) producers: BTreeMap<String, (u64, u64)>,
    pub(super) fork: Option<Fork>,
    /// How many forks still need it.
    pub(super) forks: usize,
    /// Deleted, and kept for its forks.
    pub(super) deleted: bool,
}

/// When a stream ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    Unlimited,
    /// After so many idle seconds.
    Ttl(u64),
    /// At this time, as it was written.
    Until(String, SystemTime),
}

/// Where a fork comes from, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) source: String,
    /// Its offset as it was written, if it was.
    pub(super) asked: Option<String>,
    pub(super) offset: usize,
    pub(super) sub_offset: u64,
}

/// What an append adds.
pub(super) enum Addition {
    Bytes(Bytes),
    Messages(Vec<Box<RawValue>>),
}

/// The content of a stream, to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamView {
    /// Its content type, as it was created.
    pub content_type: String,
    /// All its bytes; of a JSON stream, one array.
    pub data: Bytes,
    /// The messages of a JSON stream; of any other, one for each append.
    pub messages: Vec<Bytes>,
    /// Whether it is closed.
    pub closed: bool,
    /// Its tail.
    pub next_offset: String,
}

impl Stream {
    pub(super) fn tail(&self) -> usize {
        self.data.len()
    }

    pub(super) fn expired(&self, at: Moment) -> bool {
        match &self.lifetime {
            Lifetime::Unlimited => false,
            Lifetime::Ttl(seconds) => {
                at.elapsed >= self.touched.saturating_add(Duration::from_secs(*seconds))
            }
            Lifetime::Until(_, time) => at.wall >= *time,
        }
    }

    pub(super) fn is_text(&self) -> bool {
        essence(&self.content_type).starts_with("text/")
    }

    pub(super) fn push(&mut self, addition: Addition, at: Duration) {
        match addition {
            Addition::Bytes(bytes) => self.data.extend_from_slice(&bytes),
            Addition::Messages(messages) => {
                for message in messages {
                    self.data.extend_from_slice(message.get().as_bytes());
                    self.data.push(b',');
                    self.messages.push(self.data.len());
                }
            }
        }
        if self.appends.last().copied().unwrap_or(0) < self.data.len() {
            self.appends.push(self.data.len());
            self.appended_at.push(at);
        }
    }

    /// The stream as a server has it that lacks the appends after `time`.
    pub(super) fn before(&self, time: Duration) -> Self {
        let appends = self.appended_at.partition_point(|at| *at <= time);
        let end = appends.checked_sub(1).map_or(0, |last| self.appends[last]);
        let mut earlier = self.clone();
        if end < self.tail() {
            (earlier.data, earlier.messages, earlier.appends) = self.prefix(end);
            earlier.appended_at.truncate(earlier.appends.len());
            (earlier.closed, earlier.start) = (false, self.start.min(end));
        }
        earlier
    }

    /// What was stored before `end`.
    pub(super) fn prefix(&self, end: usize) -> (Vec<u8>, Vec<usize>, Vec<usize>) {
        let before = |ends: &[usize]| ends.iter().copied().filter(|e| *e <= end).collect::<Vec<_>>();
        let mut appends = before(&self.appends);
        if appends.last().copied().unwrap_or(0) < end {
            appends.push(end);
        }
        (self.data[..end].to_vec(), before(&self.messages), appends)
    }

    /// Where a page that starts at `from` ends.
    pub(super) fn page_end(&self, from: usize, options: &ServerOptions) -> usize {
        let from = from.min(self.tail());
        let limit = from.saturating_add(options.page_bytes.max(1)).min(self.tail());
        let (ends, most) = match self.json {
            true => (&self.messages, options.page_messages.max(1)),
            false if self.is_text() => (&self.appends, usize::MAX),
            false => return limit,
        };
        // Whole messages, or whole appends of a text: as many as fit, and at least one.
        let first = ends.partition_point(|end| *end <= from);
        let fit = ends.partition_point(|end| *end <= limit);
        let last = fit.max(first + 1).min(first.saturating_add(most)).min(ends.len());
        if last > first { ends[last - 1] } else { from }
    }

    /// The bytes from `from` to `end`, framed as the content type wants it.
    pub(super) fn frame(&self, from: usize, end: usize) -> Bytes {
        let from = from.min(end);
        if !self.json {
            return Bytes::copy_from_slice(&self.data[from..end]);
        }
        // From inside a message the whole message is given.
        let first = self.messages.partition_point(|message| *message <= from);
        let from = if first == 0 { 0 } else { self.messages[first - 1] };
        let inner = &self.data[from.min(end)..end];
        let mut body = Vec::with_capacity(inner.len() + 2);
        body.push(b'[');
        body.extend_from_slice(inner.strip_suffix(b",").unwrap_or(inner));
        body.push(b']');
        body.into()
    }

    /// The entity tag of a page.
    pub(super) fn etag(&self, from: &str, end: usize) -> String {
        let closed = if self.closed && end == self.tail() { ":c" } else { "" };
        format!("\"{}:{from}:{end}{closed}\"", self.id)
    }

    pub(super) fn head(&self, options: &ServerOptions) -> Response<Bytes> {
        let mut answer = reply::status(200);
        answer.set(header::CONTENT_TYPE, &self.content_type);
        answer.set(header::CACHE_CONTROL, "no-store");
        if options.dialect.head_has_etag() {
            answer.set(header::ETAG, &self.etag("-1", self.tail()));
        }
        match &self.lifetime {
            Lifetime::Unlimited => {}
            Lifetime::Ttl(seconds) => answer.set_number(TTL, *seconds),
            Lifetime::Until(text, _) => answer.set(EXPIRES_AT, text),
        }
        self.say_tail(&mut answer, options);
        answer
    }

    /// Adds the tail, and that it is closed if it is.
    pub(super) fn say_tail<T>(&self, answer: &mut Response<T>, options: &ServerOptions) {
        answer.set(NEXT_OFFSET, &options.offsets.encode(self.tail() as u64));
        if self.closed {
            answer.set(CLOSED, "true");
        }
    }

    pub(super) fn view(&self, options: &ServerOptions) -> StreamView {
        let ends = if self.json { &self.messages } else { &self.appends };
        let starts = std::iter::once(&0).chain(ends);
        let piece = |(start, end): (&usize, &usize)| {
            let bytes = &self.data[*start..*end];
            Bytes::copy_from_slice(if self.json { bytes.strip_suffix(b",").unwrap_or(bytes) } else { bytes })
        };
        StreamView {
            content_type: self.content_type.clone(),
            data: self.frame(0, self.tail()),
            messages: starts.zip(ends).map(piece).collect(),
            closed: self.closed,
            next_offset: options.offsets.encode(self.tail() as u64),
        }
    }
}

/// A content type without its parameters, in lower case.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body as a stream of this kind stores it; `None` where it is not JSON and should be.
pub(super) fn addition(json: bool, body: &Bytes) -> Option<Addition> {
    if !json {
        return Some(Addition::Bytes(body.clone()));
    }
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let messages = match array {
        // One level of an array is many messages.
        true => serde_json::from_slice(body).ok()?,
        false => vec![serde_json::from_slice(body).ok()?],
    };
    Some(Addition::Messages(messages))
}

impl Addition {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Messages(messages) => messages.is_empty(),
        }
    }
}
