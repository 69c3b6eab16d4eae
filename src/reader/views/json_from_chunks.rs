//! JSON values from chunks, where the machine's own messages cannot be taken: on a stream of JSON texts that is not of the JSON
//! type, and with prefetched chunks.

use crate::checkpoint::Checkpoint;
use crate::error::{JsonError, StreamError};
use crate::protocol::json::{Framing, FramingError, ItemError, JsonSplitter};
use crate::reader::output::Chunk;
use crate::reader::position::{Unit, advance};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// Splits chunks into values, and knows the position after each.
pub(in crate::reader) struct ChunkValues {
    splitter: JsonSplitter,
    unit: Unit,
    max_message_bytes: usize,
    /// How many bytes were pushed.
    pushed: u64,
    /// How many messages after the first mark were read.
    messages: u64,
    /// The chunks that are not yet read: the position before the first, then the position at the end of each. Never empty.
    marks: VecDeque<Mark>,
    /// The position after the last value that was returned.
    reached: Checkpoint,
    /// No value follows, whatever is pushed.
    ended: bool,
    /// The stream may still grow: an incomplete value at the end is not an error.
    may_grow: bool,
    /// The incomplete value at the end, if the stream may still grow.
    unfinished: Option<FramingError>,
}

/// A position between two chunks.
struct Mark {
    /// How many bytes were pushed before it.
    at: u64,
    checkpoint: Checkpoint,
    /// Whether positions in the chunk after it can be counted from it.
    divisible: bool,
}

impl ChunkValues {
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
            ended: false,
            may_grow: false,
            unfinished: None,
        }
    }

    pub(in crate::reader) fn checkpoint(&self) -> Checkpoint {
        self.reached.clone()
    }

    pub(in crate::reader) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Adds a chunk, once all values of the one before were returned.
    pub(in crate::reader) fn push(&mut self, chunk: Chunk) {
        // A stream without content may not have said its type when the reader started.
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
        // A chunk without content moves the checkpoint, unless an incomplete value lies before it.
        let position = self.position();
        if chunk.empty {
            self.reached = position;
        }
    }

    /// No chunk follows. If the stream is not closed, an incomplete value at the end is not an error.
    pub(in crate::reader) fn finish(&mut self, is_closed: bool) {
        self.splitter.finish();
        self.ended = true;
        self.may_grow = !is_closed;
    }

    /// No chunk follows, because the reader has failed. An incomplete value at the end is ignored.
    pub(in crate::reader) fn abandon(&mut self) {
        self.ended = true;
    }

    /// The error for an incomplete value at the end of a stream that may still grow, with the position before it.
    pub(in crate::reader) fn unfinished(&self) -> Option<(StreamError, Checkpoint)> {
        let error = self.unfinished.clone()?;
        Some((describe(error), self.reached.clone()))
    }

    /// The next value, or its error with the position of the last value before it.
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
                // Drops marks that were passed, without moving the checkpoint.
                self.position();
                error.into()
            }
            Err(ItemError::Framing(error @ FramingError::Truncated { .. })) if self.may_grow => {
                self.unfinished = Some(error);
                return None;
            }
            Err(ItemError::Framing(error)) => {
                self.ended = true;
                describe(error)
            }
        };
        Some(Err((kind, self.reached.clone())))
    }

    /// The splitter's position, after white space. Drops the marks before it.
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
}

fn describe(error: FramingError) -> StreamError {
    match error {
        FramingError::TooLarge { limit } => {
            StreamError::TooLarge { what: "a JSON text".into(), option: "max_event_bytes", limit }
        }
        error => StreamError::Json(JsonError::new(error.to_string())),
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

    fn read(values: &mut ChunkValues) -> Vec<(String, String)> {
        let mut read = Vec::new();
        while let Some(value) = values.next::<serde_json::Value>() {
            read.push((value.unwrap().to_string(), values.checkpoint().to_string()));
        }
        read
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(value, at)| ((*value).to_owned(), (*at).to_owned())).collect()
    }

    #[test]
    fn json_texts_across_chunks_have_positions_in_bytes() {
        let mut values = ChunkValues::new(Unit::Bytes, "a,b2".parse().unwrap(), 100);
        values.push(chunk("{\"n\":1}\n{\"n\"", "b"));
        assert_eq!(read(&mut values), pairs(&[("{\"n\":1}", "a,b10")]));
        values.push(chunk(":2} 3", "b,b5"));
        assert_eq!(read(&mut values), pairs(&[("{\"n\":2}", "b,b4")]));
        values.push(chunk("4\n", "c"));
        assert_eq!(read(&mut values), pairs(&[("34", "c")]));
        values.push(chunk("", "d"));
        assert!(read(&mut values).is_empty());
        assert_eq!(values.checkpoint().to_string(), "d");
        values.push(chunk("5", "e"));
        assert!(read(&mut values).is_empty());
        assert_eq!(values.checkpoint().to_string(), "d");
        values.finish(true);
        assert_eq!(read(&mut values), pairs(&[("5", "e")]));
    }

    #[test]
    fn chunks_of_messages_have_positions_in_messages() {
        let mut values = ChunkValues::new(Unit::Messages, "a,m2".parse().unwrap(), 100);
        values.push(messages("[1,2]", "a,m4"));
        assert_eq!(read(&mut values), pairs(&[("1", "a,m3"), ("2", "a,m4")]));
        values.push(messages("[]", "b"));
        assert!(read(&mut values).is_empty());
        assert_eq!(values.checkpoint().to_string(), "b");
        values.push(messages("[3,4]", "c"));
        assert_eq!(read(&mut values), pairs(&[("3", "b,m1"), ("4", "c")]));
    }

    #[test]
    fn first_content_may_change_the_unit() {
        let mut values = ChunkValues::new(Unit::Bytes, "a".parse().unwrap(), 100);
        values.push(chunk("", "b"));
        assert!(read(&mut values).is_empty());
        values.push(messages("[1,[2]]", "c"));
        assert_eq!(read(&mut values), pairs(&[("1", "b,m1"), ("[2]", "c")]));
    }

    #[test]
    fn value_of_another_type_keeps_the_checkpoint_and_is_skipped() {
        let mut values = ChunkValues::new(Unit::Messages, "a".parse().unwrap(), 100);
        values.push(messages("[1,\"x\",3]", "b"));
        assert_eq!(values.next::<u8>().unwrap().unwrap(), 1);
        assert!(values.next::<u8>().unwrap().is_err());
        assert_eq!(values.checkpoint().to_string(), "a,m1");
        assert_eq!(values.next::<u8>().unwrap().unwrap(), 3);
        assert_eq!(values.checkpoint().to_string(), "b");
    }

    #[test]
    fn invalid_json_ends_the_values() {
        let mut values = ChunkValues::new(Unit::Bytes, "a".parse().unwrap(), 4);
        values.push(chunk("1 }", "b"));
        assert!(values.next::<u8>().unwrap().is_ok());
        assert!(matches!(values.next::<u8>().unwrap(), Err((StreamError::Json(_), _))) && values.has_ended());
        let mut values = ChunkValues::new(Unit::Bytes, "a".parse().unwrap(), 9);
        values.push(chunk("1 [2", "b"));
        values.finish(false);
        assert_eq!(read(&mut values), pairs(&[("1", "a,b2")]));
        let mut values = ChunkValues::new(Unit::Bytes, "a".parse().unwrap(), 4);
        values.push(chunk("\"12345\"", "b"));
        assert!(matches!(values.next::<String>().unwrap(), Err((StreamError::TooLarge { .. }, _))));
    }
}
