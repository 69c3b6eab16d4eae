//! What a reader hands out.

use super::position::Unit;
use crate::checkpoint::Checkpoint;
use crate::offset::Offset;
use bytes::Bytes;

/// A piece of a stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// The content. On a JSON stream these are whole messages, framed as one array.
    ///
    /// It is empty (`[]` on a JSON stream) in a chunk that only tells that
    /// [`up_to_date`](Self::up_to_date) or [`closed`](Self::closed) has changed.
    pub data: Bytes,
    /// The position after [`data`](Self::data): save it once the data is processed, and a reader that starts
    /// from it neither repeats nor loses anything.
    pub checkpoint: Checkpoint,
    /// The server's offset at the last boundary reached. Nearly always the position after
    /// [`data`](Self::data); where a page is too large for one chunk it is before that.
    pub next_offset: Offset,
    /// All that the server had is read. More may come, unless the stream is [`closed`](Self::closed).
    pub up_to_date: bool,
    /// The stream has ended, and this is its last chunk.
    pub closed: bool,
    /// The server's cursor, which lets caches join readers. The reader sends it back by itself.
    pub cursor: Option<String>,
    pub(super) empty: bool,
    /// What positions inside of [`data`](Self::data) are counted in.
    pub(super) unit: Unit,
    /// Whether a position inside of [`data`](Self::data) can be counted in its units.
    pub(super) divisible: bool,
}

impl Chunk {
    /// Whether there is no content in it: it only tells where the stream stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

/// What is known about what was handed out.
pub(super) struct Status<'s> {
    pub(super) checkpoint: Checkpoint,
    pub(super) offset: &'s Offset,
    pub(super) cursor: Option<&'s str>,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
    pub(super) content_type: &'s str,
    pub(super) etag: Option<&'s str>,
    pub(super) unit: Unit,
}
