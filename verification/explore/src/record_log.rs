//! What the applications know about their records. It survives their crashes.

use crate::scenario::Content;
use crate::sync::lock;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

/// A record: the writer, its run, and the number in that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId {
    /// The writer's number.
    pub(crate) writer: usize,
    /// Which of its runs.
    pub(crate) run: usize,
    /// Which record of the run.
    pub(crate) number: usize,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.writer, self.run, self.number)
    }
}

/// The result of a record, as the application knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None: the application crashed before.
    Unknown,
    /// It is stored.
    Acked {
        /// The server reported a duplicate.
        duplicate: bool,
        /// It was in the first batch of its epoch.
        first: bool,
        /// Its epoch.
        epoch: u64,
    },
    /// It is not stored, or not known to be.
    Failed {
        /// The error's text.
        error: String,
        /// Whether it may be stored, as reported.
        may_be_stored: bool,
        /// Whether only this record failed.
        alone: bool,
    },
}

/// Shared by all processes of a world.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    fates: BTreeMap<RecordId, Fate>,
    looks: Vec<Look>,
    violations: Vec<String>,
}

/// The `unacked_from` of a run that halted.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// The writer's number.
    pub(crate) writer: usize,
    /// Which of its runs.
    pub(crate) run: usize,
    /// The server's offset.
    pub(crate) from: String,
}

impl RecordLog {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Notes a record before it is appended.
    pub(crate) fn begin(&self, id: RecordId) {
        self.state().fates.insert(id, Fate::Unknown);
    }

    /// Notes the result of a record.
    pub(crate) fn settle(&self, id: RecordId, fate: Fate) {
        self.state().fates.insert(id, fate);
    }

    /// Notes the `unacked_from` of a halt.
    pub(crate) fn look(&self, look: Look) {
        self.state().looks.push(look);
    }

    /// All `unacked_from` offsets.
    pub(crate) fn looks(&self) -> Vec<Look> {
        self.state().looks.clone()
    }

    /// Notes a violation found during the run.
    pub(crate) fn violation(&self, what: String) {
        self.state().violations.push(what);
    }

    /// The violations found during the run.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// What is known of each record.
    pub(crate) fn fates(&self) -> BTreeMap<RecordId, Fate> {
        self.state().fates.clone()
    }
}

/// A record's bytes: its id, and `size` filler bytes.
pub(crate) fn record(content: Content, id: RecordId, size: usize) -> Bytes {
    // Characters of several bytes, to be cut anywhere.
    let filling = if content == Content::Text { "ü".repeat(size / 2) } else { "x".repeat(size) };
    Bytes::from(match content {
        Content::Json => format!("{{\"id\":\"{id}\",\"x\":\"{filling}\"}}"),
        Content::Text | Content::Binary => format!("<{id}|{filling}>\n"),
    })
}

/// The ids of the stored records, in order. Anything that is not a record of a writer is an error.
pub(crate) fn parse(content: Content, data: &[u8]) -> Result<Vec<RecordId>, String> {
    let text = String::from_utf8_lossy(data);
    let (open, close, end) = match content {
        Content::Json => ("{\"id\":\"", '"', "}"),
        Content::Text | Content::Binary => ("<", '|', ">\n"),
    };
    let mut rest: &str = match content {
        Content::Json => text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text),
        _ => &text,
    };
    let mut ids = Vec::new();
    while !rest.is_empty() {
        let broken =
            || format!("what is stored is no record at {:?}", &rest.chars().take(40).collect::<String>());
        let (id, after) =
            rest.strip_prefix(open).and_then(|rest| rest.split_once(close)).ok_or_else(broken)?;
        ids.push(parse_id(id).ok_or_else(broken)?);
        rest = after.split_once(end).ok_or_else(broken)?.1;
        if content == Content::Json {
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    Ok(ids)
}

fn parse_id(text: &str) -> Option<RecordId> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    let id = RecordId { writer: numbers.next()??, run: numbers.next()??, number: numbers.next()?? };
    numbers.next().is_none().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_again() {
        let ids: Vec<RecordId> = (0..3).map(|number| RecordId { writer: 1, run: 0, number }).collect();
        let all = |content| ids.iter().map(|id| record(content, *id, 5)).collect::<Vec<_>>();
        assert_eq!(parse(Content::Text, &all(Content::Text).concat()), Ok(ids.clone()));
        let json = [b"[", all(Content::Json).join(&b","[..]).as_slice(), b"]"].concat();
        assert_eq!(parse(Content::Json, &json), Ok(ids.clone()));
        assert!(parse(Content::Text, b"<1.0.0|xx").is_err());
        assert!(parse(Content::Text, b"nonsense").is_err());
        assert_eq!(parse(Content::Json, b"[]"), Ok(vec![]));
    }
}
