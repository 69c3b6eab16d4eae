//! Control events (protocol §5.8).

use crate::error::truncate_for_display;
use crate::offset::Offset;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The fields of a control event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `streamNextOffset`, checked.
    pub next_offset: Offset,
    /// `streamCursor`, which the next request sends back. Servers may leave it out.
    pub cursor: Option<String>,
    /// Whether all stored data has been sent. True if the stream is closed.
    pub up_to_date: bool,
    /// Whether the stream is closed: there is no more data.
    pub closed: bool,
}

/// A control event that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is not a JSON object, or a field has the wrong type.
    #[error("malformed control event: {message}")]
    Malformed {
        /// The message of the JSON parser, cut.
        message: String,
    },
    /// It has no `streamNextOffset`.
    #[error("control event without an offset")]
    MissingOffset,
    /// Its `streamNextOffset` is not valid in a response.
    #[error("control event with the invalid offset {offset:?}: {reason}")]
    InvalidOffset {
        /// The offset, cut.
        offset: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
}

impl Control {
    /// Parses the data of a control event. Unknown fields are ignored, `null` counts as absent, and of two
    /// fields with the same name the last one counts.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if the data is not JSON of this form, or the offset is missing or not valid.
    pub fn parse(data: &[u8]) -> Result<Self, ControlError> {
        // The whole data is parsed: a control event is small, and a proxy may have reordered its fields.
        let fields: Fields = serde_json::from_slice(data).map_err(|error| ControlError::Malformed {
            message: truncate_for_display(&error.to_string()).into_owned(),
        })?;
        let next_offset = fields.next_offset.ok_or(ControlError::MissingOffset)?;
        let next_offset = Offset::from_server(&next_offset).map_err(|reason| {
            ControlError::InvalidOffset { offset: truncate_for_display(&next_offset).into_owned(), reason }
        })?;
        Ok(Self {
            next_offset,
            cursor: fields.cursor,
            // A closed stream has no more data, whether the server adds the flag or not.
            up_to_date: fields.up_to_date || fields.closed,
            closed: fields.closed,
        })
    }
}

#[derive(Default)]
struct Fields {
    next_offset: Option<String>,
    cursor: Option<String>,
    up_to_date: bool,
    closed: bool,
}

// By hand: deriving would add serde's macros to every build of the core.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<Name>()? {
                    match name {
                        Name::NextOffset => fields.next_offset = map.next_value()?,
                        Name::Cursor => fields.cursor = cursor(map.next_value()?),
                        Name::UpToDate => fields.up_to_date = flag(&map.next_value()?)?,
                        Name::Closed => fields.closed = flag(&map.next_value()?)?,
                        Name::Unknown => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Whether a cursor can be sent back: a longer one could make a URL that is not valid.
pub(crate) fn is_usable_cursor(text: &str) -> bool {
    !text.is_empty() && text.len() <= Offset::MAX_LEN
}

/// The cursor, which is only sent back. An integer counts as its digits. Any other value is dropped, because a reader can
/// continue without a cursor. A fraction is dropped too: rounded, it could be another cursor.
fn cursor(value: Value) -> Option<String> {
    match value {
        Value::String(text) if is_usable_cursor(&text) => Some(text),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

/// A flag. `null` is false, and the words `true` and `false` count in quotes too, as in a header. Any other value is an
/// error: to guess could end a live read early, or never.
fn flag<E: Error>(value: &Value) -> Result<bool, E> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(set) => Ok(*set),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(E::custom(format_args!("{other} is neither true nor false"))),
    }
}

enum Name {
    NextOffset,
    Cursor,
    UpToDate,
    Closed,
    Unknown,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;

        impl Visitor<'_> for Key {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "streamNextOffset" => Name::NextOffset,
                    "streamCursor" => Name::Cursor,
                    "upToDate" => Name::UpToDate,
                    "streamClosed" => Name::Closed,
                    _ => Name::Unknown,
                })
            }
        }

        deserializer.deserialize_identifier(Key)
    }
}
