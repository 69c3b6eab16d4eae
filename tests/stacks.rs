//! All scenarios on each stack whose feature is enabled.
//!
//! One binary for all stacks, so that the scenarios and the library are compiled and linked once.
#![allow(unreachable_pub, reason = "the modules are shared with other test binaries")]
#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]
#![cfg(all(
    feature = "json",
    any(
        feature = "tokio",
        feature = "tokio-hyper",
        feature = "async-std",
        feature = "smol",
        feature = "smol-hyper"
    )
))]

mod scenarios;
mod support;

/// Makes a module with all scenarios on each stack whose feature is enabled.
macro_rules! scenarios_on {
    ($($feature:literal, $name:ident: $stack:ident;)*) => {
        $(
            #[cfg(feature = $feature)]
            mod $name {
                use super::{scenarios, support};

                scenarios::on!(crate::support::$stack);
                support::usage_examples::examples!(durable_streams::$name, crate::support::$stack);
            }
        )*
    };
}

scenarios_on! {
    "tokio", tokio: Tokio;
    "tokio-hyper", tokio_hyper: TokioHyper;
    "async-std", async_std: AsyncStd;
    "smol", smol: Smol;
    "smol-hyper", smol_hyper: SmolHyper;
}
