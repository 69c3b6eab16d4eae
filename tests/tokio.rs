//! All scenarios on tokio and reqwest.
#![cfg(feature = "tokio")]
#![allow(unreachable_pub, reason = "each stack has a test binary of its own around the shared modules")]

mod scenarios;
mod support;

scenarios::on!(support::Tokio);
