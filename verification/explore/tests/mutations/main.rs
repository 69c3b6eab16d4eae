//! Is exploring worth its time? Deliberate faults in reader and producer, one at a time: each has to be found
//! within three thousand seeds.
//!
//! ```text
//! cargo test --release -p explore --test mutations -- --ignored --nocapture
//! ```
//!
//! `MUTATIONS="change places,one short"` looks only for those with one of these in their names.
//!
//! Each mutation is made in a copy of the workspace under the target directory, which is built and explored there. All
//! of them take some minutes: they are no part of the ordinary tests, which check that the list fits the source, and
//! `.ci/run` looks for a few.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod list;
mod tree;

use list::{MUTATIONS, Mutation};
use std::collections::BTreeSet;
use tree::Tree;

/// Seeds that are tried for each.
const SEEDS: u64 = 3000;

#[test]
#[ignore = "builds the explorer once for each mutation"]
fn every_mutation_is_found() {
    let tree = Tree::copy();
    let healthy = tree.explore(SEEDS).unwrap();
    assert_eq!(healthy, None, "the explorer finds something without any mutation");
    let wanted = std::env::var("MUTATIONS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let (mut tried, mut missed) = (0, Vec::new());
    for mutation in MUTATIONS.iter().filter(|mutation| wanted.iter().any(|part| mutation.name.contains(part)))
    {
        match look_for(&tree, mutation) {
            Some(line) => println!("{:<48} {line}", mutation.name),
            None => missed.push(mutation.name),
        }
        tried += 1;
    }
    assert!(tried > 0, "no mutation has any of {wanted:?} in its name");
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

/// What the explorer says of it; first the seed that found it the last time is tried.
fn look_for(tree: &Tree, mutation: &Mutation) -> Option<String> {
    tree.mutate(mutation);
    let found = tree.replay(mutation.seed).or_else(|| tree.explore(SEEDS).unwrap());
    tree.restore(mutation);
    found
}

/// A mutation of what is not there any more would find nothing.
#[test]
fn every_mutation_applies_to_the_source() {
    let names: BTreeSet<&str> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
    assert_eq!(names.len(), MUTATIONS.len(), "two mutations have one name");
    for mutation in MUTATIONS {
        assert!(!tree::mutated(mutation).is_empty(), "{} changes nothing", mutation.name);
    }
}
