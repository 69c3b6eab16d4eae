//! `validate`: options judged by the library's own validation.

use crate::answer::Failure;
use crate::stack::{Stack, Stream};
use durable_streams::{Error, RetryConfig, StreamError};
use serde_json::{Map, Value};
use std::time::Duration;

fn invalid(message: String) -> Failure {
    Failure::new("INVALID_ARGUMENT", message)
}

/// A whole number that the library's types can hold; a negative one they cannot.
fn number<N: TryFrom<u64>>(options: &Map<String, Value>, name: &str) -> Result<Option<N>, Failure> {
    let Some(value) = options.get(name) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| N::try_from(number).ok());
    number
        .map(Some)
        .ok_or_else(|| invalid(format!("invalid {name}: {value} is no number that this option takes")))
}

/// The library's refusal, with the option's name as the runner spells it.
fn refused(error: &Error, names: &[(&str, &str)]) -> Failure {
    let StreamError::Config(config) = error.kind() else {
        return Failure::new("INTERNAL_ERROR", error.to_string());
    };
    let name = names
        .iter()
        .find(|(ours, _)| *ours == config.option)
        .map_or(config.option.as_str(), |(_, theirs)| theirs);
    invalid(format!("invalid {name}: {}: {}", config.value, config.reason))
}

pub(crate) fn validate<S: Stack>(stream: &Stream<S>, target: &Map<String, Value>) -> Result<(), Failure> {
    match target.get("target").and_then(Value::as_str) {
        Some("retry-options") => retry_options(target),
        Some("idempotent-producer") => producer::<S>(stream, target),
        other => Err(Failure::new("NOT_SUPPORTED", format!("unknown target {other:?}"))),
    }
}

fn retry_options(options: &Map<String, Value>) -> Result<(), Failure> {
    let mut config = RetryConfig::default();
    config.max_retries = number(options, "maxRetries")?.or(config.max_retries);
    if let Some(millis) = number(options, "initialDelayMs")? {
        config.initial_backoff = Duration::from_millis(millis);
    }
    if let Some(millis) = number(options, "maxDelayMs")? {
        config.max_backoff = Duration::from_millis(millis);
    }
    if let Some(multiplier) = options.get("multiplier") {
        let refuse = || invalid(format!("invalid multiplier: {multiplier} is no number"));
        config.multiplier = multiplier.as_f64().ok_or_else(refuse)?;
    }
    let names =
        [("initial_backoff", "initialDelayMs"), ("max_backoff", "maxDelayMs"), ("multiplier", "multiplier")];
    config.validate().map_err(|error| refused(&error, &names))
}

fn producer<S: Stack>(stream: &Stream<S>, options: &Map<String, Value>) -> Result<(), Failure> {
    let id = options.get("producerId").and_then(Value::as_str).unwrap_or_default();
    let mut builder = stream.producer(id);
    if let Some(epoch) = number(options, "epoch")? {
        builder = builder.epoch(epoch);
    }
    if let Some(bytes) = number(options, "maxBatchBytes")? {
        builder = builder.max_batch_bytes(bytes);
    }
    if let Some(items) = number(options, "maxBatchItems")? {
        builder = builder.max_batch_items(items);
    }
    if let Some(count) = number(options, "maxInFlight")? {
        builder = builder.max_in_flight(count);
    }
    if let Some(millis) = number(options, "lingerMs")? {
        builder = builder.linger(Duration::from_millis(millis));
    }
    let names = [
        ("producer_id", "producerId"),
        ("epoch", "epoch"),
        ("max_batch_bytes", "maxBatchBytes"),
        ("max_batch_items", "maxBatchItems"),
        ("max_in_flight", "maxInFlight"),
    ];
    match builder.try_build() {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(&error, &names)),
    }
}
