use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::reader::position::{Unit, advance};
use crate::reader::started::Source;
use crate::reader::views::macros::{status, view};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::task::{Context, Poll, ready};

/// A stream's content as text, in order, each character once; never empty pieces.
///
/// From [`ReaderBuilder::text`](crate::ReaderBuilder::text). A piece ends wherever content happened to arrive,
/// but never inside a character: the start of one is kept until the rest is there, and the
/// [checkpoint](Self::checkpoint) stays before it. What is no UTF-8 is an error, and ends the reader. It ends
/// as a [`ChunkIterator`](crate::ChunkIterator) does.
pub struct TextStream<T = AnyTransport, R = AnyRuntime> {
    source: Source<T, R>,
    joint: Joint,
}

impl<T, R> TextStream<T, R> {
    pub(in crate::reader) fn new(source: Source<T, R>) -> Self {
        let joint = Joint { start: source.status().checkpoint, kept: Vec::new(), failed: false };
        Self { source, joint }
    }

    /// The position after the last piece that was handed out.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        if self.joint.kept.is_empty() && !self.joint.failed {
            self.source.status().checkpoint
        } else {
            self.joint.start.clone()
        }
    }

    fn source(&self) -> &Source<T, R> {
        &self.source
    }

    /// What was kept when the reader ended, if anything: the start of a character that never came.
    fn unfinished(&self) -> Option<Error> {
        let kept = &self.joint.kept;
        (!kept.is_empty()).then(|| {
            let reason = format!("it ends inside a character, after the bytes {kept:02x?}");
            self.error(reason)
        })
    }

    fn error(&self, reason: String) -> Error {
        let offset = self.joint.start.offset().clone();
        Error::from(StreamError::Utf8 { reason })
            .with_request("read", &self.source.url)
            .edit(|context| context.offset = Some(offset))
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> TextStream<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> TextStream {
        TextStream { source: self.source.into_any(), joint: self.joint }
    }
}

impl<T: HttpTransport, R: Runtime> TextStream<T, R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        while !self.joint.failed {
            let before = self.source.status().checkpoint;
            let chunk = match ready!(self.source.poll_chunk(cx)) {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.source.status().closed => {
                    let unfinished = self.unfinished();
                    self.joint.failed = unfinished.is_some();
                    return Poll::Ready(unfinished.map(Err));
                }
                None => return Poll::Ready(None),
            };
            if chunk.is_empty() {
                continue;
            }
            match self.joint.join(before, chunk.data, chunk.divisible) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => return Poll::Ready(Some(Ok(text))),
                Err(reason) => return Poll::Ready(Some(Err(self.error(reason)))),
            }
        }
        Poll::Ready(None)
    }
}

/// Puts characters together that were cut.
struct Joint {
    /// The position of the first byte that is kept.
    start: Checkpoint,
    /// The start of a character: three bytes at most.
    kept: Vec<u8>,
    failed: bool,
}

impl Joint {
    /// `data` as text, with what was kept before it, and without what is kept now. `before` is its position.
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
            return Err(format!("byte {valid} after {} is wrong", self.start));
        }
        let mut bytes = error.into_bytes();
        self.kept = bytes.split_off(valid);
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
    fn characters_cut_anywhere_are_joined_and_positions_stay_before_them() {
        let text = "aé€😀z";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut joint = Joint { start: "o".parse().unwrap(), kept: Vec::new(), failed: false };
                let (mut read, mut at) = (String::new(), 0);
                for end in [first, second, text.len()] {
                    let before = advance(&"o".parse().unwrap(), Unit::Bytes, at as u64);
                    let piece = Bytes::copy_from_slice(&text.as_bytes()[at..end]);
                    if !piece.is_empty() {
                        read += &joint.join(before, piece, true).unwrap();
                    }
                    at = end;
                    let reached = if joint.kept.is_empty() {
                        end.to_string()
                    } else {
                        joint.start.to_string().trim_start_matches("o,b").to_owned()
                    };
                    let reached = if reached == "o" { "0".to_owned() } else { reached };
                    assert_eq!(reached, read.len().to_string(), "{first} {second} {end}");
                }
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn what_is_no_utf8_is_an_error() {
        let mut joint = Joint { start: "o".parse().unwrap(), kept: Vec::new(), failed: false };
        joint.join("o".parse().unwrap(), Bytes::from_static(b"ab\xE2"), true).unwrap();
        let error = joint.join("o,b3".parse().unwrap(), Bytes::from_static(b"xy"), true).unwrap_err();
        assert_eq!(error, "byte 0 after o,b2 is wrong");
        assert!(joint.failed);
    }
}
