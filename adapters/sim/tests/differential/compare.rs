//! When two answers say the same.

use crate::operation::Operation;
use crate::pair::Side;
use bytes::Bytes;
use http::Response;
use std::collections::BTreeMap;
use std::fmt;

/// An answer of either side.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn of_model(answer: Response<Bytes>) -> Self {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Self { status: answer.status().as_u16(), headers, body: answer.into_body().to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Offsets and entity tags of one stream that correspond: the model's, and the real server's.
#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) offsets: Vec<(String, String)>,
    pub(crate) etags: Vec<(String, String)>,
}

impl Tokens {
    pub(crate) fn offset(&self, side: Side, n: usize) -> String {
        pick(&self.offsets[n], side)
    }

    pub(crate) fn etag(&self, side: Side, n: usize) -> String {
        pick(&self.etags[n], side)
    }
}

fn pick(pair: &(String, String), side: Side) -> String {
    match side {
        Side::Model => pair.0.clone(),
        Side::Real => pair.1.clone(),
    }
}

/// Where two answers differ.
#[derive(Debug)]
pub(crate) struct Difference {
    what: String,
    model: Reply,
    real: Reply,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "they differ in {}", self.what)?;
        for (side, reply) in [("model", &self.model), ("real ", &self.real)] {
            let body = String::from_utf8_lossy(&reply.body);
            writeln!(f, "{side}: {} {:?}\n  {body:?}", reply.status, reply.headers)?;
        }
        Ok(())
    }
}

/// Fields whose values mean the same to every server.
const EQUAL: [&str; 9] = [
    "stream-up-to-date",
    "stream-closed",
    "stream-ttl",
    "stream-expires-at",
    "producer-epoch",
    "producer-seq",
    "producer-expected-seq",
    "producer-received-seq",
    "stream-sse-data-encoding",
];

/// Compares two answers, and learns which tokens correspond.
pub(crate) fn compare(
    operation: &Operation,
    model: &Reply,
    real: &Reply,
    tokens: &mut Tokens,
) -> Result<u16, Difference> {
    let differ = |what: String| Difference { what, model: model.clone(), real: real.clone() };
    if model.status != real.status {
        return Err(differ("status".to_owned()));
    }
    for name in EQUAL {
        if model.header(name) != real.header(name) {
            return Err(differ(name.to_owned()));
        }
    }
    let success = model.status < 300;
    if success && operation.method != "DELETE" && model.header("content-type") != real.header("content-type")
    {
        return Err(differ("content-type".to_owned()));
    }
    let offsets = (model.header("stream-next-offset"), real.header("stream-next-offset"));
    learn(&mut tokens.offsets, offsets, true)
        .map_err(|what| differ(format!("stream-next-offset: {what}")))?;
    let etags = (model.header("etag"), real.header("etag"));
    learn(&mut tokens.etags, etags, false).map_err(|what| differ(format!("etag: {what}")))?;
    cursor(operation, model, real).map_err(|what| differ(format!("stream-cursor: {what}")))?;
    if success && operation.method == "GET" {
        let events = model.header("content-type") == Some("text/event-stream");
        if !events && model.body != real.body {
            return Err(differ("body".to_owned()));
        }
        if events {
            same_events(model, real, tokens).map_err(|what| differ(format!("events: {what}")))?;
        }
    }
    Ok(model.status)
}

/// Takes two tokens for the same; an error where that contradicts what is known.
fn learn(
    known: &mut Vec<(String, String)>,
    tokens: (Option<&str>, Option<&str>),
    sorted: bool,
) -> Result<(), String> {
    let (model, real) = match tokens {
        (None, None) => return Ok(()),
        (Some(model), Some(real)) => (model.to_owned(), real.to_owned()),
        (model, real) => return Err(format!("{model:?} and {real:?}")),
    };
    if let Some(other) = known.iter().find(|other| (other.0 == model) != (other.1 == real)) {
        return Err(format!("{model} and {real}, but {} and {}", other.0, other.1));
    }
    let before = |pair: &(String, String)| (pair.0 < model) == (pair.1 < real);
    if sorted && !known.iter().all(before) {
        return Err(format!("{model} and {real} sort differently: {known:?}"));
    }
    if !known.iter().any(|pair| pair.0 == model) {
        known.push((model, real));
    }
    Ok(())
}

/// Cursors are numbers that never go back; only their presence is the same on both sides.
fn cursor(operation: &Operation, model: &Reply, real: &Reply) -> Result<(), String> {
    let given: Option<u64> = operation.cursor.map(|cursor| cursor.parse().unwrap());
    match (model.header("stream-cursor"), real.header("stream-cursor")) {
        (None, None) => Ok(()),
        (Some(model), Some(real)) => [model, real].into_iter().try_for_each(|cursor| {
            let number: u64 = cursor.parse().map_err(|_| format!("{cursor} is no number"))?;
            let moves = given.is_none_or(|given| number > given);
            if moves { Ok(()) } else { Err(format!("{number} after {given:?}")) }
        }),
        (model, real) => Err(format!("{model:?} and {real:?}")),
    }
}

/// Compares events: data as it is; control events but for their cursors, their offsets as tokens.
fn same_events(model: &Reply, real: &Reply, tokens: &mut Tokens) -> Result<(), String> {
    let (model, mut real) = (events(&model.body), events(&real.body));
    // One server repeats its last control event as a sign of life.
    real.truncate(
        model.len().max(real.iter().position(|(_, data)| is_last(data)).map_or(0, |last| last + 1)),
    );
    if model.len() != real.len() {
        return Err(format!("{model:?} and {real:?}"));
    }
    for (model, real) in model.iter().zip(&real) {
        if model.0 != real.0 {
            return Err(format!("{model:?} and {real:?}"));
        }
        if model.0 != "control" {
            if model.1 != real.1 {
                return Err(format!("{model:?} and {real:?}"));
            }
            continue;
        }
        let (model, real) = (control(&model.1)?, control(&real.1)?);
        let flags = |control: &BTreeMap<String, serde_json::Value>| {
            let cursor = control.contains_key("streamCursor");
            (cursor, control.get("upToDate").cloned(), control.get("streamClosed").cloned())
        };
        if flags(&model) != flags(&real) {
            return Err(format!("{model:?} and {real:?}"));
        }
        let offset = |control: &BTreeMap<String, serde_json::Value>| {
            control.get("streamNextOffset").and_then(|offset| offset.as_str()).map(str::to_owned)
        };
        learn(&mut tokens.offsets, (offset(&model).as_deref(), offset(&real).as_deref()), true)?;
    }
    Ok(())
}

fn is_last(data: &str) -> bool {
    data.contains("\"upToDate\":true") || data.contains("\"streamClosed\":true")
}

fn control(data: &str) -> Result<BTreeMap<String, serde_json::Value>, String> {
    serde_json::from_str(data).map_err(|error| format!("{data}: {error}"))
}

/// The type and the data, line by line, of each event.
fn events(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let event = |block: &str| {
        let mut kind = String::new();
        let mut data = Vec::new();
        for line in block.split('\n') {
            match line.split_once(':') {
                Some(("event", value)) => kind = value.trim().to_owned(),
                Some(("data", value)) => data.push(value.to_owned()),
                _ => {}
            }
        }
        (kind, data.join("\n"))
    };
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(event).collect()
}
