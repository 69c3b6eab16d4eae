//! Names of fields and events, kept without an allocation.

/// The first 8 bytes of a field's name or an event's type. No name that the protocol uses is longer than 7.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShortName {
    bytes: [u8; 8],
    len: usize,
}

impl ShortName {
    #[inline]
    pub(super) fn extend(&mut self, piece: &[u8]) {
        for (slot, byte) in self.bytes[self.len..].iter_mut().zip(piece) {
            *slot = *byte;
        }
        self.len = (self.len + piece.len()).min(self.bytes.len());
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
