//! Turns a random scenario into one about the network path.

use super::data::{Expiry, Failure, Finish, Scenario, WriteMode};
use super::scatter::scattered;
use super::times::BUSY;
use durable_streams_sim::model::ServerOptions;
use durable_streams_sim::{Event, Fault, Gateway, Incident, RetryAfter, Rng};
use std::time::Duration;

/// By this time each reader has read its first page, and each producer has sent something.
const ESTABLISHED: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3600);

/// Nothing but the path is to blame for a failure.
fn plain(rng: &mut Rng, scenario: &mut Scenario) {
    for state in &mut scenario.initial_states {
        (state.expiry, state.records) = (Expiry::Never, state.records.max(1));
    }
    scenario.server.max_body = ServerOptions::default().max_body;
    scenario.server.refuse_events = false;
    for reader in &mut scenario.readers {
        (reader.from_now, reader.starts_at, reader.save_every) = (false, Duration::ZERO, 1);
        reader.event_bytes = 16 << 20;
        // These scenarios last minutes.
        reader.poll_timeout = reader.poll_timeout.map(|timeout| timeout.max(Duration::from_millis(20)));
    }
    for writer in &mut scenario.writers {
        (writer.knows_type, writer.header_timeout) = (true, None);
        (writer.finish, writer.drops_receipts) = (Finish::Close, false);
        writer.records = rng.between(8, 24) as usize;
        writer.max_pause = *rng.pick(&[Duration::from_millis(4), Duration::from_millis(60)]);
        if let WriteMode::Producer { retries, linger, .. } = &mut writer.write_mode {
            (*retries, *linger) = (None, Duration::from_millis(1));
        }
    }
}

pub(super) fn failed_connections(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    let faults = [Fault::LoseResponse, Fault::LoseRequest, Fault::Refuse];
    scenario.failures = scattered(rng, 10, &faults);
    let mut span = 2 * BUSY;
    if rng.percent(50) {
        // Many connections at the start, of which most are idle later.
        span = Duration::from_secs(60);
        for writer in &mut scenario.writers {
            (writer.records, writer.burst) = (rng.between(6, 10) as usize, 5);
            writer.max_pause = Duration::from_secs(40);
            if let WriteMode::Producer { in_flight, batch_items, .. } = &mut writer.write_mode {
                (*in_flight, *batch_items) = (5, 1);
            }
        }
    }
    for _ in 0..rng.between(1, 3) {
        let at = rng.duration(Duration::from_millis(10), span);
        let incident = if rng.percent(50) { Incident::PinConnections(HOUR) } else { Incident::SilenceIdle };
        scenario.failures.push(Failure::World(Event::At(at, incident)));
    }
}

pub(super) fn not_processed(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    for writer in &mut scenario.writers {
        writer.poll_timeout = None;
        if rng.percent(30) {
            writer.write_mode = WriteMode::Single;
        }
    }
    let mut refusal = || {
        let retry_after = match rng.below(20) {
            0 => Some(RetryAfter::Seconds(u32::MAX)),
            1 => Some(RetryAfter::Date(4_000_000)),
            2..=5 => Some(RetryAfter::Seconds(rng.below(4) as u32)),
            _ => None,
        };
        Fault::Gateway(Gateway::Status { status: *rng.pick(&[421, 425]), retry_after })
    };
    let faults: Vec<Fault> = (0..8).map(|_| refusal()).collect();
    scenario.failures = scattered(rng, 40, &faults);
}

pub(super) fn size_limit(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    let is_large = rng.percent(50);
    fast_readers(scenario);
    for writer in &mut scenario.writers {
        (writer.size, writer.records, writer.max_pause) = match is_large {
            true => (40_000, rng.between(4, 24) as usize, Duration::ZERO),
            false => (writer.size, rng.between(100, 300) as usize, Duration::from_millis(2)),
        };
        full_batches(rng, &mut writer.write_mode);
    }
    // Each record passes by itself. A body below 64 KiB is refused for its size with 413 only.
    let (bytes, status) = match is_large {
        true => (rng.between(90_000, 200_000), *rng.pick(&[413, 502, 504])),
        false => (rng.between(150, 400), 413),
    };
    let limit = Gateway::BodyLimit { bytes: bytes as usize, status };
    // After a batch in doubt was split, a lost response of a part leaves an outcome that no response tells.
    scenario.failures = if status == 413 { scattered(rng, 5, &[Fault::LoseResponse]) } else { Vec::new() };
    scenario.failures.push(Failure::World(Event::At(Duration::ZERO, Incident::Gateway(limit, HOUR))));
}

pub(super) fn interceptor(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    for writer in &mut scenario.writers {
        writer.max_pause = Duration::from_millis(100);
    }
    let gateway = match rng.below(3) {
        0 => Gateway::Portal,
        1 => Gateway::Redirect,
        _ => Gateway::Status { status: 511, retry_after: None },
    };
    let lasts = rng.duration(Duration::from_millis(10), Duration::from_secs(120));
    let at = rng.duration(ESTABLISHED, 3 * BUSY);
    scenario.failures = vec![Failure::World(Event::At(at, Incident::Gateway(gateway, lasts)))];
}

pub(super) fn wrong_caches(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    for writer in &mut scenario.writers {
        writer.max_pause = Duration::from_millis(100);
    }
    scenario.failures = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let gateway = rng.pick(&[Gateway::DropBody, Gateway::IgnoreQuery, Gateway::StaleNotFound]).clone();
        let lasts = rng.duration(Duration::from_millis(10), Duration::from_secs(2));
        let at = rng.duration(ESTABLISHED, 3 * BUSY);
        scenario.failures.push(Failure::World(Event::At(at, Incident::Gateway(gateway, lasts))));
    }
}

pub(super) fn slow_uplink(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    fast_readers(scenario);
    scenario.network.counts_uploads = rng.percent(50);
    let fastest = *rng.pick(&[12_000, 100_000]);
    scenario.network.uplink = Some(rng.between(4_000, fastest) as u32);
    for writer in &mut scenario.writers {
        writer.size = *rng.pick(&[40_000, 150_000]);
        (writer.records, writer.max_pause) = (rng.between(2, 8) as usize, Duration::ZERO);
        writer.header_timeout =
            rng.percent(50).then(|| rng.duration(Duration::from_secs(5), Duration::from_secs(10)));
        full_batches(rng, &mut writer.write_mode);
    }
    scenario.failures = scattered(rng, 5, &[Fault::LoseResponse]);
}

pub(super) fn retention(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    scenario.failures = scattered(rng, 10, &[Fault::LoseResponse, Fault::LoseRequest]);
    for _ in 0..rng.between(1, 3) {
        let at = rng.duration(ESTABLISHED, 3 * BUSY);
        scenario.failures.push(Failure::World(Event::At(at, Incident::Retention)));
    }
}

pub(super) fn recreation(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    scenario.failures = scattered(rng, 10, &[Fault::LoseResponse, Fault::LoseRequest]);
    let at = rng.duration(ESTABLISHED, 3 * BUSY);
    scenario.failures.push(Failure::World(Event::At(at, Incident::Recreate)));
}

pub(super) fn lagging_servers(rng: &mut Rng, scenario: &mut Scenario) {
    plain(rng, scenario);
    scenario.server.lag = rng.duration(Duration::from_millis(1), Duration::from_secs(2));
    scenario.failures = scattered(rng, 10, &[Fault::LoseResponse, Fault::LoseRequest]);
}

/// Readers that are no slower than the writers of large records.
fn fast_readers(scenario: &mut Scenario) {
    for reader in &mut scenario.readers {
        (reader.chunk_bytes, reader.pause) = (1 << 20, Duration::ZERO);
    }
    scenario.server.page_bytes = scenario.server.page_bytes.max(1 << 20);
}

/// Batches that are as large as the records allow.
fn full_batches(rng: &mut Rng, mode: &mut WriteMode) {
    if let WriteMode::Producer {
        batch_items, batch_bytes, linger, buffered_bytes, buffered_records, ..
    } = mode
    {
        (*batch_items, *batch_bytes) = (rng.between(2, 100) as usize, *rng.pick(&[150_000, 1_000_000]));
        *linger = Duration::from_millis(10);
        (*buffered_bytes, *buffered_records) = (32_000_000, usize::MAX);
    }
}
