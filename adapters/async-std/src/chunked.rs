//! The chunked transfer coding (RFC 9112, section 7.1).
//!
//! async-h1's own decoder refuses chunk extensions, panics on trailers that are not ASCII, and sleeps for ever when the
//! body's last line comes in two pieces.

/// Bytes of one chunk's extensions, or of all trailers, beyond which a body is refused.
const MAX_EXTRA: u16 = 16 * 1024;

/// Takes the framing out of a body, piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    surplus: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size, of which so many digits have come.
    Size {
        size: u64,
        digits: u8,
    },
    /// After it, where extensions may stand.
    Extension {
        size: u64,
        seen: u16,
    },
    /// Before the line feed of its line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// Before the CR, and the LF, after the data.
    DataCr,
    DataLf,
    /// After the last chunk: in a line that is empty so far, or is not.
    Trailer {
        empty: bool,
        seen: u16,
    },
    TrailerEnd {
        empty: bool,
        seen: u16,
    },
    Done,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, surplus: false }
    }

    /// Whether the body has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether something came after the end.
    pub(crate) fn has_surplus(&self) -> bool {
        self.surplus
    }

    /// Decodes `bytes` in place: the data is moved to the front, and its length returned.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, &'static str> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            match &mut self.state {
                State::Data { left } => {
                    let room = bytes.len() - from;
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(room);
                    bytes.copy_within(from..from + count, to);
                    (from, to) = (from + count, to + count);
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                }
                State::Done => {
                    self.surplus = true;
                    break;
                }
                state => {
                    self.state = step(*state, bytes[from])?;
                    from += 1;
                }
            }
        }
        Ok(to)
    }
}

fn step(state: State, byte: u8) -> Result<State, &'static str> {
    Ok(match (state, byte) {
        (State::Size { digits: 0, .. }, b'\r' | b'\n' | b';') => return Err("a chunk has no size"),
        (State::Size { size, .. }, b'\r') => State::SizeEnd { size },
        (State::Size { size, .. }, b'\n') => after_size(size),
        (State::Size { size, .. }, b';' | b' ' | b'\t') => State::Extension { size, seen: 0 },
        (State::Size { digits: 16, .. }, _) => return Err("a chunk's size is too large"),
        (State::Size { size, digits }, _) => {
            let digit = char::from(byte).to_digit(16).ok_or("a chunk's size is no number")?;
            State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
        }
        (State::Extension { size, .. }, b'\r') => State::SizeEnd { size },
        (State::Extension { size, .. }, b'\n') => after_size(size),
        (State::Extension { seen: MAX_EXTRA, .. }, _) => return Err("a chunk's extensions are too long"),
        (State::Extension { size, seen }, _) => State::Extension { size, seen: seen + 1 },
        (State::SizeEnd { size }, b'\n') => after_size(size),
        (State::SizeEnd { .. }, _) => return Err("a chunk's size does not end its line"),
        (State::DataCr, b'\r') => State::DataLf,
        (State::DataCr | State::DataLf, b'\n') => State::Size { size: 0, digits: 0 },
        (State::DataCr | State::DataLf, _) => return Err("a chunk is longer than its size"),
        (State::Trailer { empty: true, .. } | State::TrailerEnd { empty: true, .. }, b'\n') => State::Done,
        (State::Trailer { seen, .. } | State::TrailerEnd { seen, .. }, b'\n') => {
            State::Trailer { empty: true, seen }
        }
        (State::Trailer { empty, seen }, b'\r') => State::TrailerEnd { empty, seen },
        (State::TrailerEnd { .. }, _) => return Err("a trailer does not end its line"),
        (State::Trailer { seen: MAX_EXTRA, .. }, _) => return Err("the trailers are too long"),
        (State::Trailer { seen, .. }, _) => State::Trailer { empty: false, seen: seen + 1 },
        // `decode` handles these without stepping.
        (State::Data { .. } | State::Done, _) => state,
    })
}

fn after_size(size: u64) -> State {
    if size == 0 { State::Trailer { empty: true, seen: 0 } } else { State::Data { left: size } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `size` bytes.
    fn decode(body: &[u8], size: usize) -> Result<(Vec<u8>, Decoder), &'static str> {
        let mut decoder = Decoder::new();
        let mut data = Vec::new();
        for piece in body.chunks(size) {
            let mut piece = piece.to_vec();
            let count = decoder.decode(&mut piece)?;
            data.extend_from_slice(&piece[..count]);
        }
        Ok((data, decoder))
    }

    #[test]
    fn any_cut_gives_the_same() {
        let bodies: [(&[u8], &[u8]); 5] = [
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"5;name=\"value\"\r\nhello\r\n00A \r\n\r\nworld !\r\r\n0;last\r\n\r\n", b"hello\r\nworld !\r"),
            (b"1\nx\n0\n\n", b"x"),
            (b"3\r\nabc\r\n0\r\nx-trailer: caf\xc3\xa9\r\nother: 1\r\n\r\n", b"abc"),
            (b"0\r\n\r\n", b""),
        ];
        for (body, expected) in bodies {
            for size in 1..=body.len() {
                let (data, decoder) = decode(body, size).unwrap();
                assert_eq!(data, expected, "{size}");
                assert!(decoder.is_done() && !decoder.has_surplus(), "{size}: {decoder:?}");
            }
        }
    }

    #[test]
    fn a_cut_body_is_not_done() {
        let body = b"5;x\r\nhello\r\n0\r\na: b\r\n\r\n";
        for end in 0..body.len() {
            assert!(!decode(&body[..end], 7).unwrap().1.is_done(), "{end}");
        }
    }

    #[test]
    fn what_comes_after_the_end_is_seen() {
        let (data, decoder) = decode(b"1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK", 100).unwrap();
        assert_eq!(data, b"x");
        assert!(decoder.is_done() && decoder.has_surplus());
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for body in
            ["\r\nx", ";x\r\n", "5\rx", "g\r\n", "-1\r\n", "1\r\nxy", "fffffffffffffffff\r\n", "0\r\na\rb"]
        {
            assert!(decode(body.as_bytes(), 1).is_err(), "{body:?}");
        }
        let endless = ["0\r\n".to_owned(), "a: b\r\n".repeat(10_000)].concat();
        assert!(decode(endless.as_bytes(), 1000).is_err());
        assert!(decode(format!("1;{}", "x".repeat(100_000)).as_bytes(), 1000).is_err());
    }
}
