//! What the parser yields.

use bytes::Bytes;

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// The event's type.
    pub event: EventName,
    /// The data lines, joined by line feeds. WHATWG decodes them as UTF-8 with replacement; here they are the
    /// received bytes. The text view checks their encoding.
    pub data: Bytes,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    /// `event: data`.
    Data,
    /// `event: control`.
    Control,
    /// Any other type, including the default (`message`).
    Other,
}

/// An event with more data than the limit. The parser yields no events after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit, in bytes of data.
    pub limit: usize,
}
