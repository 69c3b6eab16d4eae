//! The two buffers of both incremental parsers: the pushed input, and bytes joined from several pieces.

use bytes::Bytes;
use std::collections::VecDeque;

/// Pushed buffers, and a cursor into the first of them. Bytes are never moved: consuming them advances the cursor, and a
/// buffer is released once the cursor has left it.
#[derive(Debug, Default)]
pub(super) struct Input {
    chunk: Bytes,
    pos: usize,
    queue: VecDeque<Bytes>,
    passed: u64,
}

impl Input {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// Whether the current buffer is consumed.
    #[inline]
    pub(super) fn is_consumed(&self) -> bool {
        self.pos == self.chunk.len()
    }

    /// Moves to the next buffer, and releases the current one. False if there is no next buffer.
    pub(super) fn next_buffer(&mut self) -> bool {
        // For `position`: the consumed buffers are gone.
        self.passed += self.chunk.len() as u64;
        self.pos = 0;
        self.chunk = self.queue.pop_front().unwrap_or_default();
        !self.chunk.is_empty()
    }

    /// The current buffer, including its consumed part.
    #[inline]
    pub(super) fn buffer(&self) -> &[u8] {
        &self.chunk
    }

    /// The number of consumed bytes of the current buffer.
    #[inline]
    pub(super) fn cursor(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.chunk[self.pos..]
    }

    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.pos += count;
    }

    /// Takes the next `count` bytes of the current buffer, without a copy.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let taken = self.chunk.slice(self.pos..self.pos + count);
        self.pos += count;
        taken
    }

    /// The number of bytes consumed since the start.
    pub(super) fn position(&self) -> u64 {
        self.passed + self.pos as u64
    }

    /// Discards all input, and resets the position to 0.
    pub(super) fn clear(&mut self) {
        self.chunk = Bytes::new();
        self.pos = 0;
        self.passed = 0;
        self.queue.clear();
    }
}

/// Bytes joined from several buffers. It doubles its capacity, so that joining takes linear time, but never beyond a
/// limit, so that the limit also bounds the memory.
#[derive(Debug, Default)]
pub(super) struct Joined {
    bytes: Vec<u8>,
    #[cfg(test)]
    pub(super) copied: usize,
}

impl Joined {
    /// Appends `piece`. The caller has checked that `limit` has room for it.
    #[inline]
    pub(super) fn extend(&mut self, piece: &[u8], limit: usize) {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            self.grow(needed, limit);
        }
        self.bytes.extend_from_slice(piece);
        #[cfg(test)]
        {
            self.copied += piece.len();
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize, limit: usize) {
        #[cfg(test)]
        {
            self.copied += self.bytes.len();
        }
        // Doubling, up to the limit. `needed` is within the limit, so the target is as well.
        let target = needed.max((self.bytes.capacity() * 2).min(limit));
        self.bytes.reserve_exact(target - self.bytes.len());
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the bytes without a copy. Their spare capacity stays with them: to release it would copy all of them.
    pub(super) fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.bytes))
    }

    /// Discards the bytes. A buffer of up to 64 KiB is kept for the next ones.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 64 * 1024;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}
