//! What a reader returns.

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
    /// It is empty (`[]` on a JSON stream) in a chunk that only reports a change of
    /// [`up_to_date`](Self::up_to_date) or [`closed`](Self::closed).
    pub data: Bytes,
    /// The position after [`data`](Self::data): save it once the data is processed. A reader that starts from it
    /// neither repeats nor loses data.
    pub checkpoint: Checkpoint,
    /// The last of the server's offsets that was reached. It is the position after [`data`](Self::data), or before that if
    /// the server's page was too large for one chunk.
    pub next_offset: Offset,
    /// Everything that the server had was read. More may follow, unless the stream is [`closed`](Self::closed).
    pub up_to_date: bool,
    /// The stream has ended, and this is its last chunk.
    pub closed: bool,
    /// The server's cursor, by which caches serve many readers from one response. The reader sends it back by itself.
    pub cursor: Option<String>,
    pub(super) empty: bool,
    /// What positions inside [`data`](Self::data) count.
    pub(super) unit: Unit,
    /// Whether positions inside [`data`](Self::data) exist: text from events has none.
    pub(super) divisible: bool,
}

impl Chunk {
    /// Whether it has no content, and only reports the stream's state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

/// The state of a reader, after the content that was taken.
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
