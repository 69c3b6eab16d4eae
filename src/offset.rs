use crate::error::{Error, StreamError};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A position in a stream.
///
/// Tokens come from the server and are opaque: they compare byte by byte and mean nothing else. To save
/// a position for later use a [`Checkpoint`](crate::Checkpoint), which also covers positions inside a
/// server's page.
///
/// ```
/// use durable_streams::Offset;
///
/// assert_eq!(Offset::parse("-1"), Offset::Beginning);
/// assert_eq!(Offset::parse("now"), Offset::Now);
/// assert!(Offset::parse("0001_0042") < Offset::parse("0001_0043"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Offset {
    /// The beginning of the stream, `-1`.
    Beginning,
    /// The tail at the moment of asking, `now`: only what comes later.
    Now,
    /// The position that a server named with this token.
    At(String),
}

impl Offset {
    /// The longest token taken, in bytes. Servers stay below 256.
    const MAX_LEN: usize = 4096;

    /// The offset that this text names: `-1`, `now`, or a server's token.
    #[must_use]
    pub fn parse(s: &str) -> Self {
        match s {
            "-1" => Self::Beginning,
            "now" => Self::Now,
            token => Self::At(token.to_owned()),
        }
    }

    /// The text that stands for this offset in a query, before percent-encoding.
    #[must_use]
    pub fn to_query_value(&self) -> &str {
        match self {
            Self::Beginning => "-1",
            Self::Now => "now",
            Self::At(token) => token,
        }
    }

    /// A token that a server sent as the position to go on from.
    ///
    /// Sentinels are for requests only: a server that answers `-1` would send its readers back to the start.
    pub(crate) fn from_server(token: &str) -> Result<Self, &'static str> {
        match token {
            "-1" | "now" => Err("a sentinel that only a request may use"),
            _ => Self::check(token).map(|()| Self::At(token.to_owned())),
        }
    }

    /// What the protocol forbids in a token.
    fn check(token: &str) -> Result<(), &'static str> {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        if !token.is_empty() && token.len() <= 256 && token.bytes().all(usual) {
            Ok(())
        } else if token.is_empty() {
            Err("it is empty")
        } else if token.len() > Self::MAX_LEN {
            Err("it is longer than 4096 bytes")
        } else if token.contains([',', '&', '=', '?', '/']) {
            Err("it contains one of , & = ? /")
        } else if token.chars().any(char::is_control) {
            Err("it contains a control character")
        } else {
            Ok(())
        }
    }

    /// Refuses what no server can have handed out.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let Self::At(token) = self else { return Ok(()) };
        Self::check(token).map_err(|reason| {
            StreamError::config("offset", format!("{token:?}"), format!("no offset is like this: {reason}"))
                .into()
        })
    }
}

/// Tokens compare byte by byte. The sentinels have no place in that order.
impl PartialOrd for Offset {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::At(a), Self::At(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (a, b) if a == b => Some(Ordering::Equal),
            _ => None,
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_query_value())
    }
}

#[cfg(feature = "json")]
impl serde::Serialize for Offset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.to_query_value())
    }
}

#[cfg(feature = "json")]
impl<'de> serde::Deserialize<'de> for Offset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let offset = Self::parse(&text);
        offset.validate().map_err(serde::de::Error::custom)?;
        Ok(offset)
    }
}

impl From<&str> for Offset {
    fn from(s: &str) -> Self {
        Self::parse(s)
    }
}

impl From<String> for Offset {
    fn from(s: String) -> Self {
        match s.as_str() {
            "-1" | "now" => Self::parse(&s),
            _ => Self::At(s),
        }
    }
}

/// What [`Offset::parse`] gives, if a server can have handed it out.
impl FromStr for Offset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let offset = Self::parse(text);
        offset.validate().map(|()| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::Offset;

    #[test]
    fn text_that_is_no_offset_is_refused() {
        for text in ["-1", "now", "0001_0042"] {
            assert_eq!(text.parse::<Offset>().unwrap(), Offset::parse(text));
        }
        for text in ["", "a/b", "a,b", "a\n"] {
            let error = text.parse::<Offset>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[cfg(feature = "json")]
    #[test]
    fn serde_uses_the_text_form() {
        for offset in [Offset::Beginning, Offset::Now, Offset::parse("0001_0042")] {
            let text = serde_json::to_string(&offset).unwrap();
            assert_eq!(text, format!("\"{offset}\""));
            assert_eq!(serde_json::from_str::<Offset>(&text).unwrap(), offset);
        }
        assert!(serde_json::from_str::<Offset>("\"a/b\"").is_err());
    }
}
