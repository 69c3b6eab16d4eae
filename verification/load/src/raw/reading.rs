use super::RawBody;
use crate::Result;
use bytes::Bytes;
use futures_lite::{AsyncRead, AsyncReadExt};

/// How much is read at once: more than any of these libraries has at hand.
const BUFFER: usize = 64 * 1024;

/// A body that is read into a buffer.
pub(crate) struct Reading<R> {
    body: R,
    buffer: Vec<u8>,
    filled: usize,
}

impl<R> Reading<R> {
    pub(super) fn new(body: R) -> Self {
        Self { body, buffer: Vec::new(), filled: 0 }
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> RawBody for Reading<R> {
    async fn advance(&mut self) -> Result<bool> {
        // Only where it is read piece by piece; a live body that stays quiet is read all the same.
        self.buffer.resize(BUFFER, 0);
        self.filled = self.body.read(&mut self.buffer).await?;
        Ok(self.filled > 0)
    }

    fn piece(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    async fn whole(mut self) -> Result<Bytes> {
        let mut all = Vec::new();
        self.body.read_to_end(&mut all).await?;
        Ok(all.into())
    }
}
