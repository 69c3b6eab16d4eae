use crate::error::shown;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
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
                        Name::Cursor => fields.cursor = map.next_value::<Cursor>()?.0,
                        Name::UpToDate => fields.up_to_date = map.next_value::<Flag>()?.0,
                        Name::Closed => fields.closed = map.next_value::<Flag>()?.0,
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
/// that reads on without one is better than none.
struct Cursor(Option<String>);

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Cursor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a cursor")
            }

            fn visit_str<E>(self, text: &str) -> Result<Cursor, E> {
                Ok(Cursor((!text.is_empty()).then(|| text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Cursor, E> {
                Ok(Cursor(Some(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Cursor, E> {
                Ok(Cursor(Some(number.to_string())))
            }

            // What this is rounded to may be another's.
            fn visit_f64<E>(self, _: f64) -> Result<Cursor, E> {
                Ok(Cursor(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Cursor, E> {
                Ok(Cursor(None))
            }

            fn visit_unit<E>(self) -> Result<Cursor, E> {
                Ok(Cursor(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Cursor, A::Error> {
                IgnoredAny.visit_seq(seq)?;
                Ok(Cursor(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cursor, A::Error> {
                IgnoredAny.visit_map(map)?;
                Ok(Cursor(None))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// True or not; `null` is not, and the words in quotes do as they do in a header. Anything else is malformed: to take
/// it for one or the other would end a tail early, or never.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bool;

        impl Visitor<'_> for Bool {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, set: bool) -> Result<Flag, E> {
                Ok(Flag(set))
            }

            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    _ if text.eq_ignore_ascii_case("true") => Ok(Flag(true)),
                    _ if text.eq_ignore_ascii_case("false") => Ok(Flag(false)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Bool)
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
