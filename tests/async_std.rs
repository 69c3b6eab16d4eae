//! All scenarios on async-std and surf.
#![cfg(feature = "async-std")]
#![allow(unreachable_pub, reason = "each stack has a test binary of its own around the shared modules")]
#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

mod scenarios;
mod support;

scenarios::on!(support::AsyncStd);
