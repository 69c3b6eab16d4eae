//! Connects the machine to the transport and the clock.
//!
//! A [`Driver`] holds at most one request or body in flight, and at most one timer. Each poll runs the loop of the machine's
//! contract: take, ask for the next action, poll what is in flight, report it to the machine, repeat. All state is in the
//! driver, so that a poll that is not followed by another loses nothing.

mod driver_loop;
mod request_call;
#[cfg(test)]
mod tests;
mod wakeup;

pub(super) use driver_loop::Driver;
