//! Positions in a stream.

use std::cmp::Ordering;
use std::fmt;

/// A position in a stream (protocol §8).
///
/// The server chooses the tokens. They are opaque: they compare byte by byte, and have no other meaning. To save
/// a position use a [`Checkpoint`](crate::Checkpoint), which also covers positions inside a server's page.
///
/// [`Offset::parse`] accepts any text. `str::parse` checks it: a token is not empty, has none of the characters
/// `, & = ? /`, no control characters, and at most 4,096 bytes. The same rule holds for the offsets of requests and
/// of responses.
///
/// ```
/// use durable_streams::Offset;
///
/// assert_eq!(Offset::parse("-1"), Offset::Beginning);
/// assert_eq!(Offset::parse("now"), Offset::Now);
/// assert!(Offset::parse("0001_0042") < Offset::parse("0001_0043"));
///
/// let saved: Offset = "0001_0042".parse()?;
/// assert!("a/b".parse::<Offset>().is_err());
/// # let _ = saved; Ok::<(), durable_streams::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Offset {
    /// The beginning of the stream, `-1`.
    Beginning,
    /// The tail at the time of the request, `now`: only later data is read.
    Now,
    /// The position that a server named with this token.
    At(String),
}

/// A text that is not a valid offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidOffset {
    /// The text, quoted.
    pub(crate) token: String,
    pub(crate) reason: &'static str,
}

impl fmt::Display for InvalidOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid offset: {}: {}", self.token, self.reason)
    }
}

impl Offset {
    /// The longest valid token, in bytes. Servers stay below 256 (protocol §8).
    pub(crate) const MAX_LEN: usize = 4096;

    /// The offset of this text: `-1`, `now`, or a server's token. The token is not checked; `str::parse` does that.
    #[must_use]
    pub fn parse(s: &str) -> Self {
        match s {
            "-1" => Self::Beginning,
            "now" => Self::Now,
            token => Self::At(token.to_owned()),
        }
    }

    /// Whether it is a position that a server named.
    pub(crate) fn is_concrete(&self) -> bool {
        matches!(self, Self::At(_))
    }

    /// The text of this offset in a query, before percent-encoding.
    #[must_use]
    pub fn to_query_value(&self) -> &str {
        match self {
            Self::Beginning => "-1",
            Self::Now => "now",
            Self::At(token) => token,
        }
    }

    /// The offset of a token that a server sent.
    ///
    /// `-1` and `now` are for requests only: a reader that continued from `-1` would start again.
    pub(crate) fn from_server(token: &str) -> Result<Self, &'static str> {
        match token {
            "-1" | "now" => Err("only a request may use this value"),
            _ => check_token(token).map(|()| Self::At(token.to_owned())),
        }
    }

    /// Refuses a token that no server may send.
    pub(crate) fn validate(&self) -> Result<(), InvalidOffset> {
        let Self::At(token) = self else { return Ok(()) };
        check_token(token).map_err(|reason| InvalidOffset { token: format!("{token:?}"), reason })
    }
}

/// The rule for tokens (protocol §8), in both directions.
fn check_token(token: &str) -> Result<(), &'static str> {
    // The usual token passes in one scan.
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    if !token.is_empty() && token.len() <= 256 && token.bytes().all(is_usual) {
        Ok(())
    } else if token.is_empty() {
        Err("it is empty")
    } else if token.len() > Offset::MAX_LEN {
        Err("it is longer than 4096 bytes")
    } else if is_checkpoint(token) {
        Err("it is a saved checkpoint; parse it as a Checkpoint, and start the reader from that")
    } else if token.contains([',', '&', '=', '?', '/']) {
        Err("it contains one of , & = ? /")
    } else if token.chars().any(char::is_control) {
        Err("it contains a control character")
    } else {
        Ok(())
    }
}

/// Whether this is the text form of a [`Checkpoint`](crate::Checkpoint) inside a page: `OFFSET,bN` or `OFFSET,mN`.
fn is_checkpoint(token: &str) -> bool {
    token.split_once(',').is_some_and(|(_, skip)| {
        skip.strip_prefix(['b', 'm'])
            .is_some_and(|count| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Tokens compare byte by byte. `-1` and `now` are equal to themselves, and not ordered.
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

#[cfg(test)]
mod tests {
    use super::Offset;

    /// Texts that the protocol forbids as offsets, and one that is longer than any.
    fn forbidden() -> Vec<String> {
        let mut texts: Vec<String> =
            [",", "&", "=", "?", "/", "\n", "\u{7f}", "\u{85}"].map(|c| format!("a{c}b")).into();
        texts.extend([String::new(), "a".repeat(4097)]);
        texts
    }

    #[test]
    fn forbidden_token_is_refused_in_requests_and_in_responses() {
        for text in forbidden() {
            let error = text.parse::<Offset>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
            assert!(Offset::from_server(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reserved_characters_that_the_protocol_allows_are_accepted() {
        for text in ["0001_0042", "a+b %#:;@!$'()*[]", "01JÉ", &"a".repeat(4096)] {
            assert_eq!(text.parse::<Offset>().unwrap(), Offset::parse(text));
            assert_eq!(Offset::from_server(text).unwrap(), Offset::parse(text));
        }
    }

    #[test]
    fn sentinels_are_accepted_in_requests_only() {
        for text in ["-1", "now"] {
            assert_eq!(text.parse::<Offset>().unwrap(), Offset::parse(text));
            assert!(Offset::from_server(text).is_err());
        }
    }

    #[test]
    fn checkpoint_as_offset_is_refused_with_advice_to_use_checkpoint() {
        for text in ["0_42,b7", "-1,m3"] {
            let error = text.parse::<Offset>().unwrap_err().to_string();
            assert!(error.contains("Checkpoint"), "{error}");
        }
        assert!(!"a,b".parse::<Offset>().unwrap_err().to_string().contains("Checkpoint"));
    }

    #[cfg(feature = "json")]
    #[test]
    fn serde_form_is_the_text_form() {
        for offset in [Offset::Beginning, Offset::Now, Offset::parse("0001_0042")] {
            let text = serde_json::to_string(&offset).unwrap();
            assert_eq!(text, format!("\"{offset}\""));
            assert_eq!(serde_json::from_str::<Offset>(&text).unwrap(), offset);
        }
        assert!(serde_json::from_str::<Offset>("\"a/b\"").is_err());
    }
}
