//! The tests that hold an adapter to the contract.
//!
//! Each promise in the documentation of [`HttpTransport`](crate::HttpTransport), [`Executor`](crate::Executor)
//! and [`Timer`](crate::Timer) is one check. A scripted server on plain threads misbehaves on purpose, so that
//! what is tested is the adapter and its library, and nothing else is needed.
//!
//! An adapter's own test file is this:
//!
//! ```
//! use durable_streams_contract::suite::{Limit, Stack};
//! # use durable_streams_contract::*;
//! # use futures_lite::future as my_runtime;
//! # struct MyTransport;
//! # #[async_trait]
//! # impl HttpTransport for MyTransport {
//! #     async fn send(
//! #         &self,
//! #         _: http::Request<bytes::Bytes>,
//! #         _: SendOptions,
//! #     ) -> Result<http::Response<Body>, TransportError> {
//! #         Err(TransportError::new(TransportErrorKind::Unsupported))
//! #     }
//! # }
//! # struct MyRuntime;
//! # impl Executor for MyRuntime {
//! #     fn spawn(&self, _: Task) {}
//! # }
//! # impl Timer for MyRuntime {
//! #     fn sleep(&self, _: std::time::Duration) -> Sleep {
//! #         Sleep::new(std::future::pending())
//! #     }
//! # }
//!
//! fn stack() -> Stack {
//!     Stack::new(|| MyTransport, MyRuntime, |task| my_runtime::block_on(task)).limits(&[Limit::NoTls])
//! }
//!
//! durable_streams_contract::transport_suite!(stack());
//! durable_streams_contract::runtime_suite!(stack());
//! ```
//!
//! Each macro makes one `#[test]` of each check, in the module where it is called. [`run_transport`] and
//! [`run_runtime`] run them from anywhere else, and report every one that failed by its name.
//!
//! What a library cannot do is declared as a [`Limit`]; the check then asserts the documented way to fail.

mod answers;
mod bodies;
mod connections;
mod dropping;
mod failing;
mod limit;
mod runtime;
mod sending;
mod server;
mod stack;

pub use limit::Limit;
pub use stack::Stack;

use stack::Check;
use std::sync::Arc;

/// Passes the names of all checks of transports to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_checks {
    ($then:path, $($arguments:tt)*) => {
        $then! {
            $($arguments)*,
            answers: every_status_is_a_response,
            answers: unregistered_statuses_are_responses,
            answers: redirects_are_not_followed,
            answers: bodies_are_decoded_only_if_asked,
            answers: early_responses_are_skipped,
            answers: large_response_heads_are_read,
            answers: many_response_headers_are_read,
            answers: response_header_values_are_unchanged,
            bodies: responses_without_a_body_have_none,
            bodies: chunks_arrive_as_they_are_sent,
            bodies: response_sent_byte_by_byte_is_read,
            bodies: trailers_change_nothing,
            bodies: head_arrives_before_the_body,
            bodies: silence_within_a_body_is_not_a_timeout,
            bodies: truncated_body_is_an_error,
            bodies: body_without_a_length_ends_with_its_connection,
            bodies: large_body_arrives_complete,
            sending: request_target_is_sent_unchanged,
            sending: request_header_values_are_sent_unchanged,
            sending: repeated_headers_are_sent_in_order,
            sending: non_ascii_header_is_sent_unchanged_or_refused,
            sending: empty_write_has_a_content_length,
            sending: reads_are_sent_without_a_body,
            sending: body_is_sent_with_its_length,
            sending: connections_are_reused,
            sending: small_writes_are_not_delayed,
            sending: concurrent_requests_get_their_own_responses,
            sending: response_before_the_body_is_sent_is_read,
            failing: refused_connection_reports_not_sent,
            failing: unknown_host_reports_not_sent,
            failing: tls_to_a_plain_port_reports_not_sent,
            failing: handshake_that_failed_is_retried_if_it_may_pass,
            failing: unsupported_scheme_is_refused,
            failing: received_write_is_not_sent_again,
            failing: received_write_without_a_body_is_not_sent_again,
            failing: write_on_a_stale_connection_is_stored_once,
            failing: close_before_a_write_is_never_ambiguous,
            failing: truncated_head_is_an_error,
            failing: head_cut_at_any_byte_is_an_error,
            failing: conflicting_content_lengths_are_an_error,
            failing: response_that_is_not_http_is_an_error,
            failing: transport_works_outside_its_runtime,
            dropping: dropped_live_body_closes_its_connection,
            dropping: dropped_long_poll_closes_its_connection,
            dropping: dropped_body_does_not_reach_another_request,
            dropping: dropped_write_does_not_reach_another_request,
            dropping: write_is_sent_beside_sixty_long_polls,
            connections: fresh_connection_is_a_new_one,
            connections: fresh_connection_discards_the_idle_ones,
            connections: dead_idle_connections_cost_one_request,
            connections: dropped_request_keeps_the_idle_connections,
            connections: stray_response_is_not_taken_for_an_answer,
            connections: abandoned_requests_leave_no_connection,
            connections: requests_given_up_in_turn_leave_no_connection,
            connections: upload_progress_is_the_size_of_the_body,
        }
    };
}

/// Passes the names of all checks of runtimes to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_checks {
    ($then:path, $($arguments:tt)*) => {
        $then! {
            $($arguments)*,
            runtime: sleep_never_ends_early,
            runtime: sleep_counts_from_its_call,
            runtime: sleep_beyond_the_clock_never_ends,
            runtime: dropped_sleep_has_no_effect,
            runtime: many_sleeps_run_concurrently,
            runtime: waker_of_a_sleep_may_ask_for_the_time,
            runtime: sleep_works_outside_the_runtime,
            runtime: task_runs_detached,
            runtime: task_is_spawned_from_any_thread,
            runtime: task_may_spawn_and_be_dropped,
            runtime: clock_never_goes_back,
            runtime: random_numbers_are_distinct,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __suite_tests {
    (($stack:expr), $($module:ident: $check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $crate::suite::run_check(stringify!($check), $stack);
            }
        )*
    };
}

/// One `#[test]` for each check of a transport. The argument makes the [`Stack`](crate::suite::Stack) that it runs on.
#[macro_export]
macro_rules! transport_suite {
    ($stack:expr) => {
        $crate::__transport_checks! { $crate::__suite_tests, ($stack) }
    };
}

/// One `#[test]` for each check of a runtime. The argument makes the [`Stack`](crate::suite::Stack) that it runs on.
#[macro_export]
macro_rules! runtime_suite {
    ($stack:expr) => {
        $crate::__runtime_checks! { $crate::__suite_tests, ($stack) }
    };
}

macro_rules! list {
    ($name:ident, $($module:ident: $check:ident,)*) => {
        static $name: &[Check] = &[$((stringify!($check), |stack| Box::pin($module::$check(stack)))),*];
    };
}

__transport_checks! { list, TRANSPORT }
__runtime_checks! { list, RUNTIME }

/// Runs one check by its name.
///
/// # Panics
///
/// If the check fails, with what is wrong; or if there is no check of this name.
pub fn run_check(name: &str, stack: Stack) {
    let check = TRANSPORT.iter().chain(RUNTIME).find(|(known, _)| *known == name);
    let check = check.unwrap_or_else(|| panic!("no check is called {name}"));
    if let Err(message) = Arc::new(stack).run(*check) {
        panic!("{name}: {message}");
    }
}

/// Runs all checks of a transport, one after the other.
///
/// # Errors
///
/// The name of each check that failed, and what is wrong.
pub fn run_transport(stack: Stack) -> Result<(), Vec<(&'static str, String)>> {
    run_all(TRANSPORT, stack)
}

/// Runs all checks of a runtime, one after the other.
///
/// # Errors
///
/// The name of each check that failed, and what is wrong.
pub fn run_runtime(stack: Stack) -> Result<(), Vec<(&'static str, String)>> {
    run_all(RUNTIME, stack)
}

fn run_all(checks: &[Check], stack: Stack) -> Result<(), Vec<(&'static str, String)>> {
    let stack = Arc::new(stack);
    let run = |check: &Check| Arc::clone(&stack).run(*check).err().map(|message| (check.0, message));
    let failed: Vec<_> = checks.iter().filter_map(run).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}
