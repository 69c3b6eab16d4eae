use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::reader::position::{Unit, advance};
use crate::reader::started::StartedReader;
use crate::reader::views::macros::{status, view};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::task::{Context, Poll, ready};

/// A stream's content as text, in order, each character once; and no empty pieces.
///
/// From [`ReaderBuilder::text`](crate::ReaderBuilder::text). Pieces are as long as the content that has
/// arrived. None ends inside a character: its first bytes are kept until the rest has arrived, and the
/// [checkpoint](Self::checkpoint) stays before them. Bytes that are not valid UTF-8 are an error, which ends the reader. It
/// ends as a [`ChunkIterator`](crate::ChunkIterator) does.
pub struct TextStream<T = AnyTransport, R = AnyRuntime> {
    reader: StartedReader<T, R>,
    joiner: Utf8Joiner,
}

impl<T, R> TextStream<T, R> {
    pub(in crate::reader) fn new(reader: StartedReader<T, R>) -> Self {
        let joiner = Utf8Joiner { start: reader.status().checkpoint, kept: Vec::new(), failed: false };
        Self { reader, joiner }
    }

    /// The position after the last piece.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        if self.joiner.kept.is_empty() && !self.joiner.failed {
            self.reader.status().checkpoint
        } else {
            self.joiner.start.clone()
        }
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.reader
    }

    /// The error for an incomplete character at the end of a closed stream, if there is one.
    fn unfinished(&self) -> Option<Error> {
        let kept = &self.joiner.kept;
        (!kept.is_empty()).then(|| {
            let reason = format!("the stream ends inside a character, after the bytes {kept:02x?}");
            self.error(reason)
        })
    }

    fn error(&self, reason: String) -> Error {
        let offset = self.joiner.start.offset().clone();
        Error::from(StreamError::Utf8 { reason })
            .with_request("read", &self.reader.url)
            .edit(|context| context.offset = Some(offset))
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> TextStream<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> TextStream {
        TextStream { reader: self.reader.into_any(), joiner: self.joiner }
    }
}

impl<T: HttpTransport, R: Runtime> TextStream<T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        while !self.joiner.failed {
            let before = self.reader.status().checkpoint;
            let chunk = match ready!(self.reader.poll_chunk(cx)) {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.reader.status().closed => {
                    let unfinished = self.unfinished();
                    self.joiner.failed = unfinished.is_some();
                    return Poll::Ready(unfinished.map(Err));
                }
                None => return Poll::Ready(None),
            };
            if chunk.is_empty() {
                continue;
            }
            match self.joiner.join(before, chunk.data, chunk.divisible) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => return Poll::Ready(Some(Ok(text))),
                Err(reason) => return Poll::Ready(Some(Err(self.error(reason)))),
            }
        }
        Poll::Ready(None)
    }
}

/// Joins characters whose bytes came in two pieces.
struct Utf8Joiner {
    /// The position of the first kept byte.
    start: Checkpoint,
    /// The first bytes of a character, three at most.
    kept: Vec<u8>,
    /// A byte was not valid. Nothing follows.
    failed: bool,
}

impl Utf8Joiner {
    /// Returns the text of the kept bytes and `data`, without the incomplete character at its end, which it keeps. `before` is
    /// the position of `data`.
    fn join(&mut self, before: Checkpoint, data: Bytes, divisible: bool) -> Result<String, String> {
        let length = data.len();
        if self.kept.is_empty() {
            self.start = before.clone();
        }
        let bytes = if self.kept.is_empty() {
            Vec::from(data)
        } else {
            let mut joined = std::mem::take(&mut self.kept);
            joined.extend_from_slice(&data);
            joined
        };
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(error) => error,
        };
        let valid = error.utf8_error().valid_up_to();
        if error.utf8_error().error_len().is_some() {
            self.failed = true;
            return Err(format!("byte {valid} after {} is not valid", self.start));
        }
        // Only an incomplete character at the end remains.
        let mut bytes = error.into_bytes();
        self.kept = bytes.split_off(valid);
        // Inside indivisible content there are no positions: the start stays before all of it.
        if valid > 0 && divisible {
            self.start = advance(&before, Unit::Bytes, (length - self.kept.len()) as u64);
        }
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }
}

view!(impl[T: HttpTransport, R: Runtime] TextStream<T, R> => String);
status!(impl[T, R] TextStream<T, R>);

impl<T, R> fmt::Debug for TextStream<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStream").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_split_at_any_byte_are_joined_and_checkpoints_stay_before_them() {
        let text = "aé€😀z";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut joiner = Utf8Joiner { start: "o".parse().unwrap(), kept: Vec::new(), failed: false };
                let (mut read, mut at) = (String::new(), 0);
                for end in [first, second, text.len()] {
                    let before = advance(&"o".parse().unwrap(), Unit::Bytes, at as u64);
                    let piece = Bytes::copy_from_slice(&text.as_bytes()[at..end]);
                    if !piece.is_empty() {
                        read += &joiner.join(before, piece, true).unwrap();
                    }
                    at = end;
                    let reached = if joiner.kept.is_empty() {
                        end.to_string()
                    } else {
                        joiner.start.to_string().trim_start_matches("o,b").to_owned()
                    };
                    let reached = if reached == "o" { "0".to_owned() } else { reached };
                    assert_eq!(reached, read.len().to_string(), "{first} {second} {end}");
                }
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn invalid_utf8_is_an_error() {
        let mut joiner = Utf8Joiner { start: "o".parse().unwrap(), kept: Vec::new(), failed: false };
        joiner.join("o".parse().unwrap(), Bytes::from_static(b"ab\xE2"), true).unwrap();
        let error = joiner.join("o,b3".parse().unwrap(), Bytes::from_static(b"xy"), true).unwrap_err();
        assert_eq!(error, "byte 0 after o,b2 is not valid");
        assert!(joiner.failed);
    }
}
