use crate::error::shown;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// What a control event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `streamNextOffset`: never empty, never a sentinel.
    pub next_offset: String,
    /// `streamCursor`, to be echoed on the next request. Servers may leave it out.
    pub cursor: Option<String>,
    /// All that is stored has been sent. Also true when the stream is closed.
    pub up_to_date: bool,
    /// The stream has ended: nothing will follow.
    pub closed: bool,
}

/// A control event that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is not a JSON object, or a field has the wrong type.
    #[error("malformed control event: {message}")]
    Malformed {
        /// What the JSON parser says, bounded.
        message: String,
    },
    /// It has no `streamNextOffset`.
    #[error("control event without an offset")]
    MissingOffset,
    /// Its `streamNextOffset` is empty, a sentinel, or contains what no offset may contain.
    #[error("control event with the invalid offset {offset:?}")]
    InvalidOffset {
        /// The offset, bounded.
        offset: String,
    },
}

/// Whether a server may hand out `token` as an offset: not empty, not one of the sentinels `-1` and `now`, without
/// a comma (checkpoints use it) and without control characters. Other reserved characters are tolerated, because
/// they survive in a query once they are encoded.
pub fn is_valid_offset(token: &str) -> bool {
    !token.is_empty()
        && token != "-1"
        && token != "now"
        && !token.bytes().any(|byte| byte == b',' || byte.is_ascii_control())
}

impl Control {
    /// Parses the data of a control event. Unknown fields are ignored, `null` is as good as absent, and of two
    /// fields with the same name the last one counts.
    ///
    /// # Errors
    ///
    /// [`ControlError`], when there is no usable offset or no usable JSON.
    pub fn parse(data: &[u8]) -> Result<Self, ControlError> {
        let fields: Fields = serde_json::from_slice(data)
            .map_err(|error| ControlError::Malformed { message: shown(&error.to_string()).into_owned() })?;
        let next_offset = fields.next_offset.ok_or(ControlError::MissingOffset)?;
        if !is_valid_offset(&next_offset) {
            return Err(ControlError::InvalidOffset { offset: shown(&next_offset).into_owned() });
        }
        Ok(Self {
            next_offset,
            cursor: fields.cursor,
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

// By hand, because deriving would bring serde's macros into every build of the core.
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

/// A cursor is only sent back. A whole number does for its digits; what cannot be sent back is none, since a reader
/// that reads on without one is better than none. A fraction is none: what it is rounded to may be another's.
fn cursor(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

/// True or not; `null` is not, and the words in quotes do as they do in a header. Anything else is malformed: to take
/// it for one or the other would end a tail early, or never.
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
