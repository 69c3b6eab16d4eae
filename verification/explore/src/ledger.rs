//! What the applications know of their records, written down where no crash reaches it.

use crate::plan::Content;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// What the application was told of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: it crashed before.
    Unknown,
    /// It is stored.
    Acked {
        /// The server had it already, or something else under its number.
        duplicate: bool,
        /// It was in the first batch of its epoch.
        first: bool,
        /// Its epoch.
        epoch: u64,
    },
    /// It is not stored, or not known to be.
    Failed {
        /// The error, in words.
        error: String,
        /// Whether it may be stored, as far as was told.
        may_be_stored: bool,
        /// Whether this record failed by itself, and others did not.
        alone: bool,
    },
}

/// Shared by all processes of a world, as a disk that never fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    fates: BTreeMap<RecordId, Fate>,
    looks: Vec<Look>,
    violations: Vec<String>,
}

/// From where an application was told to look for the records of a run that halted.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// The writer's number.
    pub(crate) writer: usize,
    /// Which of its runs.
    pub(crate) run: usize,
    /// The server's offset.
    pub(crate) from: String,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record is about to be handed to the client.
    pub(crate) fn begin(&self, id: RecordId) {
        self.state().fates.insert(id, Fate::Unknown);
    }

    /// The application has been told.
    pub(crate) fn settle(&self, id: RecordId, fate: Fate) {
        self.state().fates.insert(id, fate);
    }

    /// The application has been told from where to look for what a halt left in doubt.
    pub(crate) fn look(&self, look: Look) {
        self.state().looks.push(look);
    }

    /// From where the applications were told to look.
    pub(crate) fn looks(&self) -> Vec<Look> {
        self.state().looks.clone()
    }

    /// Something that must not happen has happened.
    pub(crate) fn violation(&self, what: String) {
        self.state().violations.push(what);
    }

    /// What must not have happened, and did.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// What is known of each record.
    pub(crate) fn fates(&self) -> BTreeMap<RecordId, Fate> {
        self.state().fates.clone()
    }
}

/// A record's bytes: its id, and as much filling as `size` says.
pub(crate) fn record(content: Content, id: RecordId, size: usize) -> Bytes {
    // Characters of several bytes, to be cut anywhere.
    let filling = if content == Content::Text { "ü".repeat(size / 2) } else { "x".repeat(size) };
    Bytes::from(match content {
        Content::Json => format!("{{\"id\":\"{id}\",\"x\":\"{filling}\"}}"),
        Content::Text | Content::Binary => format!("<{id}|{filling}>\n"),
    })
}

/// The ids of what is stored, in order. What is no record of ours is an error.
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
