//! An option that is not valid.

use thiserror::Error as ThisError;

/// An option, a URL, a header or an offset that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("invalid {option}: {value}: {reason}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The option's name.
    pub option: String,
    /// The value that was given.
    pub value: String,
    /// Why it is not valid.
    pub reason: String,
}
