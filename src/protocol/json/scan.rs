//! Where a JSON value ends. Brackets and strings are followed, 64 bytes at a time; what is inside is not judged.

/// A value whose first byte was seen, with what has to be remembered if it goes on in another buffer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scan {
    Container(Nesting),
    Text {
        opened: bool,
        escaped: bool,
    },
    /// A number or a literal: nothing but what follows tells where it ends.
    Scalar,
}

impl Scan {
    /// The scan of the value that begins with `first`; `None` if no JSON value begins so.
    #[inline]
    pub(super) fn begin(first: u8) -> Option<Self> {
        match first {
            b'{' | b'[' => Some(Self::Container(Nesting::default())),
            b'"' => Some(Self::Text { opened: false, escaped: false }),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Some(Self::Scalar),
            _ => None,
        }
    }

    /// How many of `bytes` still belong to the value; `None` if all do and its end is not among them.
    #[inline]
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Container(nesting) => nesting.end(bytes),
            Self::Text { opened, escaped } => text_end(bytes, opened, escaped),
            Self::Scalar => bytes.iter().position(|byte| !is_scalar(*byte)),
        }
    }
}

#[inline]
const fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

fn text_end(bytes: &[u8], opened: &mut bool, escaped: &mut bool) -> Option<usize> {
    let mut at = 0;
    if !*opened {
        *opened = true;
        at = 1;
    }
    loop {
        if *escaped && at < bytes.len() {
            *escaped = false;
            at += 1;
        }
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        *escaped = true;
        at += 1;
    }
}

/// The state of a scan through nested arrays and objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    /// All ones inside a string, else 0.
    in_string: u64,
    /// 1 if the next byte is escaped, else 0.
    escaped: u64,
}

const BLOCK: usize = 64;

impl Nesting {
    /// The length up to the bracket that closes the first one.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = self.block(block) {
                return Some(index * BLOCK + end);
            }
        }
        if tail.is_empty() {
            return None;
        }
        let mut padded = [b' '; BLOCK];
        padded[..tail.len()].copy_from_slice(tail);
        let escaped_after = self.escaped_after(tail);
        let end = self.block(&padded);
        self.escaped = escaped_after;
        end.map(|end| blocks.len() * BLOCK + end)
    }

    /// Padding would swallow the escape that a tail ends with.
    fn escaped_after(&self, tail: &[u8]) -> u64 {
        let run = tail.iter().rev().take_while(|byte| **byte == b'\\').count();
        let before = if run == tail.len() { self.escaped } else { 0 };
        (run as u64 + before) & 1
    }

    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Option<usize> {
        let masks = Masks::of(block);
        let quotes = if masks.backslash | self.escaped == 0 {
            masks.quote
        } else {
            masks.quote & !self.escapes(masks.backslash)
        };
        // From each opening quote up to its closing one.
        let strings = prefix_xor(quotes) ^ self.in_string;
        self.in_string = ((strings as i64) >> 63) as u64;
        let close = masks.close & !strings;
        let open = masks.open & !strings;
        if (close.count_ones() as usize) < self.depth {
            self.depth = self.depth + open.count_ones() as usize - close.count_ones() as usize;
            return None;
        }
        let mut brackets = open | close;
        while brackets != 0 {
            let lowest = brackets & brackets.wrapping_neg();
            if close & lowest == 0 {
                self.depth += 1;
            } else {
                // Saturating because the first byte is a bracket that opens.
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Some(lowest.trailing_zeros() as usize + 1);
                }
            }
            brackets ^= lowest;
        }
        None
    }

    /// The bytes that a backslash escapes: of each run of backslashes every second, and what follows an odd run.
    #[cold]
    fn escapes(&mut self, backslash: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let backslash = backslash & !self.escaped;
        let follows = backslash << 1 | self.escaped;
        let odd_starts = backslash & !EVEN & !follows;
        let (sequences, overflow) = odd_starts.overflowing_add(backslash);
        self.escaped = u64::from(overflow);
        (EVEN ^ (sequences << 1)) & follows
    }
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

/// For each byte of a block a bit, the first byte's being the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masks {
    quote: u64,
    backslash: u64,
    open: u64,
    close: u64,
}

impl Masks {
    /// Works on eight bytes at a time, in a word.
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;

        fn equal(word: u64, byte: u8) -> u64 {
            let difference = word ^ (ONES * u64::from(byte));
            // The highest bit of each byte that is zero, exactly; then these eight bits side by side.
            let zero = !(((difference & LOW) + LOW) | difference | LOW);
            (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
        }

        let mut masks = Self { quote: 0, backslash: 0, open: 0, close: 0 };
        let (words, _) = block.as_chunks::<8>();
        for (index, bytes) in words.iter().enumerate() {
            let shift = index * 8;
            let word = u64::from_le_bytes(*bytes);
            // The brackets differ from the braces by this bit, and from nothing else.
            let folded = word | (ONES * 0x20);
            masks.quote |= equal(word, b'"') << shift;
            masks.backslash |= equal(word, b'\\') << shift;
            masks.open |= equal(folded, b'{') << shift;
            masks.close |= equal(folded, b'}') << shift;
        }
        masks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for at in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                let bit = |set: bool| u64::from(set) << at;
                let expected = Masks {
                    quote: bit(byte == b'"'),
                    backslash: bit(byte == b'\\'),
                    open: bit(matches!(byte, b'{' | b'[')),
                    close: bit(matches!(byte, b'}' | b']')),
                };
                assert_eq!(Masks::of(&block), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn prefix_xor_is_a_running_parity() {
        let bits = 0x8421_0f0f_1234_8001u64;
        let expected =
            (0..64).fold(0, |sum, n| sum | u64::from((bits << (63 - n)).count_ones() % 2 == 1) << n);
        assert_eq!(prefix_xor(bits), expected);
    }
}
