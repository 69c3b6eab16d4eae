//! What was sent under which number, as the proxy saw it.

use crate::sync::lock;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard};
use test_servers::Recorded;

/// The first and the last record of each batch. A batch is sent as often as need be, but under one number, and no other
/// batch is sent under that.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    sent: HashMap<Number, (u64, u64)>,
    wrong: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Number {
    writer: u32,
    epoch: u64,
    seq: u64,
}

impl RequestLog {
    /// Notes an append; anything else is of no interest.
    pub(crate) fn note(&self, request: &Recorded) {
        let (Some(number), Some(records)) = (number(request), records(&request.text())) else { return };
        let mut pages = self.pages();
        match pages.sent.entry(number) {
            Entry::Vacant(new) => drop(new.insert(records)),
            Entry::Occupied(noted) if *noted.get() != records => {
                let text = format!("{:?}: records {:?}, and then {records:?}", noted.key(), noted.get());
                pages.wrong.push(text);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Where something else was sent under a number that was used before.
    pub(crate) fn two_under_one_number(&self) -> Vec<String> {
        self.pages().wrong.clone()
    }

    /// Whether this record was only ever sent under one number.
    pub(crate) fn has_one_number(&self, writer: u32, record: u64) -> bool {
        let pages = self.pages();
        let of_writer = pages.sent.iter().filter(|(number, _)| number.writer == writer);
        of_writer.filter(|(_, (first, last))| (*first..=*last).contains(&record)).count() == 1
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        lock(&self.0)
    }
}

fn number(request: &Recorded) -> Option<Number> {
    let writer = request.header("producer-id")?.strip_prefix("writer-")?.parse().ok()?;
    let epoch = request.header("producer-epoch")?.parse().ok()?;
    let seq = request.header("producer-seq")?.parse().ok()?;
    Some(Number { writer, epoch, seq })
}

/// The numbers of a body's first and last record.
fn records(body: &str) -> Option<(u64, u64)> {
    const FIELD: &str = "\"number\":";
    let at = |position: usize| {
        let digits = &body[position + FIELD.len()..];
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some((at(body.find(FIELD)?)?, at(body.rfind(FIELD)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_its_first_and_last_record() {
        let body = r#"[{"writer":1,"run":0,"number":7},{"writer":1,"run":0,"number":8},{"writer":1,"run":2,"number":19}]"#;
        assert_eq!(records(body), Some((7, 19)));
        assert_eq!(records("{}"), None);
    }
}
