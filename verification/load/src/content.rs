//! What the records are made of. Everything is known from a record's position, so that checking a read costs
//! one comparison, the same through the client and without it.

use crate::Result;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::OnceLock;

/// A prime: what is lost, doubled or moved by a page, a buffer or a record shows.
const PERIOD: usize = 65_521;

/// The largest record, and the largest piece that can be taken from the pattern.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// The smallest JSON record: all its fields and one character of text.
pub(crate) const MIN_JSON_SIZE: usize = JSON_FRAME + 1;

/// `{"id":1000000,"ts":1764000000000,"level":3,"text":""}`
const JSON_FRAME: usize = 53;
const FIRST_ID: u64 = 1_000_000;
const FIRST_TS: u64 = 1_764_000_000_000;

fn fill<B>(length: usize, byte: fn(u64) -> B) -> Vec<B> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte(state >> 32)
    };
    (0..length).map(|_| step()).collect()
}

fn repeated<B: Clone>(period: Vec<B>) -> Vec<B> {
    period.iter().cycle().take(PERIOD + MAX_SIZE).cloned().collect()
}

/// The bytes of a binary stream from `position` on, at most [`MAX_SIZE`] of them.
pub(crate) fn bytes_at(position: u64, length: usize) -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| repeated(fill(PERIOD, |random| random as u8)));
    let start = (position % PERIOD as u64) as usize;
    &pattern[start..start + length]
}

/// Compares what arrives, piece after piece, with what belongs there.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    position: u64,
}

impl Checker {
    pub(crate) fn check(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PERIOD));
            if now != bytes_at(self.position, now.len()) {
                return Err(format!("other bytes than were sent, at {} or after it", self.position).into());
            }
            self.position += now.len() as u64;
            data = later;
        }
        Ok(())
    }

    /// The end is where it should be.
    pub(crate) fn finish(&self, bytes: u64) -> Result<()> {
        if self.position == bytes {
            return Ok(());
        }
        Err(format!("{} bytes came, {bytes} were stored", self.position).into())
    }
}

/// A JSON record.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Record<S> {
    id: u64,
    ts: u64,
    level: u8,
    text: S,
}

impl Record<&'static str> {
    /// Record number `index`, of `size` bytes in all.
    pub(crate) fn at(index: u64, size: usize) -> Self {
        static TEXT: OnceLock<String> = OnceLock::new();
        let text = TEXT.get_or_init(|| {
            let letter = |random| char::from(b'a' + (random % 26) as u8);
            repeated(fill(PERIOD, letter)).into_iter().collect()
        });
        let start = (index.wrapping_mul(31) % PERIOD as u64) as usize;
        Self {
            id: FIRST_ID + index % (9 * FIRST_ID),
            ts: FIRST_TS + index,
            level: (index % 10) as u8,
            text: &text[start..start + size - JSON_FRAME],
        }
    }
}

/// Compares JSON records, field by field and in order.
#[derive(Debug)]
pub(crate) struct JsonChecker {
    size: usize,
    index: u64,
}

impl JsonChecker {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, index: 0 }
    }

    pub(crate) fn check<S: AsRef<str>>(&mut self, record: &Record<S>) -> Result<()> {
        let expected = Record::at(self.index, self.size);
        let same = record.id == expected.id
            && record.ts == expected.ts
            && record.level == expected.level
            && record.text.as_ref() == expected.text;
        if !same {
            return Err(format!("record {} is another: id {}", self.index, record.id).into());
        }
        self.index += 1;
        Ok(())
    }

    pub(crate) fn finish(&self, count: u64) -> Result<()> {
        if self.index == count {
            return Ok(());
        }
        Err(format!("{} records came, {count} were stored", self.index).into())
    }

    /// Checks a whole array of records without keeping them.
    pub(crate) fn check_array(&mut self, json: &[u8]) -> Result<()> {
        let mut parser = serde_json::Deserializer::from_slice(json);
        self.deserialize(&mut parser)?;
        Ok(parser.end()?)
    }
}

impl<'de> DeserializeSeed<'de> for &mut JsonChecker {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut JsonChecker {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while let Some(record) = items.next_element::<Record<String>>()? {
            self.check(&record).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_by_their_position() {
        let mut checker = Checker::default();
        for length in [1, 4096, 65_521, 1 << 20, 3] {
            let data = bytes_at(checker.position, length).to_vec();
            checker.check(&data).unwrap();
        }
        checker.finish(1 + 4096 + 65_521 + (1 << 20) + 3).unwrap();
        assert!(checker.finish(7).is_err());
        assert!(checker.check(bytes_at(checker.position + 4096, 100)).is_err());
    }

    #[test]
    fn records_have_their_size_and_are_told_apart() {
        for index in [0, 1, 77_777, 8_999_999, 9_000_000] {
            for size in [54, 95, 4000] {
                assert_eq!(serde_json::to_vec(&Record::at(index, size)).unwrap().len(), size);
            }
        }
        let two = [Record::at(0, 95), Record::at(1, 95)];
        let mut checker = JsonChecker::new(95);
        checker.check_array(&serde_json::to_vec(&two).unwrap()).unwrap();
        checker.finish(2).unwrap();
        assert!(checker.check(&Record::at(3, 95)).is_err());
    }
}
