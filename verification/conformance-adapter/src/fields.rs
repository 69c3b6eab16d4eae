//! The fields of a result.

use serde_json::{Map, Value};

/// The fields of a result besides its type and success.
pub(crate) type Fields = Map<String, Value>;

pub(crate) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}
