//! The line that a run ends with.

use crate::Result;
use crate::args::Args;
use crate::meter::{Cost, Latencies};
use serde::Serialize;
use std::io::Write;

/// What a scenario measured and compared.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) cost: Cost,
    /// Records (or readers) that were moved, and their bytes.
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies: Option<Latencies>,
    /// Taken before anything that only the comparison needs.
    pub(crate) peak: Option<u64>,
    pub(crate) idle: Option<Idle>,
    /// The requests that there were, where that is the client's choice.
    pub(crate) road: Option<String>,
}

/// What readers cost that have nothing to read.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    /// Resident memory for each of them, in kB of 1024 bytes.
    pub(crate) kb_per_reader: f64,
    /// Share of one processor that all of them together use.
    pub(crate) idle_cpu_percent: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    stack: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    road: Option<String>,
    raw: bool,
    count: u64,
    bytes: u64,
    seconds: f64,
    /// Records in a second.
    rate: f64,
    /// Megabytes (10^6) in a second.
    mb_per_s: f64,
    cpu_ns_per_record: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p999_us: Option<f64>,
    /// Megabytes (10^6).
    peak_mb: Option<f64>,
    #[serde(flatten)]
    idle: Option<Idle>,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Report {
    /// A report of what was measured, and found to be right.
    pub(crate) fn new(args: &Args, measured: Measured) -> Self {
        let seconds = measured.cost.wall.as_secs_f64();
        let count = measured.count as f64;
        let [p50, p99, p999] =
            measured.latencies.map_or([None; 3], |latencies| latencies.percentiles().map(Some));
        Self {
            count: measured.count,
            bytes: measured.bytes,
            seconds,
            rate: count / seconds,
            mb_per_s: measured.bytes as f64 / seconds / 1e6,
            cpu_ns_per_record: measured.cost.cpu.as_nanos() as f64 / count,
            p50_us: p50,
            p99_us: p99,
            p999_us: p999,
            peak_mb: measured.peak.map(|bytes| bytes as f64 / 1e6),
            idle: measured.idle,
            road: measured.road,
            verified: true,
            ..Self::failed(args, String::new())
        }
        .without_error()
    }

    pub(crate) fn failed(args: &Args, error: String) -> Self {
        Self {
            scenario: args.scenario.name(),
            stack: args.stack.name(),
            live: args.live_name(),
            road: None,
            raw: args.raw,
            count: 0,
            bytes: 0,
            seconds: 0.0,
            rate: 0.0,
            mb_per_s: 0.0,
            cpu_ns_per_record: 0.0,
            p50_us: None,
            p99_us: None,
            p999_us: None,
            peak_mb: None,
            idle: None,
            verified: false,
            error: Some(error),
        }
    }

    fn without_error(mut self) -> Self {
        self.error = None;
        self
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, self)?;
        Ok(writeln!(out)?)
    }
}
