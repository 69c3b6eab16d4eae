//! The layers of the library's `src`, from the top to the bottom, as in ARCHITECTURE.md.

/// Each layer with its modules. A file imports from its own module and from lower layers only.
pub const LAYERS: &[&[&str]] = &[
    &["stacks"],
    &["blocking"],
    &["subscription", "merge"],
    &["reader", "producer"],
    &["stream"],
    &["client"],
    &["exchange"],
    &["observe"],
    &["protocol"],
    &["checkpoint", "outage", "retry"],
    &["error"],
    &["offset"],
    &["sync"],
];

/// Modules that no layer contains: the root, which re-exports, and the tools of the unit tests.
pub const EXEMPT: &[&str] = &["", "testing"];

/// The position of a module in [`LAYERS`], counted from the top.
#[must_use]
pub fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}
