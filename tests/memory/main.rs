//! The memory of a reader is bounded, whatever the server sends: guarantees 6 and 25.
//!
//! Memory can be measured for a whole process only, so each read runs in a child process: this test binary again,
//! with one ignored test that takes its task from the environment (`process.rs`). Without optimisation the large
//! bodies have an eighth of a gigabyte, to save time; `cargo test --release --features full --test memory` reads a
//! whole one.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "each test binary has the shared modules it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gigabyte;
mod hostile;
mod large_events;
mod process;
#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "only some of the scenarios' helpers are needed here"
)]
mod support;
