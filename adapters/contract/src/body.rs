use crate::TransportError;
use bytes::Bytes;
use futures_lite::{Stream, StreamExt};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response's body: a [`Stream`] of byte chunks, in order, as they arrive.
///
/// The end of the stream means that the body is complete as HTTP frames it. A body that was cut short
/// ends with an error instead. After an error or the end nothing more comes.
///
/// Dropping a body cancels what is left of it: the connection is closed, or drained behind the
/// scenes, and never carries leftovers into another request.
pub struct Body(Inner);

enum Inner {
    Full(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>),
    Ended,
}

impl Body {
    /// A body without a byte.
    #[must_use]
    pub fn empty() -> Self {
        Self(Inner::Ended)
    }

    /// A body that is all there already.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(bytes.into()))
    }

    /// A body that arrives in pieces. Empty pieces are allowed and skipped.
    pub fn from_stream<S>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, TransportError>> + Send + 'static,
    {
        Self(Inner::Stream(Box::pin(stream)))
    }

    /// The next non-empty chunk; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        self.next().await
    }
}

impl Stream for Body {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = match &mut self.0 {
            Inner::Ended => return Poll::Ready(None),
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Ended;
                return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
            }
            Inner::Stream(stream) => loop {
                match std::task::ready!(stream.as_mut().poll_next(cx)) {
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    item => break item,
                }
            },
        };
        if !matches!(item, Some(Ok(_))) {
            self.0 = Inner::Ended;
        }
        Poll::Ready(item)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Inner::Stream(_) => f.write_str("Body(stream)"),
            Inner::Ended => f.write_str("Body(ended)"),
        }
    }
}
