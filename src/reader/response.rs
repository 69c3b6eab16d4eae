use super::started::StartedReader;
use super::views::bytes::ByteStream;
use super::views::chunks::ChunkIterator;
#[cfg(feature = "json")]
use super::views::json::JsonStream;
use super::views::macros::status;
use super::views::text::TextStream;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use bytes::{Bytes, BytesMut};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;

/// A reader that has started, before the choice of a view: chunks, bytes, text or JSON.
///
/// From `stream(url)` of a stack, or [`ReaderBuilder::response`](crate::ReaderBuilder::response). It reads no content before
/// one of its methods is called.
pub struct StreamResponse<T = AnyTransport, R = AnyRuntime> {
    reader: StartedReader<T, R>,
}

impl<T, R> StreamResponse<T, R> {
    pub(super) fn new(reader: StartedReader<T, R>) -> Self {
        Self { reader }
    }

    /// The position that it starts from. [`Offset::Now`](crate::Offset::Now) has been resolved to the tail's offset.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.reader.status().checkpoint
    }

    /// The content chunk by chunk.
    #[must_use]
    pub fn chunks(self) -> ChunkIterator<T, R> {
        ChunkIterator::new(self.reader)
    }

    /// The content as byte strings.
    #[must_use]
    pub fn bytes(self) -> ByteStream<T, R> {
        ByteStream::new(self.reader)
    }

    /// The content as text.
    #[must_use]
    pub fn text(self) -> TextStream<T, R> {
        TextStream::new(self.reader)
    }

    /// The content as values: a JSON stream's messages, or the JSON texts of another.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json<V: serde::de::DeserializeOwned>(self) -> JsonStream<V, T, R> {
        JsonStream::new(self.reader)
    }

    fn reader(&self) -> &StartedReader<T, R> {
        &self.reader
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> StreamResponse<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> StreamResponse {
        StreamResponse { reader: self.reader.into_any() }
    }
}

impl<T: HttpTransport, R: Runtime> StreamResponse<T, R> {
    /// Reads everything to the end, into memory. On a JSON stream the result is one array of all messages.
    ///
    /// With a [live mode](crate::ReaderBuilder::live) the end is the stream's own: this waits until it is closed.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader. The data that was read is lost.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    pub async fn read_all(self) -> Result<Bytes, Error> {
        let mut pieces = self.bytes();
        let Some(first) = pieces.try_next().await? else {
            return Ok(Bytes::from_static(if pieces.is_json() { b"[]" } else { b"" }));
        };
        let json = pieces.is_json();
        // Most streams fit into one piece, which needs no copy.
        let Some(second) = pieces.try_next().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if json {
                // Two arrays become one: a comma replaces the brackets between them.
                all.truncate(all.len() - 1);
                all.extend_from_slice(b",");
                all.extend_from_slice(&piece[1..]);
            } else {
                all.extend_from_slice(&piece);
            }
            next = pieces.try_next().await?;
        }
        Ok(all.freeze())
    }

    /// Reads everything to the end, as text. Otherwise like [`read_all`](Self::read_all).
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, and [`StreamError::Utf8`] if the content is not valid
    /// UTF-8, or ends inside a character.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    pub async fn read_text(self) -> Result<String, Error> {
        let url = self.reader.url.clone();
        let bytes = self.read_all().await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let reason = error.utf8_error().to_string();
            Error::from(StreamError::Utf8 { reason }).with_request("read", &url)
        })
    }

    /// Reads everything to the end, as values of `V`. Otherwise like [`read_all`](Self::read_all).
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, and [`StreamError::Json`] for a message that cannot be
    /// deserialized as `V`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    #[cfg(feature = "json")]
    pub async fn read_json<V: serde::de::DeserializeOwned>(self) -> Result<Vec<V>, Error> {
        let mut reader = self.json::<V>();
        let mut values = Vec::new();
        while let Some(value) = reader.try_next().await? {
            values.push(value);
        }
        if let Some(error) = reader.unfinished() {
            return Err(error);
        }
        Ok(values)
    }
}

status!(impl[T, R] StreamResponse<T, R>);

impl<T, R> fmt::Debug for StreamResponse<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamResponse").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}
