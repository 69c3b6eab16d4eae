//! A value that is not valid JSON, or not of the requested type.

use std::fmt;
use std::sync::Arc;

/// A value that is not valid JSON, or not of the requested type.
#[derive(Clone, Debug)]
pub struct JsonError {
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl JsonError {
    #[cfg(feature = "json")]
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The error of the JSON library, if it found the fault.
    #[must_use]
    pub fn get_ref(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self { message: error.to_string(), source: Some(Arc::new(error)) }
    }
}
