use super::chunk::Chunk;
use super::driver::Driver;
use super::machine::{Machine, Unit};
use crate::error::{Error, StreamError};
use crate::{Checkpoint, Offset};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use futures_lite::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream's content, chunk by chunk, in order, each byte once.
///
/// From [`ReaderBuilder::chunks`](crate::ReaderBuilder::chunks). After an error, or the end, nothing more comes.
/// The end is where a closed stream ends, or, without a [live mode](crate::LiveMode), where the reader is up to
/// date. What has been handed out is where [`checkpoint`](Self::checkpoint) points to, whatever happens then: a
/// new reader from there goes on.
///
/// There is one outstanding request at a time, and a bounded buffer. Dropping it cancels the request.
pub struct ChunkIterator<T = AnyTransport, R = AnyRuntime> {
    driver: Box<Driver<T, R>>,
}

impl<T: HttpTransport, R: Runtime> ChunkIterator<T, R> {
    pub(super) fn new(driver: Box<Driver<T, R>>) -> Self {
        Self { driver }
    }

    /// The next chunk, or `None` at the end.
    ///
    /// A live reader waits here for as long as it takes, through outages too.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, as an item: the [kind](Error::kind) says which, and
    /// [`Error::offset`] where. Failures that pass are not seen here.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the next call goes on with what is under way.
    pub async fn next(&mut self) -> Option<Result<Chunk, Error>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next chunk, or `None` at the end: [`next`](Self::next) for use with `?`.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// As for [`next`](Self::next).
    pub async fn try_next(&mut self) -> Result<Option<Chunk>, Error> {
        self.next().await.transpose()
    }

    /// The server's last offset at or before the position reached.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        self.machine().offset()
    }

    /// The position after the last chunk that was handed out.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.machine().checkpoint()
    }

    /// Whether the server said, at the last look, that all it has was read.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.machine().is_up_to_date()
    }

    /// Whether the stream has ended, and all of it was handed out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.machine().is_closed()
    }

    /// The server's last cursor.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.machine().cursor()
    }

    /// The stream's content type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.machine().content_type().unwrap_or_default()
    }

    /// The entity tag of the first answer, for [`if_none_match`](crate::ReaderBuilder::if_none_match).
    /// Live requests have none.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.machine().etag()
    }

    /// Ends the reader and cancels what is under way, as dropping it does.
    pub fn close(self) {}

    pub(super) fn unit(&self) -> Unit {
        self.machine().unit()
    }

    /// An error of a view, and where it happened.
    pub(super) fn error(&self, kind: StreamError) -> Error {
        self.machine().error(kind)
    }

    /// The next message of a JSON stream.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn poll_item<V: serde::de::DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Result<V, serde_json::Error>, Error>>> {
        self.driver.poll(cx, Machine::take_item::<V>)
    }

    fn machine(&self) -> &Machine {
        &self.driver.machine
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        self.driver.poll(cx, Machine::take_chunk)
    }
}

impl<T: HttpTransport, R: Runtime> Stream for ChunkIterator<T, R> {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<T, R> fmt::Debug for ChunkIterator<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkIterator")
            .field("checkpoint", &self.driver.machine.checkpoint())
            .finish_non_exhaustive()
    }
}
