//! All scenarios on each stack.
//!
//! One binary for all stacks, so that the scenarios and the library are compiled and linked once.
#![allow(unreachable_pub, reason = "the modules are shared with other test binaries")]
#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]
#![cfg(all(
    feature = "tokio",
    feature = "tokio-hyper",
    feature = "async-std",
    feature = "smol",
    feature = "smol-hyper",
    feature = "json"
))]

mod scenarios;
mod support;

/// Makes a module with all scenarios on one stack.
macro_rules! scenarios_on {
    ($($name:ident: $stack:ident,)*) => {
        $(
            mod $name {
                use super::{scenarios, support};

                scenarios::on!(crate::support::$stack);
                support::usage_examples::examples!(durable_streams::$name, crate::support::$stack);
            }
        )*
    };
}

scenarios_on! {
    tokio: Tokio,
    tokio_hyper: TokioHyper,
    async_std: AsyncStd,
    smol: Smol,
    smol_hyper: SmolHyper,
}
