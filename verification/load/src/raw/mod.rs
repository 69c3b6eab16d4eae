//! HTTP libraries with nothing around them: the limit that the client is measured against.

pub(crate) mod isahc;
mod reading;
pub(crate) mod reqwest;
pub(crate) mod transport;

use crate::Result;
use bytes::Bytes;
use std::future::Future;

pub(crate) trait Raw: Clone + Send + Sync + 'static {
    type Body: RawBody;

    fn new() -> Result<Self>;

    /// Sends `body`, and reads the answer to its end; it must be a success.
    fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The answer's body and its `Stream-Next-Offset`; it must be a success.
    fn get(&self, url: &str) -> impl Future<Output = Result<(Self::Body, Option<String>)>> + Send;
}

pub(crate) trait RawBody: Send + 'static {
    /// Waits for the next piece; false at the end.
    fn advance(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// The piece that [`advance`](Self::advance) found.
    fn piece(&self) -> &[u8];

    /// All that is left, in one buffer.
    fn whole(self) -> impl Future<Output = Result<Bytes>> + Send;
}
