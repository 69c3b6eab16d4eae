//! JSON values out of chunks: where a stream holds JSON texts without being of that type, and where chunks
//! were read ahead.

use crate::checkpoint::Checkpoint;
use crate::error::StreamError;
use crate::protocol::json::{Framing, FramingError, ItemError, JsonSplitter};
use crate::reader::output::Chunk;
use crate::reader::position::{Unit, advance};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// Cuts chunks into values, and knows the position after each.
pub(in crate::reader) struct Texts {
    splitter: JsonSplitter,
    unit: Unit,
    max_message_bytes: usize,
    /// How many bytes were pushed.
    pushed: u64,
    /// How many messages of the chunk at hand were read.
    messages: u64,
    /// The position before what is read, and those at the ends of the chunks from there on.
    marks: VecDeque<Mark>,
    /// The position after the last value that was handed out.
    reached: Checkpoint,
    over: bool,
    lenient: bool,
    /// What was left then.
    unfinished: Option<FramingError>,
}

struct Mark {
    /// How many bytes were pushed before it.
    at: u64,
    checkpoint: Checkpoint,
    /// Whether positions behind it can be counted from it.
    divisible: bool,
}

impl Texts {
    pub(in crate::reader) fn new(unit: Unit, start: Checkpoint, max_message_bytes: usize) -> Self {
        let framing = match unit {
            Unit::Bytes => Framing::Texts,
            Unit::Messages => Framing::Array,
        };
        Self {
            splitter: JsonSplitter::new(framing, max_message_bytes),
            unit,
            max_message_bytes,
            pushed: 0,
            messages: 0,
            marks: VecDeque::from([Mark { at: 0, checkpoint: start.clone(), divisible: true }]),
            reached: start,
            over: false,
            lenient: false,
            unfinished: None,
        }
    }

    pub(in crate::reader) fn checkpoint(&self) -> Checkpoint {
        self.reached.clone()
    }

    /// Whether nothing more comes, whatever is pushed.
    pub(in crate::reader) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in a chunk, once all values of the one before are taken.
    pub(in crate::reader) fn push(&mut self, chunk: Chunk) {
        // Before its first content a stream may not have said what it is.
        if self.unit != chunk.unit && self.pushed == 0 {
            *self = Self::new(chunk.unit, self.reached.clone(), self.max_message_bytes);
        }
        if let Some(last) = self.marks.back_mut() {
            last.divisible = chunk.divisible;
        }
        match self.unit {
            Unit::Bytes => {
                self.pushed += chunk.data.len() as u64;
                self.splitter.push(chunk.data);
            }
            // Each chunk is an array of its own.
            Unit::Messages => {
                self.splitter = JsonSplitter::new(Framing::Array, self.max_message_bytes);
                self.splitter.push(chunk.data);
                self.splitter.finish();
                self.messages = 0;
            }
        }
        self.marks.push_back(Mark { at: self.pushed, checkpoint: chunk.checkpoint, divisible: true });
        // One without a value moves on what was reached, if there is nothing between.
        let position = self.position();
        if chunk.empty {
            self.reached = position;
        }
    }

    /// Nothing more will be pushed. Where more may still be written, a value that is not whole is no error.
    pub(in crate::reader) fn finish(&mut self, for_good: bool) {
        self.splitter.finish();
        self.over = true;
        self.lenient = !for_good;
    }

    /// Nothing more will be pushed, because the reader has failed: what is not whole may be the start of anything.
    pub(in crate::reader) fn abandon(&mut self) {
        self.over = true;
    }

    /// What was left when it ended where more may still be written.
    pub(in crate::reader) fn unfinished(&self) -> Option<(StreamError, Checkpoint)> {
        let error = self.unfinished.clone()?;
        Some((self.describe(error), self.reached.clone()))
    }

    /// The next value, or what is wrong with it and the position of the last one that was read.
    pub(in crate::reader) fn next<V: DeserializeOwned>(
        &mut self,
    ) -> Option<Result<V, (StreamError, Checkpoint)>> {
        let kind = match self.splitter.next_item::<V>()? {
            Ok(value) => {
                self.messages += 1;
                self.reached = self.position();
                return Some(Ok(value));
            }
            Err(ItemError::Value(error)) => {
                self.messages += 1;
                self.position();
                error.into()
            }
            Err(ItemError::Framing(error @ FramingError::Truncated { .. })) if self.lenient => {
                self.unfinished = Some(error);
                return None;
            }
            Err(ItemError::Framing(error)) => {
                self.over = true;
                self.describe(error)
            }
        };
        Some(Err((kind, self.reached.clone())))
    }

    /// The position that the splitter has come to, behind white space; marks before it are forgotten.
    fn position(&mut self) -> Checkpoint {
        let at_end = self.splitter.at_end();
        let consumed = self.splitter.position();
        while self.marks.get(1).is_some_and(|next| match self.unit {
            Unit::Bytes => next.at <= consumed,
            Unit::Messages => at_end,
        }) {
            self.marks.pop_front();
            self.messages = 0;
        }
        let Some(mark) = self.marks.front() else { return self.reached.clone() };
        let count = match self.unit {
            Unit::Bytes if mark.divisible => consumed - mark.at,
            Unit::Bytes => 0,
            Unit::Messages => self.messages,
        };
        advance(&mark.checkpoint, self.unit, count)
    }

    fn describe(&self, error: FramingError) -> StreamError {
        match error {
            FramingError::TooLarge { limit } => {
                StreamError::TooLarge { what: "a JSON text".into(), option: "max_event_bytes", limit }
            }
            error => StreamError::Json(crate::error::JsonError::new(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn chunk(data: &'static str, checkpoint: &str) -> Chunk {
        chunk_of(Unit::Bytes, data, checkpoint)
    }

    fn messages(data: &'static str, checkpoint: &str) -> Chunk {
        chunk_of(Unit::Messages, data, checkpoint)
    }

    fn chunk_of(unit: Unit, data: &'static str, checkpoint: &str) -> Chunk {
        let checkpoint: Checkpoint = checkpoint.parse().unwrap();
        Chunk {
            data: Bytes::from_static(data.as_bytes()),
            next_offset: checkpoint.offset().clone(),
            checkpoint,
            up_to_date: false,
            closed: false,
            cursor: None,
            unit,
            divisible: true,
            empty: matches!(data, "" | "[]"),
        }
    }

    fn read(texts: &mut Texts) -> Vec<(String, String)> {
        let mut read = Vec::new();
        while let Some(value) = texts.next::<serde_json::Value>() {
            read.push((value.unwrap().to_string(), texts.checkpoint().to_string()));
        }
        read
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(value, at)| ((*value).to_owned(), (*at).to_owned())).collect()
    }

    #[test]
    fn texts_across_chunks_have_positions_in_bytes() {
        let mut texts = Texts::new(Unit::Bytes, "a,b2".parse().unwrap(), 100);
        texts.push(chunk("{\"n\":1}\n{\"n\"", "b"));
        assert_eq!(read(&mut texts), pairs(&[("{\"n\":1}", "a,b10")]));
        texts.push(chunk(":2} 3", "b,b5"));
        assert_eq!(read(&mut texts), pairs(&[("{\"n\":2}", "b,b4")]));
        texts.push(chunk("4\n", "c"));
        assert_eq!(read(&mut texts), pairs(&[("34", "c")]));
        texts.push(chunk("", "d"));
        assert!(read(&mut texts).is_empty());
        assert_eq!(texts.checkpoint().to_string(), "d");
        texts.push(chunk("5", "e"));
        assert!(read(&mut texts).is_empty());
        assert_eq!(texts.checkpoint().to_string(), "d");
        texts.finish(true);
        assert_eq!(read(&mut texts), pairs(&[("5", "e")]));
    }

    #[test]
    fn framed_chunks_have_positions_in_messages() {
        let mut texts = Texts::new(Unit::Messages, "a,m2".parse().unwrap(), 100);
        texts.push(messages("[1,2]", "a,m4"));
        assert_eq!(read(&mut texts), pairs(&[("1", "a,m3"), ("2", "a,m4")]));
        texts.push(messages("[]", "b"));
        assert!(read(&mut texts).is_empty());
        assert_eq!(texts.checkpoint().to_string(), "b");
        texts.push(messages("[3,4]", "c"));
        assert_eq!(read(&mut texts), pairs(&[("3", "b,m1"), ("4", "c")]));
    }

    #[test]
    fn the_first_content_may_tell_the_type() {
        let mut texts = Texts::new(Unit::Bytes, "a".parse().unwrap(), 100);
        texts.push(chunk("", "b"));
        assert!(read(&mut texts).is_empty());
        texts.push(messages("[1,[2]]", "c"));
        assert_eq!(read(&mut texts), pairs(&[("1", "b,m1"), ("[2]", "c")]));
    }

    #[test]
    fn a_wrong_value_leaves_the_position_and_is_passed_over() {
        let mut texts = Texts::new(Unit::Messages, "a".parse().unwrap(), 100);
        texts.push(messages("[1,\"x\",3]", "b"));
        assert_eq!(texts.next::<u8>().unwrap().unwrap(), 1);
        assert!(texts.next::<u8>().unwrap().is_err());
        assert_eq!(texts.checkpoint().to_string(), "a,m1");
        assert_eq!(texts.next::<u8>().unwrap().unwrap(), 3);
        assert_eq!(texts.checkpoint().to_string(), "b");
    }

    #[test]
    fn what_is_no_json_ends_it() {
        let mut texts = Texts::new(Unit::Bytes, "a".parse().unwrap(), 4);
        texts.push(chunk("1 }", "b"));
        assert!(texts.next::<u8>().unwrap().is_ok());
        assert!(matches!(texts.next::<u8>().unwrap(), Err((StreamError::Json(_), _))) && texts.is_over());
        let mut texts = Texts::new(Unit::Bytes, "a".parse().unwrap(), 9);
        texts.push(chunk("1 [2", "b"));
        texts.finish(false);
        assert_eq!(read(&mut texts), pairs(&[("1", "a,b2")]));
        let mut texts = Texts::new(Unit::Bytes, "a".parse().unwrap(), 4);
        texts.push(chunk("\"12345\"", "b"));
        assert!(matches!(texts.next::<String>().unwrap(), Err((StreamError::TooLarge { .. }, _))));
    }
}
