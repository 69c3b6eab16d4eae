//! Server-sent events: WHATWG's event-stream format, and the protocol's control events in it (protocol §5.8).

mod control;
mod data;
mod event;
mod parser;
#[cfg(test)]
mod reference;
mod short_name;
#[cfg(test)]
mod tests;

pub use control::Control;
#[cfg(any(test, feature = "__internals"))]
pub use control::ControlError;
pub(crate) use control::is_usable_cursor;
pub use event::EventName;
#[cfg(any(test, feature = "__internals"))]
pub use event::{EventTooLarge, SseEvent};
pub use parser::SseParser;
