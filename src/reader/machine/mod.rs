//! The reader as a state machine without I/O and without a clock.
//!
//! # States
//!
//! ```text
//!              +-----------------------------------------------------------------------------+
//!              v                                                                             |
//!  Waiting{until} --due--> Requesting --2xx head--+--> ResolvingTail --end--+                |
//!     ^                        |                  |    (offset=now)         v                |
//!     |                        |                  +--> ReadingPage ------------> Draining ---+
//!     |                        |                  |                (all taken)       |
//!     |                        |                  +--> ReadingSse --+                +--> Ended
//!     |                        |                       ^   |        |                  (closed, or
//!     |                        |                       +---+ group  +--> Ended          up to date
//!     |                        |                             taken    (closed)          when not live)
//!     |                        +--410--> CheckingGone --HEAD answered--> failure
//!     |
//!     +--retry-- failure (of any state that has a request in flight) --no retry--> Failed --> Ended
//! ```
//!
//! Not drawn, all of them to `Waiting`: the answer to a HEAD for the content type; an event stream that ended in good order;
//! and responses that are interrupted without a failure: those of a suspended computer, an event stream that
//! `LiveMode::Auto` falls back from, an oversized event, and a long-poll that was held too long.
//!
//! A state owns everything that is valid in it alone: see [`State`](state::State). What outlives a response is in small structs
//! with rules of their own: the [position](super::position::Position), what is known of the
//! [stream](stream_info::StreamInfo), how far the reader has [caught up](catch_up::CatchUp), [pacing](pacing::Pacing), the
//! [health of event streams](sse_health::SseHealth) and the [conditions](conditions::Conditions) of requests.
//!
//! # Contract with the driver
//!
//! Outputs:
//!
//! - [`take_chunk`](Machine::take_chunk) or [`take_item`](Machine::take_item): content. Never both on one reader.
//! - [`next_action`](Machine::next_action): what to do when there is nothing to take.
//! - [`deadline`](Machine::deadline): when to call `on_deadline`. It may change with every call to the machine.
//! - [`status`](Machine::status), [`is_started`](Machine::is_started) and the like: pure.
//!
//! Inputs, named `on_…`; each is valid for the action that was returned last:
//!
//! | last action | inputs |
//! |---|---|
//! | `Send` | then as for `Receive` |
//! | `Receive` | `on_response` or `on_request_failed` for the request; then `on_bytes`, `on_input_exhausted`, and `on_body_end` or `on_body_broken` |
//! | `Take` | none: take first |
//! | `Wait`, `Fail`, `End` | none but those of time |
//! | any | `on_wait`, `on_deadline`, `on_suspended` |
//!
//! The driver loops: take until there is nothing, call `next_action`, do what it says, report at least one input, repeat.
//! After an item of typed JSON, it may look at what has arrived without waiting, and call
//! [`end_consumed_page`](Machine::end_consumed_page): the item's checkpoint is then that of the page's end.
//!
//! The driver holds at most one request or body in flight. `Send`, `Wait`, `Fail` and `End` mean to drop that one first; an input for a
//! dropped one must not follow.
//!
//! # Invariants
//!
//! - The checkpoint of [`status`](Machine::status) lies behind all content that was taken, and before all content that
//!   was not: a failure loses nothing and repeats nothing.
//! - Data of an event stream is taken only after the control event that gives the offset behind it.
//! - The position moves to the next page only after the whole of a page was taken.
//! - Content that was not taken when the response is interrupted is read again.
//! - `next_action` changes nothing that the consumer sees. Called before content is taken, it returns `Take`, or gives the
//!   untaken rest of a broken response up, which is then read again.
//! - After `Fail` comes `End`, and nothing else.

mod catch_up;
mod conditions;
mod inputs;
mod json_content;
mod machine_core;
mod next_action;
mod pacing;
mod page;
mod page_bytes;
mod page_json;
mod request;
mod request_choice;
mod responses;
mod sse_connection;
mod sse_health;
mod state;
mod stream_info;
mod take;
#[cfg(test)]
mod tests;

pub(super) use machine_core::Machine;
pub(super) use next_action::Action;
pub(super) use request::{Request, RequestKind};
