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

/// Hands the names of all checks of transports to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_checks {
    ($then:path, $($arguments:tt)*) => {
        $then! {
            $($arguments)*,
            answers: every_status_is_an_answer,
            answers: unregistered_statuses_are_answers,
            answers: redirects_are_handed_back,
            answers: bodies_are_decoded_only_if_asked,
            answers: early_responses_are_skipped,
            answers: large_heads_are_read,
            answers: many_headers_are_read,
            answers: response_headers_come_byte_for_byte,
            bodies: responses_without_a_body_have_none,
            bodies: chunks_arrive_as_they_are_sent,
            bodies: a_response_may_come_byte_by_byte,
            bodies: the_head_comes_before_the_body,
            bodies: a_quiet_spell_is_no_timeout,
            bodies: a_cut_body_is_an_error,
            bodies: a_body_may_end_with_its_connection,
            bodies: a_large_body_arrives_whole,
            sending: the_target_goes_out_as_it_is,
            sending: request_headers_go_out_byte_for_byte,
            sending: repeated_headers_go_out_in_order,
            sending: headers_that_are_not_ascii,
            sending: an_empty_write_says_its_length,
            sending: reads_carry_no_body,
            sending: a_body_goes_out_with_its_length,
            sending: connections_are_reused,
            sending: small_writes_are_not_delayed,
            sending: requests_at_once_get_their_own_answers,
            sending: an_answer_before_the_body_was_read,
            failing: a_refused_connection_was_not_sent,
            failing: an_unknown_host_was_not_sent,
            failing: tls_to_a_plain_port_was_not_sent,
            failing: a_scheme_it_does_not_speak_is_refused,
            failing: a_write_that_was_taken_is_not_sent_again,
            failing: a_bodiless_write_that_was_taken_is_not_sent_again,
            failing: a_stale_connection_loses_and_doubles_nothing,
            failing: a_cut_head_is_an_error,
            failing: what_is_not_http_is_an_error,
            failing: it_works_where_its_runtime_is_not,
            dropping: a_dropped_live_body_lets_go,
            dropping: a_dropped_long_poll_lets_go,
            dropping: a_dropped_body_reaches_no_other_request,
            dropping: a_dropped_write_reaches_no_other_request,
            dropping: sixty_long_polls_let_a_write_through,
        }
    };
}

/// Hands the names of all checks of runtimes to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_checks {
    ($then:path, $($arguments:tt)*) => {
        $then! {
            $($arguments)*,
            runtime: a_sleep_is_never_early,
            runtime: a_sleep_counts_from_its_call,
            runtime: an_overlong_sleep_never_ends,
            runtime: a_sleep_may_be_dropped,
            runtime: many_sleeps_run_side_by_side,
            runtime: a_sleep_works_outside,
            runtime: a_task_runs_detached,
            runtime: a_task_is_spawned_from_anywhere,
            runtime: a_task_may_spawn_and_be_dropped,
            runtime: the_clock_goes_forward,
            runtime: random_numbers_differ,
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
/// If the check fails, saying what is wrong; or if there is no check of this name.
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
