use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counter's value until a transport starts to count.
const NOT_COUNTED: u64 = u64::MAX;

/// How many bytes of a request's body were handed to the socket. Clones share the counter.
///
/// The client passes one in [`SendOptions::with_upload`](crate::SendOptions::with_upload), and the transport counts. Bytes
/// that were handed to the socket may still wait in the operating system's buffer.
///
/// ```
/// use durable_streams_contract::UploadProgress;
///
/// let progress = UploadProgress::new();
/// assert_eq!(progress.sent(), None);
/// progress.start();
/// progress.add(500);
/// assert_eq!(progress.sent(), Some(500));
/// ```
#[derive(Clone, Debug)]
pub struct UploadProgress(Arc<AtomicU64>);

impl UploadProgress {
    /// A counter that no transport has started.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOT_COUNTED)))
    }

    /// Sets the counter to zero. A transport that counts calls this before it sends, and again before it sends the same
    /// request once more.
    pub fn start(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Adds bytes that were handed to the socket, after [`start`](Self::start).
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The bytes that were handed to the socket so far; `None` if the transport does not count.
    #[must_use]
    pub fn sent(&self) -> Option<u64> {
        let sent = self.0.load(Ordering::Relaxed);
        (sent != NOT_COUNTED).then_some(sent)
    }
}

impl Default for UploadProgress {
    fn default() -> Self {
        Self::new()
    }
}
