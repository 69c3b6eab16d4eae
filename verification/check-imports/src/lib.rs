//! Checks the imports of the library: they point down its layers, and no files import each other in a circle.
//!
//! - [`layers`]: the list of layers.
//! - [`graph`]: the files of a package and the imports between them.
//! - [`check`]: the rules.

pub mod check;
pub mod graph;
mod imports;
pub mod layers;
