use bytes::Bytes;

/// What the fuzzer's input stands for.
pub struct Input<'a> {
    /// A limit: small, or so large that nothing reaches it.
    pub limit: usize,
    pub body: &'a [u8],
    seed: u32,
}

impl<'a> Input<'a> {
    /// The first bytes say how to cut, the rest is the body.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[limit, a, b, c], body) = data.split_first_chunk()?;
        let limit = if limit < 128 { usize::from(limit) } else { 1 << 20 };
        Some(Self { limit, body, seed: u32::from_le_bytes([a, b, c, 1]) })
    }

    /// The body in pieces, each in a buffer of its own.
    pub fn pieces(&self) -> Vec<Bytes> {
        let mut state = self.seed;
        let longest = 1 << (state % 10);
        let mut rest = self.body;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let (piece, after) = rest.split_at((1 + (state >> 8) as usize % longest).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = after;
        }
        pieces
    }

    pub fn whole(&self) -> Vec<Bytes> {
        vec![Bytes::copy_from_slice(self.body)]
    }
}
