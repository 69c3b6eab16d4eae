//! Messages of JSON streams (protocol §9.1): finding them in a body, parsing them in place, framing them for a request.

pub mod batch;
mod frames;
mod framing;
#[cfg(feature = "json")]
mod items;
mod scan;
mod splitter;
#[cfg(test)]
#[cfg(feature = "json")]
mod tests;

pub use frames::Frame;
pub use framing::{Framing, FramingError};
#[cfg(feature = "json")]
pub use items::ItemError;
pub use splitter::JsonSplitter;
