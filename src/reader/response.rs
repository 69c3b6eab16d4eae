use super::started::Source;
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

/// A stream that has answered, and whose content can be taken in any of the ways there are.
///
/// From `stream(url)` of a stack, or [`ReaderBuilder::response`](crate::ReaderBuilder::response). Nothing is read before
/// one of its methods is called.
pub struct StreamResponse<T = AnyTransport, R = AnyRuntime> {
    source: Source<T, R>,
}

impl<T, R> StreamResponse<T, R> {
    pub(super) fn new(source: Source<T, R>) -> Self {
        Self { source }
    }

    /// The position that it starts from; concrete, also where that was [`Offset::Now`](crate::Offset::Now).
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.source.status().checkpoint
    }

    /// The content chunk by chunk.
    #[must_use]
    pub fn chunks(self) -> ChunkIterator<T, R> {
        ChunkIterator::new(self.source)
    }

    /// The content as byte strings.
    #[must_use]
    pub fn bytes(self) -> ByteStream<T, R> {
        ByteStream::new(self.source)
    }

    /// The content as text.
    #[must_use]
    pub fn text(self) -> TextStream<T, R> {
        TextStream::new(self.source)
    }

    /// The content as values: a JSON stream's messages, or the JSON texts of another.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json<V: serde::de::DeserializeOwned>(self) -> JsonStream<V, T, R> {
        JsonStream::new(self.source)
    }

    fn source(&self) -> &Source<T, R> {
        &self.source
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> StreamResponse<T, R> {
    /// The same reader with the default type parameters, which suits the fields of an application's types. A response in
    /// flight continues. See [`Client::to_any`](crate::Client::to_any).
    #[must_use]
    pub fn to_any(self) -> StreamResponse {
        StreamResponse { source: self.source.into_any() }
    }
}

impl<T: HttpTransport, R: Runtime> StreamResponse<T, R> {
    /// Reads everything to the end, into memory. On a JSON stream the result is one array of all messages.
    ///
    /// With a [live mode](crate::ReaderBuilder::live) the end is the stream's own: this waits until it is closed.
    ///
    /// # Errors
    ///
    /// Whatever ends the reader early. What was read is lost then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
    pub async fn read_all(self) -> Result<Bytes, Error> {
        let mut pieces = self.bytes();
        let Some(first) = pieces.try_next().await? else {
            return Ok(Bytes::from_static(if pieces.is_json() { b"[]" } else { b"" }));
        };
        let json = pieces.is_json();
        // Most streams fit into one piece, which is then handed on as it is.
        let Some(second) = pieces.try_next().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if json {
                // A comma in place of the bracket at the end and the one at the beginning.
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
    /// Whatever ends the reader early, and [`StreamError::Utf8`](crate::StreamError::Utf8) for what is no UTF-8,
    /// or ends inside a character.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
    pub async fn read_text(self) -> Result<String, Error> {
        let url = self.source.url.clone();
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
    /// Whatever ends the reader early, and [`StreamError::Json`](crate::StreamError::Json) for a message that is
    /// no `V`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
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
