use crate::classify::{Phase, classify_io};
use crate::clients::Lease;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use futures_lite::{AsyncRead, Stream};
use isahc::AsyncBody;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most bytes that libcurl returns at once.
const PIECE: usize = 16 * 1024;

/// A response's body, and the client it comes from.
pub(crate) struct Chunks {
    // Before the lease: the body holds the client too, and dropping the last reference joins the client's thread.
    body: AsyncBody,
    lease: Option<Lease>,
    /// The piece that arrived with the head.
    first: Option<Bytes>,
    /// How many bytes are missing, if the head says how many there are. libcurl checks chunked bodies itself.
    missing: Option<u64>,
}

impl Chunks {
    pub(crate) fn new(body: AsyncBody, lease: Lease, first: Bytes, length: Option<u64>) -> Self {
        let missing = length.map(|length| length.saturating_sub(first.len() as u64));
        Self { body, lease: Some(lease), first: Some(first), missing }
    }
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_piece(body: &mut AsyncBody) -> Result<Option<Bytes>, TransportError> {
    poll_fn(|cx| poll_piece(body, cx)).await
}

fn poll_piece(body: &mut AsyncBody, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
    // On the stack, so that a quiet tail holds no buffer.
    let mut piece = [0; PIECE];
    Poll::Ready(match ready!(Pin::new(body).poll_read(cx, &mut piece)) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(Bytes::copy_from_slice(&piece[..count]))),
        Err(error) => Err(classify_io(error, Phase::Body)),
    })
}

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match ready!(poll_piece(&mut self.body, cx)) {
            Ok(Some(piece)) => {
                if let Some(missing) = &mut self.missing {
                    *missing = missing.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Ok(None) => {
                self.body = AsyncBody::empty();
                if let Some(mut lease) = self.lease.take() {
                    lease.finish();
                }
                // Asked again, it has ended.
                let missing = self.missing.take().filter(|missing| *missing > 0);
                Poll::Ready(missing.map(|missing| Err(truncated(missing))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// The error of a body that has ended before its length.
pub(crate) fn truncated(missing: u64) -> TransportError {
    TransportError::new(TransportErrorKind::Truncated)
        .with_message(format!("{missing} bytes are missing at the end of the response"))
}
