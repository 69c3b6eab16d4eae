//! Turns a random scenario into one of a theme.

use super::data::{Failure, Finish, Live, ProcessId, Reader, Scenario, WriteMode, Writer};
use super::scatter::scattered;
use super::shape_path;
use super::theme::Theme;
use super::times::BUSY;
use durable_streams_sim::{Event, Fault, Incident, Memory, Rng};
use std::time::Duration;

/// Makes a random scenario one of this theme.
pub(super) fn shape(theme: Theme, rng: &mut Rng, scenario: &mut Scenario) {
    match theme {
        Theme::Mixed => {}
        Theme::StateLoss => state_loss(rng, scenario),
        Theme::SpentRetries => spent_retries(rng, scenario),
        Theme::TooLarge => too_large(rng, scenario),
        Theme::ConcurrentClose => concurrent_close(rng, scenario),
        Theme::EpochContention => epoch_contention(rng, scenario),
        Theme::Detaching => detaching(rng, scenario),
        Theme::RepeatedCrashes => repeated_crashes(rng, scenario),
        Theme::BrokenConnections => broken_connections(rng, scenario),
        Theme::FailedConnections => shape_path::failed_connections(rng, scenario),
        Theme::NotProcessed => shape_path::not_processed(rng, scenario),
        Theme::SizeLimit => shape_path::size_limit(rng, scenario),
        Theme::Interceptor => shape_path::interceptor(rng, scenario),
        Theme::WrongCaches => shape_path::wrong_caches(rng, scenario),
        Theme::SlowUplink => shape_path::slow_uplink(rng, scenario),
        Theme::Retention => shape_path::retention(rng, scenario),
        Theme::Recreation => shape_path::recreation(rng, scenario),
        Theme::LaggingServers => shape_path::lagging_servers(rng, scenario),
    }
}

fn state_loss(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    for writer in &mut scenario.writers {
        if let WriteMode::Producer { auto_claim, in_flight, .. } = &mut writer.write_mode {
            (*auto_claim, *in_flight) = (true, rng.between(2, 5) as usize);
        }
    }
    let percent = *rng.pick(&[15, 40]);
    scenario.failures = scattered(
        rng,
        percent,
        &[Fault::LoseResponse, Fault::LoseResponse, Fault::LoseRequest, Fault::Refuse],
    );
    let mut at = rng.duration(Duration::ZERO, BUSY / 2);
    for _ in 0..rng.between(1, 4) {
        let down = rng.duration(Duration::from_micros(1), Duration::from_millis(100));
        let restart = Incident::Restart { down, memory: Memory::WithoutProducers };
        scenario.failures.push(Failure::World(Event::At(at, restart)));
        // Often soon enough to interrupt the recovery from the last one.
        at += down + rng.duration(Duration::from_millis(1), Duration::from_millis(250));
    }
}

fn spent_retries(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    for writer in &mut scenario.writers {
        if let WriteMode::Producer { retries, .. } = &mut writer.write_mode {
            *retries = Some(rng.below(3) as u32);
        }
    }
    let refusal = Fault::Status { status: *rng.pick(&[401, 403, 404]), retry_after: None, applied: false };
    let mut faults = vec![Fault::LoseResponse, Fault::LoseResponse, Fault::LoseRequest];
    if rng.percent(50) {
        faults.push(refusal);
    }
    scenario.failures = scattered(rng, 30, &faults);
}

fn too_large(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    for writer in &mut scenario.writers {
        writer.max_pause = Duration::ZERO;
        if let WriteMode::Producer { batch_items, .. } = &mut writer.write_mode {
            *batch_items = rng.between(2, 6) as usize;
        }
    }
    let refusal = Fault::Status { status: 413, retry_after: None, applied: false };
    let mut faults = vec![Fault::LoseResponse, Fault::LoseResponse, refusal];
    if rng.percent(50) {
        // Some requests arrive after their timeout.
        faults.extend(late(rng, 2));
        scenario.writers.iter_mut().for_each(|writer| writer.header_timeout = Some(rng.duration(SOON, LATE)));
    }
    scenario.failures = scattered(rng, 40, &faults);
}

fn concurrent_close(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    let mut closer = scenario.writers[0].clone();
    closer.records = rng.between(1, 6) as usize;
    closer.finish = Finish::CloseStream(rng.percent(50));
    scenario.writers.truncate(1);
    scenario.writers.push(closer);
    scenario.failures = scattered(rng, 30, &[Fault::LoseResponse, Fault::LoseResponse, Fault::LoseRequest]);
}

fn epoch_contention(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    scenario.writers.truncate(1);
    let writer = &mut scenario.writers[0];
    (writer.records, writer.max_pause) = (24, Duration::from_millis(60));
    claiming(writer);
    let at = rng.duration(Duration::ZERO, BUSY / 4);
    let sleep = rng.duration(Duration::from_millis(1), Duration::from_millis(100));
    let percent = *rng.pick(&[0, 10]);
    scenario.failures = scattered(rng, percent, &[Fault::LoseResponse, Fault::LoseRequest]);
    scenario.failures.push(Failure::Replacement { writer: 0, at, sleep });
}

fn detaching(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    for writer in &mut scenario.writers {
        writer.finish = if rng.percent(70) { Finish::Detach } else { Finish::Drop };
    }
    scenario.failures = scattered(
        rng,
        15,
        &[Fault::LoseResponse, Fault::Hang { applied: true }, Fault::Hang { applied: false }],
    );
    let away = rng.duration(Duration::from_secs(20), Duration::from_secs(100));
    let incident = match rng.percent(50) {
        true => Incident::Restart { down: away, memory: Memory::Kept },
        false => Incident::Partition(away),
    };
    scenario.failures.push(Failure::World(Event::At(rng.duration(Duration::ZERO, BUSY), incident)));
}

fn repeated_crashes(rng: &mut Rng, scenario: &mut Scenario) {
    busy_writers(rng, scenario);
    scenario.writers.truncate(1);
    let writer = &mut scenario.writers[0];
    claiming(writer);
    writer.header_timeout = Some(rng.duration(SOON, LATE));
    let mut faults = late(rng, 4);
    faults.push(Fault::LoseResponse);
    scenario.failures = scattered(rng, 50, &faults);
    for number in 0..rng.between(1, 3) {
        // The first crash is early: a run of few batches is the hardest to distinguish from the next run.
        let latest = if number == 0 { BUSY / 10 } else { BUSY };
        scenario
            .failures
            .push(Failure::Crash { process: ProcessId::Writer(0), at: rng.duration(Duration::ZERO, latest) });
    }
}

fn broken_connections(rng: &mut Rng, scenario: &mut Scenario) {
    let readers = scenario.readers.len();
    for reader in &mut scenario.readers {
        (reader.from_now, reader.starts_at) = (false, Duration::ZERO);
        reader.save_every = 1;
    }
    scenario.writers.truncate(1);
    let cut = |rng: &mut Rng| rng.index(300);
    let faults: Vec<Fault> = (0..6)
        .flat_map(|_| [Fault::CutBody { after: cut(rng) }, Fault::EndEvents { after: cut(rng) }])
        .chain([Fault::StaleCache, Fault::StaleCache, Fault::StaleCache, Fault::LoseResponse])
        .collect();
    scenario.failures = scattered(rng, 70, &faults);
    for _ in 0..rng.between(0, 6) {
        let process = ProcessId::Reader(rng.index(readers));
        scenario.failures.push(Failure::Crash { process, at: rng.duration(Duration::ZERO, 2 * BUSY) });
    }
}

/// Busy producers and a single reader, so that most faults hit the producers.
fn busy_writers(rng: &mut Rng, scenario: &mut Scenario) {
    scenario.readers.truncate(1);
    let reader: &mut Reader = &mut scenario.readers[0];
    (reader.live, reader.items, reader.from_now) = (Live::LongPoll, false, false);
    for writer in &mut scenario.writers {
        writer.records = rng.between(8, 24) as usize;
        writer.max_pause = *rng.pick(&[Duration::ZERO, Duration::from_millis(4), Duration::from_millis(60)]);
        writer.finish = Finish::Close;
        writer.drops_receipts = false;
        writer.write_mode = WriteMode::Producer {
            auto_claim: rng.percent(50),
            in_flight: rng.between(1, 5) as usize,
            batch_items: *rng.pick(&[1, 1, 2, 5]),
            batch_bytes: 1_000_000,
            linger: Duration::from_millis(1),
            buffered_bytes: 32_000_000,
            buffered_records: usize::MAX,
            retries: None,
        };
    }
}

fn claiming(writer: &mut Writer) {
    if let WriteMode::Producer { auto_claim, .. } = &mut writer.write_mode {
        *auto_claim = true;
    }
}

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(500);

/// Delays beyond the clients' timeouts.
fn late(rng: &mut Rng, kinds: usize) -> Vec<Fault> {
    let most = 2 * LATE;
    (0..kinds)
        .map(|_| Fault::Delay { request: rng.duration(SOON, most), response: rng.duration(SOON, most) })
        .collect()
}
