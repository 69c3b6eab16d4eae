//! How a body contains its messages, and the ways in which it can be broken.

/// How a body contains its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The body is one JSON array, and its elements are the messages: streams of `application/json`.
    Array,
    /// JSON texts in sequence, with or without white space between them: other content types.
    Texts,
}

/// A body that cannot be split into messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The body should be a JSON array and begins with another byte. It may be a web page.
    #[error("expected a JSON array, found {}", DisplayByte(*.found))]
    NotAnArray {
        /// The first byte that is not white space.
        found: u8,
    },
    /// A byte that can neither separate two messages nor begin one.
    #[error("unexpected {} at byte {position} of a JSON body", DisplayByte(*.found))]
    Unexpected {
        /// The byte.
        found: u8,
        /// Its position, counted from the first byte pushed.
        position: u64,
    },
    /// The body ended in the middle of the array or of a message.
    #[error("a JSON body ended early, after {length} bytes")]
    Truncated {
        /// How many bytes there were.
        length: u64,
    },
    /// The body should be a JSON array and has only white space.
    #[error("expected a JSON array, found nothing")]
    Empty,
    /// A message with more bytes than the limit.
    #[error("a JSON message is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

struct DisplayByte(u8);

impl std::fmt::Display for DisplayByte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_ascii() {
            write!(f, "{:?}", char::from(self.0))
        } else {
            write!(f, "byte 0x{:02x}", self.0)
        }
    }
}

/// The white space of JSON, which has fewer characters than that of ASCII.
#[inline]
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
