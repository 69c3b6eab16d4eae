//! Finds the end of a JSON value, 64 bytes at a time. It tracks brackets and strings, and validates nothing inside.
//!
//! For each block of 64 bytes the scanner computes bit masks with one bit for each byte: which bytes are inside strings,
//! and which are brackets outside strings. The value ends at the bracket where the depth returns to zero.

/// The kind of a value, which its first byte decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Text,
    /// A number or a literal. Only the byte after it shows where it ends.
    Scalar,
}

impl Kind {
    /// The kind of value that begins with `first`; `None` if no JSON value begins so.
    #[inline]
    pub(super) fn of(first: u8) -> Option<Self> {
        match first {
            b'{' | b'[' => Some(Self::Container),
            b'"' => Some(Self::Text),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(Self::Scalar),
            _ => None,
        }
    }
}

/// Finds where values end, over consecutive buffers. It keeps the state of a value that continues in the next buffer,
/// and the masks of the last block, because short values share a block.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// How deep in brackets; 0 between two values.
    depth: usize,
    /// Which of the block's bytes are inside strings. The last bit says how the next block begins.
    strings: u64,
    /// 1 if the byte behind the block is escaped, else 0.
    escaped: u64,
    /// The block's range in the buffer. Empty if no block is loaded.
    start: usize,
    end: usize,
    /// The block's brackets outside strings that are not processed yet.
    brackets: u64,
    text: Text,
}

/// The position within a string that is the value itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    /// Before its opening quote.
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

const BLOCK: usize = 64;

impl Scanner {
    /// Discards the block. Must be called when another buffer begins.
    pub(super) fn discard_block(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// The end of the value that begins at `from`, or continues there from an earlier buffer. `None` if it does not
    /// end in this buffer.
    #[inline]
    pub(super) fn end(&mut self, kind: Kind, buffer: &[u8], from: usize) -> Option<usize> {
        match kind {
            Kind::Container => self.container_end(buffer, from),
            Kind::Text => self.text_end(&buffer[from..]).map(|length| from + length),
            Kind::Scalar => {
                buffer[from..].iter().position(|byte| !is_scalar(*byte)).map(|length| from + length)
            }
        }
    }

    #[inline]
    fn container_end(&mut self, buffer: &[u8], from: usize) -> Option<usize> {
        // The value begins inside the loaded block: the brackets before it belong to earlier values.
        if self.depth == 0 && (self.start..self.end).contains(&from) {
            self.brackets &= !0 << (from - self.start);
        } else {
            if self.depth == 0 {
                (self.strings, self.escaped) = (0, 0);
            }
            self.load(buffer, from);
        }
        loop {
            while self.brackets != 0 {
                // The lowest bit is the first bracket. It is then cleared.
                let at = self.start + self.brackets.trailing_zeros() as usize;
                self.brackets &= self.brackets - 1;
                // Of the bytes in this mask, opening brackets have bit 1 only, and closing brackets bit 2 only. The
                // others (`Y`, `y`, `_`, DEL) have both or neither, so that the depth does not change.
                let byte = usize::from(buffer[at]);
                self.depth = (self.depth + (byte >> 1 & 1)).saturating_sub(byte >> 2 & 1);
                if self.depth == 0 {
                    return Some(at + 1);
                }
            }
            // The value continues in the next buffer. `depth` and the string state are kept.
            if self.end == buffer.len() {
                return None;
            }
            let next = self.end + self.long_text(&buffer[self.end..]);
            if next == buffer.len() {
                // All of what is left is inside the string.
                (self.start, self.end) = (next, next);
                return None;
            }
            self.load(buffer, next);
        }
    }

    /// How many bytes can be skipped: the rest of a string that filled the whole last block.
    #[inline]
    fn long_text(&self, rest: &[u8]) -> usize {
        // The block must lie in a string as a whole, and not end in an escape.
        if self.strings != !0 || self.escaped != 0 {
            return 0;
        }
        memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
    }

    /// Loads the block at `start`, which is outside strings or where the last block ended.
    #[inline]
    fn load(&mut self, buffer: &[u8], start: usize) {
        self.start = start;
        if let Some(block) = buffer[start..].first_chunk() {
            self.end = start + BLOCK;
            self.classify(block);
        } else {
            self.load_tail(&buffer[start..]);
            self.end = buffer.len();
        }
    }

    #[cold]
    fn load_tail(&mut self, tail: &[u8]) {
        // A short tail is padded with spaces, which are in no mask.
        let mut block = [b' '; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        // The padding would hide an escape at the end of the tail.
        let run = tail.iter().rev().take_while(|byte| **byte == b'\\').count();
        let before = if run == tail.len() { self.escaped } else { 0 };
        self.classify(&block);
        self.escaped = (run as u64 + before) & 1;
    }

    /// All ones if the block ends inside a string, else 0.
    #[inline]
    fn in_string(&self) -> u64 {
        ((self.strings as i64) >> 63) as u64
    }

    #[inline]
    fn classify(&mut self, block: &[u8; BLOCK]) {
        // Backslashes are rare, so the masks for escapes are computed only if there is one.
        let mut quotes = mask(block, 0, b'"');
        if self.escaped != 0 || contains(block, b'\\') {
            quotes &= !self.escapes(mask(block, 0, b'\\'));
        }
        // The bits from each opening quote to its closing quote.
        self.strings = prefix_xor(quotes) ^ self.in_string();
        // With these bits set, the four brackets become one byte, as do `Y`, `y`, `_` and DEL.
        self.brackets = mask(block, 0x26, 0x7F) & !self.strings;
    }

    /// The bytes that a backslash escapes: of each run of backslashes every second, and what follows an odd run.
    #[cold]
    fn escapes(&mut self, backslash: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        // A backslash that is escaped itself does not escape.
        let backslash = backslash & !self.escaped;
        let follows = backslash << 1 | self.escaped;
        // The carry of an addition moves the start of each run to its end. Its parity tells whether the run is odd.
        let odd_starts = backslash & !EVEN & !follows;
        let (sequences, overflow) = odd_starts.overflowing_add(backslash);
        self.escaped = u64::from(overflow);
        (EVEN ^ (sequences << 1)) & follows
    }

    fn text_end(&mut self, bytes: &[u8]) -> Option<usize> {
        // The first byte is the opening quote, or the byte after a backslash: neither ends the string.
        let mut at = usize::from(self.text != Text::Inside);
        loop {
            self.text = Text::Inside;
            let rest = bytes.get(at..)?;
            at += memchr::memchr2(b'"', b'\\', rest)?;
            if bytes[at] == b'"' {
                self.text = Text::Outside;
                return Some(at + 1);
            }
            if at + 1 == bytes.len() {
                self.text = Text::Escaped;
                return None;
            }
            at += 2;
        }
    }
}

#[inline]
const fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

#[inline]
fn contains(block: &[u8; BLOCK], wanted: u8) -> bool {
    // Without an early exit, so that the compiler emits vector instructions.
    block.iter().fold(false, |found, byte| found | (*byte == wanted))
}

/// A bit for each byte, the lowest for the first byte: whether it equals `wanted` after the bits of `fold` are set.
#[inline]
fn mask(block: &[u8; BLOCK], fold: u8, wanted: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;

    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().fold(0, |mask, (index, word)| {
        // Eight bytes at a time. Little-endian, so that the first byte gets the lowest bit on every target.
        let word = u64::from_le_bytes(*word) | (ONES * u64::from(fold));
        let difference = word ^ (ONES * u64::from(wanted));
        // The highest bit of each byte that is zero, exactly; then these eight bits side by side.
        let zero = !(((difference & LOW) + LOW) | difference) & !LOW;
        mask | (zero.wrapping_mul(0x0002_0408_1020_4081) >> 56) << (index * 8)
    })
}

/// Bit n of the result is the parity of bits 0 to n.
#[inline]
const fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_finds_every_byte_at_every_position() {
        for byte in 0..=255u8 {
            for at in 0..BLOCK {
                for other in [b'x', 0, b'"' - 1, b'"' + 1, 0xFF] {
                    let mut block = [other; BLOCK];
                    block[at] = byte;
                    let bit = |set: bool| u64::from(set) << at;
                    assert_eq!(mask(&block, 0, b'"'), bit(byte == b'"'), "{byte} at {at}");
                    assert_eq!(mask(&block, 0, b'\\'), bit(byte == b'\\'), "{byte} at {at}");
                    assert_eq!(contains(&block, b'\\'), byte == b'\\', "{byte} at {at}");
                    let folded = matches!(byte, b'{' | b'}' | b'[' | b']' | b'Y' | b'y' | b'_' | 0x7F);
                    assert_eq!(mask(&block, 0x26, 0x7F), bit(folded), "{byte} at {at}");
                }
            }
        }
    }

    #[test]
    fn bytes_that_share_the_mask_with_brackets_do_not_change_the_depth() {
        let buffer = b"[Y_y\x7F{_}YY[]]";
        assert_eq!(Scanner::default().end(Kind::Container, buffer, 0), Some(buffer.len()));
    }

    #[test]
    fn prefix_xor_is_a_running_parity() {
        let bits = 0x8421_0f0f_1234_8001u64;
        let expected =
            (0..64).fold(0, |sum, n| sum | u64::from((bits << (63 - n)).count_ones() % 2 == 1) << n);
        assert_eq!(prefix_xor(bits), expected);
    }
}
