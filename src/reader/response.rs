use super::bytes::ByteStream;
use super::chunks::ChunkIterator;
#[cfg(feature = "json")]
use super::json::JsonStream;
use super::text::TextStream;
use crate::error::{Error, StreamError};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;

/// A reader that has started, to be consumed in one way or another.
///
/// From [`ReaderBuilder::response`](crate::ReaderBuilder::response), and from the function `stream(url)` of a
/// stack. The views ([`chunks`](Self::chunks), [`bytes`](Self::bytes), …) hand the content on as it arrives. The
/// helpers (`read_…`) gather all of it: without a live mode, up to the tail; with one, until the stream is closed.
pub struct StreamResponse<T = AnyTransport, R = AnyRuntime> {
    chunks: ChunkIterator<T, R>,
    max_message_bytes: usize,
}

impl<T: HttpTransport, R: Runtime> StreamResponse<T, R> {
    pub(super) fn new(chunks: ChunkIterator<T, R>, max_message_bytes: usize) -> Self {
        Self { chunks, max_message_bytes }
    }

    /// The stream's content type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.chunks.content_type()
    }

    /// The entity tag of the first answer, for [`if_none_match`](crate::ReaderBuilder::if_none_match).
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.chunks.etag()
    }

    /// The content, chunk by chunk.
    #[must_use]
    pub fn chunks(self) -> ChunkIterator<T, R> {
        self.chunks
    }

    /// The content as bytes.
    #[must_use]
    pub fn bytes(self) -> ByteStream<T, R> {
        ByteStream::new(self.chunks)
    }

    /// The content as text.
    #[must_use]
    pub fn text(self) -> TextStream<T, R> {
        TextStream::new(self.chunks)
    }

    /// The content as JSON values.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json<V: serde::de::DeserializeOwned>(self) -> JsonStream<V, T, R> {
        JsonStream::new(self.chunks, self.max_message_bytes)
    }

    /// All of the content as bytes; of a JSON stream, one array of all messages.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was gathered.
    pub async fn read_all(mut self) -> Result<Bytes, Error> {
        let is_json = self.chunks.unit() == super::machine::Unit::Messages;
        let mut all = Vec::new();
        let mut first = Bytes::new();
        while let Some(chunk) = self.chunks.try_next().await? {
            if chunk.is_empty() {
            } else if first.is_empty() {
                // Most answers are a single chunk, which need not be copied.
                first = chunk.data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                if is_json {
                    // Two arrays become one.
                    all.pop();
                    all.push(b',');
                    all.extend_from_slice(&chunk.data[1..]);
                } else {
                    all.extend_from_slice(&chunk.data);
                }
            }
        }
        Ok(match (all.is_empty(), first.is_empty()) {
            (false, _) => all.into(),
            (true, true) if is_json => Bytes::from_static(b"[]"),
            (true, _) => first,
        })
    }

    /// All of the content as text; of a JSON stream, one array of all messages.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, and [`StreamError::Utf8`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was gathered.
    pub async fn read_text(self) -> Result<String, Error> {
        let url = self.chunks.error(StreamError::NotModified);
        let all = self.read_all().await?;
        String::from_utf8(all.into())
            .map_err(|error| url.with_kind(StreamError::Utf8 { reason: error.utf8_error().to_string() }))
    }

    /// All of the content as JSON values.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, and [`StreamError::Json`] for a message that is no `V`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was gathered.
    #[cfg(feature = "json")]
    pub async fn read_json<V: serde::de::DeserializeOwned>(self) -> Result<Vec<V>, Error> {
        let mut values = Vec::new();
        let mut items = self.json::<V>();
        while let Some(item) = items.try_next().await? {
            values.push(item);
        }
        Ok(values)
    }
}

impl<T, R> fmt::Debug for StreamResponse<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamResponse").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}
