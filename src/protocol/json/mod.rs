//! Messages of JSON streams: finding them in a body, parsing them in place, and framing them for a request.

pub mod batch;
mod frames;
#[cfg(feature = "json")]
mod items;
mod scan;
mod splitter;
#[cfg(test)]
#[cfg(feature = "json")]
mod tests;

pub use frames::Frame;
#[cfg(feature = "json")]
pub use items::ItemError;
pub use splitter::{Framing, JsonSplitter};

/// A body whose messages cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The body should be a JSON array and begins with something else, a web page for instance.
    #[error("expected a JSON array, found {}", Shown(*.found))]
    NotAnArray {
        /// The first byte that is not white space.
        found: u8,
    },
    /// A byte that cannot stand between two messages, or begin one.
    #[error("unexpected {} at byte {position} of a JSON body", Shown(*.found))]
    Unexpected {
        /// The byte.
        found: u8,
        /// Where it stands, counted from the first byte pushed.
        position: u64,
    },
    /// The body ended in the middle of the array or of a message.
    #[error("a JSON body ended early, after {length} bytes")]
    Truncated {
        /// How many bytes there were.
        length: u64,
    },
    /// The body should be a JSON array and has nothing but white space.
    #[error("expected a JSON array, found nothing")]
    Empty,
    /// A message with more bytes than allowed.
    #[error("a JSON message is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

struct Shown(u8);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_ascii() {
            write!(f, "{:?}", char::from(self.0))
        } else {
            write!(f, "byte 0x{:02x}", self.0)
        }
    }
}

/// JSON's white space, which is less than ASCII's.
#[inline]
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
