//! Rounds: the same work in turns with its counterpart, each run in a process of its own, on one server.
//!
//! Figures on one machine move from minute to minute; their ratio within a round hardly does. So the ratios
//! are taken round by round, and the median of them is what is quoted.

use crate::args::Args;
use crate::server::Server;
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
use std::process::{Command, Stdio};

/// The figures that are compared, as the runs report them.
const FIGURES: [&str; 8] = [
    "rate",
    "cpu_ns_per_record",
    "p50_us",
    "p99_us",
    "p999_us",
    "peak_mb",
    "kb_per_reader",
    "idle_cpu_percent",
];

/// The last line: medians, and the median of the rounds' ratios.
#[derive(Debug, Serialize)]
struct Summary {
    scenario: &'static str,
    versus: String,
    stack: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'static str>,
    rounds: usize,
    client: Map<String, Value>,
    other: Map<String, Value>,
    ratio: Map<String, Value>,
    /// Smallest and largest ratio.
    spread: Map<String, Value>,
}

pub(crate) fn run(args: &Args, rounds: usize) -> Result<()> {
    let server = Server::find(args.url.as_deref())?;
    let own = Args { url: Some(server.url().to_owned()), rounds: None, vs: None, raw: false, ..args.clone() };
    let other = match args.vs {
        None => Args { raw: true, ..own.clone() },
        Some(scenario) => Args { scenario, ..own.clone() },
    };
    let mut pairs = Vec::new();
    for round in 0..rounds {
        // Turn about, so that neither always comes first.
        let pair = if round % 2 == 0 {
            let first = child(&own)?;
            (first, child(&other)?)
        } else {
            let first = child(&other)?;
            (child(&own)?, first)
        };
        println!("{}\n{}", pair.0, pair.1);
        pairs.push(pair);
    }
    let mut summary = Summary {
        scenario: args.scenario.name(),
        versus: if other.raw { "raw".into() } else { other.scenario.to_string() },
        stack: args.stack.name(),
        live: args.live_name(),
        rounds,
        client: Map::new(),
        other: Map::new(),
        ratio: Map::new(),
        spread: Map::new(),
    };
    for figure in FIGURES {
        let both: Vec<(f64, f64)> = pairs
            .iter()
            .filter_map(|(own, other)| Some((own.get(figure)?.as_f64()?, other.get(figure)?.as_f64()?)))
            .collect();
        if both.is_empty() {
            continue;
        }
        let ratios: Vec<f64> = both.iter().map(|(own, other)| own / other).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (map, value) in [
            (&mut summary.client, median(both.iter().map(|pair| pair.0)).into()),
            (&mut summary.other, median(both.iter().map(|pair| pair.1)).into()),
            (&mut summary.ratio, rounded(median(ratios.iter().copied())).into()),
            (&mut summary.spread, vec![rounded(least), rounded(most)].into()),
        ] {
            map.insert(figure.to_owned(), value);
        }
    }
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&summary)?)?)
}

/// One run in a process of its own: what it reported.
fn child(args: &Args) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args(args.to_words())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let failed = |why: &str| -> Error { format!("`load {}` {why}", args.to_words().join(" ")).into() };
    if !output.status.success() {
        return Err(failed("failed"));
    }
    let text = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    if report.get("verified") != Some(&Value::Bool(true)) {
        return Err(failed("did not compare what it moved"));
    }
    Ok(report)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
