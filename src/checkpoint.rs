//! Positions that an application saves.

use crate::error::{Error, StreamError};
use crate::offset::Offset;
use std::fmt;
use std::str::FromStr;

/// A position that an application saves and resumes from, exact to the byte or to the JSON message.
///
/// It is a server's [`Offset`], and how much after it has been consumed: servers send
/// offsets at the ends of their pages only, and a page can be hundreds of megabytes. A reader that
/// starts from a checkpoint neither repeats nor skips data.
///
/// Its text form is short and stable: `OFFSET`, `OFFSET,bN` (N bytes after it) or `OFFSET,mN` (N JSON
/// messages after it). An offset alone is a checkpoint too.
///
/// ```
/// use durable_streams::{Checkpoint, Offset};
///
/// let saved = "0001_0042,m17";
/// let checkpoint: Checkpoint = saved.parse()?;
/// assert_eq!(checkpoint.offset(), &Offset::parse("0001_0042"));
/// assert_eq!(checkpoint.to_string(), saved);
/// # Ok::<(), durable_streams::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    offset: Offset,
    skip: Skip,
}

/// How much after a checkpoint's offset was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Skip {
    /// Nothing: the position is the offset itself.
    None,
    /// This many bytes of the stream's content.
    Bytes(u64),
    /// This many JSON messages.
    Messages(u64),
}

impl Checkpoint {
    /// The position `offset` itself.
    #[must_use]
    pub fn at(offset: Offset) -> Self {
        // `Offset::At("now")` can be written by hand. It must not be saved as a position.
        let offset = match offset {
            Offset::At(token) if matches!(token.as_str(), "-1" | "now") => Offset::parse(&token),
            offset => offset,
        };
        Self { offset, skip: Skip::None }
    }

    pub(crate) fn new(offset: Offset, skip: Skip) -> Self {
        let skip = match skip {
            Skip::Bytes(0) | Skip::Messages(0) => Skip::None,
            skip => skip,
        };
        Self { offset, skip }
    }

    /// The server's offset at or before this position.
    #[must_use]
    pub fn offset(&self) -> &Offset {
        &self.offset
    }

    /// How much after [`offset`](Self::offset) was consumed.
    pub(crate) fn skip(&self) -> Skip {
        self.skip
    }

    /// Whether only a stream that was read can have this checkpoint: it has a server's offset, or content before it.
    pub(crate) fn is_inside(&self) -> bool {
        self.offset.is_concrete() || self.skip != Skip::None
    }

    /// Whether the position is a server's offset, with nothing to skip after it.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.skip == Skip::None
    }
}

impl From<Offset> for Checkpoint {
    fn from(offset: Offset) -> Self {
        Self::at(offset)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.skip {
            Skip::None => write!(f, "{}", self.offset),
            Skip::Bytes(n) => write!(f, "{},b{n}", self.offset),
            Skip::Messages(n) => write!(f, "{},m{n}", self.offset),
        }
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| {
            let reason = format!("{reason}; a checkpoint is OFFSET, OFFSET,bN or OFFSET,mN");
            Error::from(StreamError::config("checkpoint", format!("{text:?}"), reason))
        };
        let (offset, skip) = match text.split_once(',') {
            None => (text, Skip::None),
            Some((offset, skip)) => {
                // The first byte may be a part of a longer character: then there are no digits.
                let digits = skip.get(1..).unwrap_or_default();
                // `u64::from_str` takes a leading plus sign; the text form has exactly one spelling.
                if !digits.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(refuse("the part after the comma is neither bN nor mN"));
                }
                let n = digits.parse().map_err(|_| refuse("the number after the comma is not valid"))?;
                match skip.as_bytes()[0] {
                    b'b' => (offset, Skip::Bytes(n)),
                    b'm' => (offset, Skip::Messages(n)),
                    _ => return Err(refuse("the part after the comma is neither bN nor mN")),
                }
            }
        };
        let offset = Offset::parse(offset);
        offset.validate().map_err(|_| refuse("the offset is not valid"))?;
        if offset == Offset::Now && skip != Skip::None {
            return Err(refuse("`now` cannot have a part after the comma"));
        }
        Ok(Self::new(offset, skip))
    }
}

#[cfg(feature = "json")]
impl serde::Serialize for Checkpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "json")]
impl<'de> serde::Deserialize<'de> for Checkpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_parses_to_the_same_checkpoint() {
        for text in ["-1", "now", "0_42", "0_42,b7", "-1,m3", "01JÉ,b18446744073709551615"] {
            assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
        }
        assert_eq!("0_42,b0".parse::<Checkpoint>().unwrap().to_string(), "0_42");
        for (token, offset) in [("now", Offset::Now), ("-1", Offset::Beginning)] {
            assert_eq!(Checkpoint::at(Offset::At(token.into())).offset(), &offset);
        }
    }

    #[test]
    fn invalid_text_is_refused_and_shown() {
        for text in [
            "",
            ",b1",
            "a,",
            "a,b",
            "a,x1",
            "a,b-1",
            "a,b+1",
            "a,b1,m1",
            "a/b",
            "now,m1",
            "a,é",
            "a,b18446744073709551616",
        ] {
            let error = text.parse::<Checkpoint>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
