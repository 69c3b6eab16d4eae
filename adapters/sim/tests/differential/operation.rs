//! One operation, written so that it means the same to two servers with different offsets.

use durable_streams_sim::Rng;
use durable_streams_sim::model::Dialect;
use std::fmt;

/// The streams of a sequence.
pub(crate) const STREAMS: usize = 5;

/// Header fields whose values mean the same to every server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(crate) Vec<(&'static str, String)>);

impl Headers {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }
}

/// An offset as an operation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Beginning,
    Now,
    /// The n-th that the servers have told of this stream.
    Known(usize),
    Malformed,
}

/// What the sequence has come to, as far as generating needs to know.
pub(crate) struct State {
    /// Of each stream: how many offsets and entity tags are known.
    pub(crate) offsets: [usize; STREAMS],
    pub(crate) etags: [usize; STREAMS],
    /// The stream of which a fork was made last.
    pub(crate) forked: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) stream: usize,
    pub(crate) headers: Headers,
    pub(crate) body: String,
    pub(crate) offset: Option<At>,
    pub(crate) live: Option<&'static str>,
    pub(crate) cursor: Option<&'static str>,
    /// The n-th entity tag known of this stream, as `If-None-Match`.
    pub(crate) etag: Option<usize>,
    pub(crate) fork: Option<Fork>,
    /// Appends this while the read is under way.
    pub(crate) meanwhile: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fork {
    pub(crate) source: usize,
    pub(crate) at: Option<At>,
}

impl Operation {
    pub(crate) fn new(method: &'static str, stream: usize) -> Self {
        Self {
            method,
            stream,
            headers: Headers::new(),
            body: String::new(),
            offset: None,
            live: None,
            cursor: None,
            etag: None,
            fork: None,
            meanwhile: None,
        }
    }

    pub(crate) fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// The first operations: streams to work with.
    pub(crate) fn first(rng: &mut Rng, stream: usize) -> Self {
        let plain =
            ["text/plain", "application/octet-stream", "application/json", "application/json", "text/plain"];
        Self::new("PUT", stream)
            .headers(Headers::new().with("content-type", plain[stream]))
            .body(body(rng, stream))
    }

    pub(crate) fn random(rng: &mut Rng, state: &State, dialect: Dialect) -> Self {
        let stream = rng.index(STREAMS);
        match rng.below(20) {
            0..=4 => create(rng, stream, state, dialect),
            5..=11 => append(rng, stream),
            12..=16 => read(rng, stream, state, dialect),
            17 => Self::new("HEAD", stream),
            18 if rng.percent(80) => {
                // What was forked is hidden, not deleted.
                Self::new("DELETE", state.forked.filter(|_| rng.percent(50)).unwrap_or(stream))
            }
            18 => read(rng, stream, state, dialect),
            _ if rng.percent(50) => append(rng, stream),
            _ => Self::new("POST", stream).headers(Headers::new().with("stream-closed", "true")),
        }
    }
}

/// Streams keep to a content type by their number, but for a mistake now and then.
fn content_type(rng: &mut Rng, stream: usize) -> String {
    let stream = if rng.percent(6) { rng.index(STREAMS) } else { stream };
    let plain =
        ["text/plain", "application/octet-stream", "application/json", "application/json", "text/plain"];
    // One server forgets to frame a JSON stream's events where its type is written in another way.
    match if plain[stream].ends_with("json") { 2 } else { rng.below(12) } {
        0 => format!("{}; charset=utf-8", plain[stream]),
        1 => plain[stream].to_uppercase(),
        _ => plain[stream].to_owned(),
    }
}

fn body(rng: &mut Rng, stream: usize) -> String {
    if rng.percent(5) {
        return String::new();
    }
    if matches!(stream, 2 | 3) {
        // Compact, as one server writes JSON anew; no comma inside a message, as the other counts messages by
        // commas where a fork has a sub-offset.
        let choices = [
            r#"{"a":1}"#,
            "[1,2,3]",
            "[[1],[[3]]]",
            "\"text\"",
            "null",
            "[]",
            "[[]]",
            "{bad",
            "1 2",
            "[1,{\"b\":\"é\"}]",
        ];
        return (*rng.pick(&choices)).to_owned();
    }
    // CRLF and leading spaces are lost in events, alike on both sides.
    let choices = ["x", "hello", "two\nlines\n", "é", " lead", "a\r\nb", "\n", "data: x", "[1]"];
    (*rng.pick(&choices)).to_owned()
}

fn producer(rng: &mut Rng, mut headers: Headers) -> Headers {
    let id = *rng.pick(&["p", "p", "q"]);
    let mut fields = [id.to_owned(), rng.below(3).to_string(), rng.below(4).to_string()];
    if rng.percent(6) {
        fields[rng.index(3)] = (*rng.pick(&["", "-1", "x", "1.5", "9007199254740992"])).to_owned();
    }
    for (name, value) in ["producer-id", "producer-epoch", "producer-seq"].into_iter().zip(fields) {
        if !rng.percent(2) {
            headers = headers.with(name, value);
        }
    }
    headers
}

fn create(rng: &mut Rng, stream: usize, state: &State, dialect: Dialect) -> Operation {
    let mut operation = Operation::new("PUT", stream);
    let mut headers = Headers::new();
    if !rng.percent(10) {
        headers = headers.with("content-type", content_type(rng, stream));
    }
    match rng.below(14) {
        0 => headers = headers.with("stream-ttl", *rng.pick(&["3600", "7200"])),
        1 => headers = headers.with("stream-ttl", *rng.pick(&["+1", "01", "1.5", "x", "-1"])),
        2 => {
            headers = headers
                .with("stream-expires-at", *rng.pick(&["2099-01-01T00:00:00Z", "2098-01-01T00:00:00Z"]))
        }
        3 => headers = headers.with("stream-expires-at", "soon"),
        4 => headers = headers.with("stream-ttl", "60").with("stream-expires-at", "2099-01-01T00:00:00Z"),
        _ => {}
    }
    if rng.percent(10) {
        headers = headers.with("stream-closed", *rng.pick(&["true", "true", "false", "1"]));
    }
    if rng.percent(35) {
        let source = rng.index(STREAMS);
        let at = rng.percent(60).then(|| at(rng, state.offsets[source]));
        // One server takes no sentinels here: told apart by the model's own tests.
        let at = at.filter(|at| matches!(at, At::Known(_) | At::Malformed) || dialect == Dialect::Rust);
        if at.is_some() && rng.percent(50) {
            headers =
                headers.with("stream-fork-sub-offset", *rng.pick(&["0", "1", "2", "3", "9", "x", "-1"]));
        }
        if rng.percent(60) {
            headers.0.retain(|(name, _)| *name != "content-type");
        }
        operation.fork = Some(Fork { source, at });
    }
    if rng.percent(40) {
        operation.body = body(rng, stream);
    }
    operation.headers(headers)
}

fn append(rng: &mut Rng, stream: usize) -> Operation {
    let mut headers = Headers::new();
    if !rng.percent(4) {
        headers = headers.with("content-type", content_type(rng, stream));
    }
    if rng.percent(40) {
        headers = producer(rng, headers);
    }
    if rng.percent(10) {
        headers = headers.with("stream-seq", *rng.pick(&["a", "b", "c", "10", "9"]));
    }
    if rng.percent(6) {
        headers = headers.with("stream-closed", *rng.pick(&["true", "true", "false", "yes"]));
    }
    let body = body(rng, stream);
    Operation::new("POST", stream).headers(headers).body(body)
}

fn read(rng: &mut Rng, stream: usize, state: &State, dialect: Dialect) -> Operation {
    let mut operation = Operation::new("GET", stream);
    if !rng.percent(8) {
        operation.offset = Some(at(rng, state.offsets[stream]));
    }
    operation.live = match rng.below(10) {
        0..=2 => Some("sse"),
        3 | 4 => Some("long-poll"),
        5 if dialect == Dialect::Rust => Some("polling"),
        _ => None,
    };
    if operation.live == Some("long-poll") {
        operation.cursor = *rng.pick(&[None, Some("99999999"), Some("5")]);
        if rng.percent(30) {
            operation.meanwhile = Some(body(rng, stream));
        }
    }
    if state.etags[stream] > 0 && operation.meanwhile.is_none() && rng.percent(30) {
        operation.etag = Some(rng.index(state.etags[stream]));
    }
    operation
}

fn at(rng: &mut Rng, known: usize) -> At {
    match rng.below(10) {
        0 | 1 => At::Beginning,
        2 => At::Now,
        3 => At::Malformed,
        _ if known > 0 => At::Known(rng.index(known)),
        _ => At::Beginning,
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.stream)?;
        if let Some(offset) = self.offset {
            write!(f, " offset {offset:?}")?;
        }
        for (name, value) in [("live", self.live), ("cursor", self.cursor)] {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        if let Some(etag) = self.etag {
            write!(f, " if not etag {etag}")?;
        }
        if let Some(fork) = &self.fork {
            write!(f, " fork of {} at {:?}", fork.source, fork.at)?;
        }
        for (name, value) in &self.headers.0 {
            write!(f, " {name}={value:?}")?;
        }
        if !self.body.is_empty() {
            write!(f, " body {:?}", self.body)?;
        }
        if let Some(meanwhile) = &self.meanwhile {
            write!(f, " while appending {meanwhile:?}")?;
        }
        Ok(())
    }
}
