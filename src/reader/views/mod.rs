//! The views of a started reader: its content as chunks, bytes, text or JSON values.

pub(super) mod bytes;
pub(super) mod chunks;
#[cfg(feature = "json")]
pub(super) mod json;
#[cfg(feature = "json")]
pub(super) mod json_from_chunks;
pub(super) mod macros;
pub(super) mod text;
pub(super) mod with_checkpoints;
