use bytes::Bytes;
use durable_streams_contract::UploadProgress;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The largest piece that HTTP/2 takes at once, so that progress shows while a body is sent.
const PIECE: usize = 64 * 1024;

/// A request's body.
#[derive(Debug)]
pub(crate) struct Upload {
    bytes: Bytes,
    /// Counts what is handed over piece by piece. Without it all is handed over at once.
    progress: Option<UploadProgress>,
}

impl Upload {
    /// A body that is handed over at once.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { bytes, progress: None }
    }

    /// A body that is handed over in pieces as the connection takes them, and counted.
    #[cfg(feature = "http2")]
    pub(crate) fn counted(bytes: Bytes, progress: UploadProgress) -> Self {
        progress.start();
        Self { bytes, progress: Some(progress) }
    }

    /// What was not handed over.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match &self.progress {
            None => std::mem::take(&mut self.bytes),
            Some(progress) => {
                let length = self.bytes.len().min(PIECE);
                progress.add(length as u64);
                self.bytes.split_to(length)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
