use crate::classify::{Phase, classify_io};
use crate::clients::Lease;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
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
    end: End,
}

/// What shows that a body has ended. libcurl takes a head that was cut for a whole one, and then gives an empty body.
pub(crate) enum End {
    /// So many bytes are missing.
    Length { missing: u64 },
    /// The last chunk, which libcurl checks unless the head was cut. With `must_have_content`, an empty body was cut.
    Chunks { must_have_content: bool },
}

impl End {
    fn on_bytes(&mut self, count: usize) {
        match self {
            Self::Length { missing } => *missing = missing.saturating_sub(count as u64),
            Self::Chunks { must_have_content } => *must_have_content = false,
        }
    }

    /// What is wrong with a body that ends here.
    fn on_end(&self) -> Option<String> {
        match self {
            Self::Length { missing: 0 } | Self::Chunks { must_have_content: false } => None,
            Self::Length { missing } => {
                Some(format!("{missing} bytes are missing at the end of the response"))
            }
            Self::Chunks { must_have_content: true } => Some(
                "the response has no content, though its next offset is behind the one asked for".to_owned(),
            ),
        }
    }
}

impl Chunks {
    pub(crate) fn new(body: AsyncBody, lease: Lease, end: End) -> Self {
        Self { body, lease: Some(lease), end }
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
                let wrong = self.end.on_end();
                // Asked again, it has ended.
                self.end = End::Length { missing: 0 };
                Poll::Ready(wrong.map(|message| {
                    Err(TransportError::new(TransportErrorKind::Truncated).with_message(message))
                }))
            }
            Ok(count) => {
                self.end.on_bytes(count);
                Poll::Ready(Some(Ok(Bytes::copy_from_slice(&piece[..count]))))
            }
            Err(error) => Poll::Ready(Some(Err(classify_io(error, Phase::Body)))),
        }
    }
}
