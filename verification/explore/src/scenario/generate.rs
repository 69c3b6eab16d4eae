//! From a seed to a scenario. The order of the draws must not change: recorded seeds depend on it.

use super::data::{
    Content, Expiry, Failure, Finish, InitialState, Live, ProcessId, Reader, Scenario, WriteMode, Writer,
};
use super::shape::shape;
use super::theme::Theme;
use super::times::{BUSY, UNBOUNDED};
use durable_streams_sim::model::{Dialect, OffsetStyle, ServerOptions};
use durable_streams_sim::{FaultPlan, Memory, NetworkOptions, Rng, Schedule};
use std::time::Duration;

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(0xe59);
        let streams: Vec<Content> = (0..if rng.percent(20) { 2 } else { 1 })
            .map(|_| *rng.pick(&[Content::Text, Content::Binary, Content::Json, Content::Json]))
            .collect();
        let writers: Vec<Writer> = (0..rng.between(1, 2)).map(|_| writer(&mut rng, streams.len())).collect();
        let readers: Vec<Reader> = (0..rng.between(1, 3)).map(|_| reader(&mut rng, streams.len())).collect();
        let initial_states = streams.iter().map(|_| initial_state(&mut rng)).collect();
        let singles = writers.iter().any(|writer| matches!(writer.write_mode, WriteMode::Single));
        let mut scenario = Self {
            seed,
            theme: Theme::of(&mut rng),
            server: server(&mut rng),
            network: network(&mut rng),
            streams,
            initial_states,
            writers,
            readers,
            drift: 0,
            failures: vec![],
        };
        let mut path = Rng::new(seed).fork(0x9a7);
        if path.percent(30) {
            scenario.drift = *path.pick(&[5, 30]);
        }
        if let Some(theme) = Theme::of_path(&mut path) {
            scenario.theme = theme;
            shape(theme, &mut path, &mut scenario);
            return scenario;
        }
        scenario.failures = failures(&mut rng, &scenario, !singles);
        shape(scenario.theme, &mut rng, &mut scenario);
        scenario
    }
}

fn initial_state(rng: &mut Rng) -> InitialState {
    let records = if rng.percent(25) { rng.between(1, 12) as usize } else { 0 };
    let expiry = match rng.below(40) {
        0 => Expiry::At(rng.duration(Duration::from_millis(1), Duration::from_secs(4))),
        1..=5 => Expiry::Idle,
        _ => Expiry::Never,
    };
    InitialState { records, fork: records > 0 && rng.percent(50), expiry }
}

fn server(rng: &mut Rng) -> ServerOptions {
    let mut options = ServerOptions::default();
    options.dialect = *rng.pick(&[Dialect::Rust, Dialect::Node]);
    options.offsets = *rng.pick(&OffsetStyle::ALL);
    if rng.percent(50) {
        options.page_bytes = rng.between(1, 400) as usize;
    }
    options.page_varies = rng.percent(25);
    if rng.percent(30) {
        options.page_messages = rng.between(1, 5) as usize;
    }
    options.last_page_up_to_date = !rng.percent(20);
    options.long_poll = rng.duration(Duration::from_millis(500), Duration::from_secs(30));
    options.events_lifetime = rng.duration(Duration::from_secs(1), Duration::from_secs(60));
    if rng.percent(10) {
        // A server that ends every live read soon.
        let shortest = Duration::from_micros(1);
        options.long_poll = rng.duration(shortest, Duration::from_millis(50));
        options.events_lifetime = rng.duration(shortest, Duration::from_millis(50));
    }
    options.events_line_end = *rng.pick(&["\n", "\n", "\n", "\r\n", "\r"]);
    if rng.percent(10) {
        options.max_body = rng.between(60, 600) as usize;
    }
    options.refuse_events = rng.percent(8);
    options
}

fn network(rng: &mut Rng) -> NetworkOptions {
    let mut options = NetworkOptions::default();
    options.slowest = rng.duration(options.fastest, Duration::from_millis(40));
    options.in_pieces = *rng.pick(&[0, 20, 50, 100]);
    options
}

fn writer(rng: &mut Rng, streams: usize) -> Writer {
    let single = rng.percent(12);
    // With an unbounded linger time only a flush, a full batch or a full queue sends a batch.
    let linger = if rng.percent(20) { UNBOUNDED } else { rng.duration(Duration::ZERO, LINGER) };
    let write_mode = match single {
        true => WriteMode::Single,
        false => WriteMode::Producer {
            auto_claim: rng.percent(60),
            in_flight: rng.between(1, 5) as usize,
            batch_items: *rng.pick(&[1, 1, 2, 3, 5, 100]),
            batch_bytes: *rng.pick(&[1, 60, 200, 1_000_000, 1_000_000]),
            linger,
            buffered_bytes: *rng.pick(&[32_000_000, 32_000_000, 1000, 250]),
            buffered_records: *rng.pick(&[usize::MAX, usize::MAX, 7, 1]),
            retries: rng.percent(15).then(|| rng.between(0, 4) as u32),
        },
    };
    let finish = match rng.below(8) {
        0 => Finish::Drop,
        1 => Finish::CloseStream(rng.percent(50)),
        _ => Finish::Close,
    };
    Writer {
        stream: rng.index(streams),
        knows_type: rng.percent(75),
        write_mode,
        // A run of a single batch is the hardest to distinguish from the next run.
        records: if rng.percent(25) { rng.between(1, 2) } else { rng.between(1, 24) } as usize,
        max_pause: *rng.pick(&[Duration::ZERO, Duration::from_millis(4), Duration::from_millis(60)]),
        burst: 0,
        size: *rng.pick(&[0, 10, 80]),
        finish,
        poll_timeout: rng
            .percent(25)
            .then(|| rng.duration(Duration::from_millis(1), Duration::from_millis(100))),
        // A writer that only drops its handles must wait for its receipts, or its successor would overlap with it.
        drops_receipts: rng.percent(15) && finish != Finish::Drop,
        header_timeout: rng
            .percent(10)
            .then(|| rng.duration(Duration::from_millis(50), Duration::from_millis(500))),
    }
}

fn reader(rng: &mut Rng, streams: usize) -> Reader {
    let pause =
        *rng.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(3), Duration::from_millis(300)]);
    let live = *rng.pick(&[Live::Off, Live::Auto, Live::Auto, Live::LongPoll, Live::Sse]);
    Reader {
        stream: rng.index(streams),
        live,
        // Items do not show whether the stream is closed at their end.
        items: live != Live::Off && rng.percent(40),
        from_now: rng.percent(15),
        save_every: rng.between(1, 4) as usize,
        acknowledges: rng.percent(25),
        chunk_bytes: *rng.pick(&[1, 7, 64, 1 << 20]),
        event_bytes: *rng.pick(&[16 << 20, 16 << 20, 16 << 20, 250]),
        prefetch: *rng.pick(&[0, 0, 0, 1, 3]),
        pause,
        poll_timeout: rng
            .percent(25)
            .then(|| rng.duration(Duration::from_millis(1), Duration::from_millis(50))),
        starts_at: *rng.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(80)]),
    }
}

/// Twice as long as batches linger by default.
const LINGER: Duration = Duration::from_millis(10);

fn failures(rng: &mut Rng, scenario: &Scenario, idempotent: bool) -> Vec<Failure> {
    let mut faults = FaultPlan::default();
    faults.percent = *rng.pick(&[0, 5, 15, 30, 60]);
    faults.requests = *rng.pick(&[10, 40, 100]);
    faults.incidents = rng.below(4);
    faults.span = *rng.pick(&[BUSY, BUSY, Duration::from_secs(5)]);
    faults.twice = idempotent;
    faults.portal = rng.percent(3);
    faults.refusals = rng.percent(3);
    match rng.below(40) {
        0 => faults.memory = vec![Memory::WithoutProducers],
        1 => faults.memory = vec![Memory::Lost],
        _ => {}
    }
    let mut failures: Vec<Failure> =
        Schedule::generate(rng.next_u64(), &faults).events().iter().cloned().map(Failure::World).collect();
    for (number, writer) in scenario.writers.iter().enumerate() {
        if !rng.percent(40) {
            continue;
        }
        if matches!(&writer.write_mode, WriteMode::Producer { .. }) && rng.percent(30) {
            let sleep = rng.duration(Duration::from_millis(1), Duration::from_secs(3));
            failures.push(Failure::Replacement {
                writer: number,
                at: rng.duration(Duration::ZERO, BUSY),
                sleep,
            });
            continue;
        }
        for _ in 0..rng.between(1, 3) {
            failures.push(Failure::Crash {
                process: ProcessId::Writer(number),
                at: rng.duration(Duration::ZERO, BUSY),
            });
        }
    }
    for number in 0..scenario.readers.len() {
        if rng.percent(50) {
            for _ in 0..rng.between(1, 4) {
                failures.push(Failure::Crash {
                    process: ProcessId::Reader(number),
                    at: rng.duration(Duration::ZERO, 2 * BUSY),
                });
            }
        }
    }
    failures
}
