//! The two buffers that both incremental parsers stand on: what was pushed, and what has to be joined.

use bytes::Bytes;
use std::collections::VecDeque;

/// Pushed buffers and a cursor into the first of them. Nothing is ever moved or shifted: consuming is a
/// cursor that goes forward, and a buffer is released as soon as the cursor has left it.
#[derive(Debug, Default)]
pub(super) struct Input {
    chunk: Bytes,
    pos: usize,
    queue: VecDeque<Bytes>,
    passed: u64,
}

impl Input {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.rest().is_empty() && self.queue.is_empty() {
            self.start(bytes);
        } else {
            self.queue.push_back(bytes);
        }
    }

    /// What is left of the current buffer, after going on to the next one if nothing is; empty when
    /// all that was pushed is consumed.
    #[inline]
    pub(super) fn fill(&mut self) -> &[u8] {
        if self.pos == self.chunk.len() {
            let next = self.queue.pop_front().unwrap_or_default();
            self.start(next);
        }
        self.rest()
    }

    fn start(&mut self, chunk: Bytes) {
        self.passed += self.chunk.len() as u64;
        self.chunk = chunk;
        self.pos = 0;
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

    /// How many bytes were consumed since the beginning.
    pub(super) fn position(&self) -> u64 {
        self.passed + self.pos as u64
    }

    pub(super) fn clear(&mut self) {
        *self = Self { passed: self.position(), ..Self::default() };
    }
}

/// Bytes joined from several buffers. Grows by doubling, so that joining is linear, but never beyond a
/// limit, so that the limit is also one on memory.
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

    /// The bytes as they are, without another copy; what remains is empty.
    pub(super) fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.bytes))
    }

    /// Forgets the bytes but keeps a buffer of ordinary size for the next ones.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 64 * 1024;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}
