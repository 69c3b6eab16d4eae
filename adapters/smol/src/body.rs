use crate::classify::{Phase, classify_io};
use crate::clients::Lease;
use bytes::Bytes;
use durable_streams_contract::TransportError;
use futures_lite::{AsyncRead, Stream};
use isahc::AsyncBody;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most bytes that libcurl returns at once.
const PIECE: usize = 16 * 1024;

/// A response's body, and the client it comes from.
pub(crate) struct Chunks {
    // Before the lease: the body holds the client too, and dropping the last reference joins the client's thread.
    body: AsyncBody,
    lease: Option<Lease>,
}

impl Chunks {
    pub(crate) fn new(body: AsyncBody, lease: Lease) -> Self {
        Self { body, lease: Some(lease) }
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // On the stack, so that a quiet tail holds no buffer.
        let mut piece = [0; PIECE];
        match ready!(Pin::new(&mut self.body).poll_read(cx, &mut piece)) {
            Ok(0) => {
                self.body = AsyncBody::empty();
                if let Some(mut lease) = self.lease.take() {
                    lease.finish();
                }
                Poll::Ready(None)
            }
            Ok(count) => Poll::Ready(Some(Ok(Bytes::copy_from_slice(&piece[..count])))),
            Err(error) => Poll::Ready(Some(Err(classify_io(error, Phase::Body)))),
        }
    }
}
