//! What the server holds, by its own word, and whether it is what was made.

use crate::{Record, Result};
use test_servers::direct;

/// All records of a stream, from the server itself.
pub(crate) fn stored(url: &str) -> Result<Vec<Record>> {
    let answer = direct("GET", &format!("{url}?offset=-1"), (), "")?;
    if answer.status != 200 || answer.header("stream-up-to-date") != Some("true") {
        return Err(format!("GET {url}: {}, not all of the stream in one answer", answer.status).into());
    }
    if answer.header("content-type") == Some("application/json") {
        return Ok(serde_json::from_slice(&answer.body)?);
    }
    Ok(serde_json::Deserializer::from_slice(&answer.body)
        .into_iter()
        .collect::<std::result::Result<_, _>>()?)
}

/// A violation found in a stream.
pub(crate) struct Violation {
    pub(crate) text: String,
    /// Which record of which writer is stored twice, if it is that.
    pub(crate) twice: Option<(u32, u64)>,
}

impl From<String> for Violation {
    fn from(text: String) -> Self {
        Self { text, twice: None }
    }
}

/// What is wrong with a stream to which these writers appended so many records each.
pub(crate) fn judge(records: &[Record], writers: impl Iterator<Item = (u32, u64)>) -> Vec<Violation> {
    let mut violations: Vec<Violation> = Vec::new();
    let mut of_whom = 0;
    for (writer, made) in writers {
        let mut seen = vec![false; made as usize + 1];
        let mut last = 0;
        for Record { run, number, .. } in records.iter().filter(|record| record.writer == writer) {
            of_whom += 1;
            if *number == 0 {
                continue;
            }
            let named = |what: &str| {
                format!("producer {writer}, record {number} of run {run}: {what} (after {last})")
            };
            match seen.get_mut(*number as usize) {
                None => violations.push(named("was never made").into()),
                Some(true) => {
                    let (text, twice) = (named("is stored twice"), Some((writer, *number)));
                    violations.push(Violation { text, twice });
                }
                Some(seen) => {
                    if *number < last {
                        violations.push(named("is out of order").into());
                    }
                    *seen = true;
                    last = *number;
                }
            }
        }
        let missing: Vec<usize> = (1..seen.len()).filter(|number| !seen[*number]).collect();
        if let Some(first) = missing.first() {
            let count = missing.len();
            violations
                .push(format!("producer {writer}: {count} records are missing, {first} the first").into());
        }
    }
    if of_whom != records.len() {
        violations.push(format!("{} records are nobody's", records.len() - of_whom).into());
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(numbers: &[u64], made: u64) -> String {
        let records: Vec<Record> =
            numbers.iter().map(|number| Record { writer: 1, run: 0, number: *number }).collect();
        texts(judge(&records, [(1, made)].into_iter()))
    }

    fn texts(violations: Vec<Violation>) -> String {
        violations.into_iter().map(|violation| violation.text).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn correct_content_passes_and_wrong_content_is_named() {
        assert_eq!(judged(&[0, 1, 2, 0, 0, 3], 3), "");
        assert_eq!(judged(&[], 0), "");
        for (numbers, made, named) in [
            (&[1, 2, 2, 3][..], 3, "record 2 of run 0: is stored twice"),
            (&[1, 3, 2], 3, "record 2 of run 0: is out of order"),
            (&[1, 3], 3, "1 records are missing, 2 the first"),
            (&[1, 2], 4, "2 records are missing, 3 the first"),
            (&[1, 2, 3], 2, "record 3 of run 0: was never made"),
        ] {
            assert!(judged(numbers, made).contains(named), "{}", judged(numbers, made));
        }
        let strange = [Record { writer: 9, run: 0, number: 1 }];
        assert_eq!(texts(judge(&strange, [(1, 0)].into_iter())), "1 records are nobody's");
    }
}
