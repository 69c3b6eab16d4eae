//! Errors: a [kind](StreamError) to match on, and an [`Error`] that adds where it happened.

mod config;
mod context;
mod io;
mod json;
mod kind;
mod text;

pub use config::ConfigError;
pub(crate) use context::Context;
pub use context::Error;
pub use json::JsonError;
pub use kind::StreamError;
pub(crate) use text::truncate_for_display;

#[cfg(test)]
mod tests;
