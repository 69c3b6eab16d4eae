//! A short storm on each stack, in the ordinary test run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chaos::{Memory, Plan, Stack};
use std::time::Duration;

fn faults_on(stack: Stack, memory: Memory, auto_claim: bool) {
    let duration = Duration::from_secs(10);
    // One that kills early and often.
    let plan = Plan { duration, seed: 13, stack, producers: 4, streams: 2, memory, auto_claim };
    let outcome = chaos::run(&plan).unwrap();
    println!("{outcome}");
    assert!(outcome.is_pass(), "{plan}\n{outcome}");
    // It was one.
    let (faults, kills, records) = (outcome.faults(), outcome.kills(), outcome.records());
    assert!(kills >= 2 && faults >= 50 && records >= 1000, "{outcome}");
    assert!(outcome.duplicates() > 0, "{outcome}");
}

#[test]
fn on_tokio() {
    faults_on(Stack::Tokio, Memory::Lost, false);
}

/// They help themselves where they can.
#[test]
fn on_tokio_by_themselves() {
    faults_on(Stack::Tokio, Memory::Lost, true);
}

#[test]
fn on_async_std() {
    faults_on(Stack::AsyncStd, Memory::Lost, false);
}

#[test]
fn on_smol() {
    faults_on(Stack::Smol, Memory::Lost, false);
}

#[test]
fn on_tokio_hyper() {
    faults_on(Stack::TokioHyper, Memory::Lost, false);
}

#[test]
fn on_smol_hyper() {
    faults_on(Stack::SmolHyper, Memory::Lost, false);
}
