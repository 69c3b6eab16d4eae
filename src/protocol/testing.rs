//! What the parsers' tests share: a small deterministic random generator, and ways to cut an input.

use bytes::Bytes;

/// An xorshift generator: the same numbers in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize) % bound
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// `input` in random pieces, each in a buffer of its own.
    pub(super) fn cut(&mut self, mut input: &[u8]) -> Vec<Bytes> {
        let longest = 1 + self.below(40);
        let mut pieces = Vec::new();
        while !input.is_empty() {
            let (piece, rest) = input.split_at((1 + self.below(longest)).min(input.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            input = rest;
        }
        pieces
    }
}

/// `input` whole, cut in two at every byte, and byte by byte.
pub(super) fn all_cuts(input: &[u8]) -> impl Iterator<Item = Vec<Bytes>> + '_ {
    let whole = std::iter::once(vec![Bytes::copy_from_slice(input)]);
    let halves = (1..input.len()).map(|at| {
        let (head, tail) = input.split_at(at);
        vec![Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)]
    });
    let bytes = std::iter::once(input.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect());
    whole.chain(halves).chain(bytes)
}
