//! A bad day as data: everything that chance decides, decided before it begins.

use crate::theme::Theme;
use durable_streams_sim::model::{Dialect, OffsetStyle, ServerOptions};
use durable_streams_sim::{
    Event, Fault, FaultPlan, Incident, Memory, NetworkOptions, REFUSALS, Rng, Schedule,
};
use std::fmt;
use std::time::Duration;

/// What happens, and to whom, when a seed is explored.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed it was made of.
    pub seed: u64,
    /// What the day is about.
    pub theme: Theme,
    /// How the server behaves.
    pub server: ServerOptions,
    /// How the network is on a good day.
    pub network: NetworkOptions,
    /// The streams, by number.
    pub streams: Vec<Content>,
    /// What each of them is when the day begins.
    pub beginnings: Vec<Beginning>,
    /// Who writes.
    pub writers: Vec<Writer>,
    /// Who reads.
    pub readers: Vec<Reader>,
    /// What goes wrong.
    pub mishaps: Vec<Mishap>,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `text/plain`.
    Text,
    /// `application/octet-stream`.
    Binary,
    /// `application/json`.
    Json,
}

impl Content {
    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Binary => "application/octet-stream",
            Self::Json => "application/json",
        }
    }
}

/// What a stream is when the day begins.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Records that are there already.
    pub records: usize,
    /// It is a fork of another stream, which has them and more.
    pub fork: bool,
    /// When it ends by itself.
    pub expiry: Expiry,
}

/// When a stream ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It does not.
    Never,
    /// After an hour without anybody, which does not come.
    Idle,
    /// So long after the day's beginning, whoever uses it.
    At(Duration),
}

/// A writer: a process, and its successors after crashes.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The number of its stream.
    pub stream: usize,
    /// It knows the stream's content type, and does not ask for it.
    pub knows_type: bool,
    /// How it writes.
    pub way: Way,
    /// Records of each run.
    pub records: usize,
    /// Longest pause between two records.
    pub pace: Duration,
    /// Largest record, in bytes.
    pub size: usize,
    /// How a run ends.
    pub finish: Finish,
    /// It drops what it waits for when that takes longer, and asks again.
    pub impatience: Option<Duration>,
    /// It drops some of the receipts.
    pub careless: bool,
    /// How long it waits for an answer's head; `None`: as long as clients do. What arrives later arrives nevertheless.
    pub header_timeout: Option<Duration>,
}

/// How a writer writes.
#[derive(Clone, Debug)]
pub enum Way {
    /// With an exactly-once producer.
    Producer {
        /// Claims the epoch that it needs; otherwise each run has one of its own.
        auto_claim: bool,
        /// Batches in flight.
        in_flight: usize,
        /// Records of a batch.
        batch_items: usize,
        /// Bytes of a batch.
        batch_bytes: usize,
        /// How long a batch waits.
        linger: Duration,
        /// Bytes that the queue may hold.
        buffered_bytes: usize,
        /// Records that the queue may hold.
        buffered_records: usize,
        /// Gives up after so many retries; `None`: never.
        retries: Option<u32>,
    },
    /// With single appends.
    Single,
}

/// How a writer's run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It flushes and closes the producer.
    Close,
    /// It closes the stream, with a last record or not.
    CloseStream(bool),
    /// It drops its handles and waits for what comes of the records.
    Drop,
    /// It lets the producer drain by itself, and asks it in the end.
    Detach,
}

/// A reader: a process that saves how far it is, and its successors after crashes.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The number of its stream.
    pub stream: usize,
    /// Its mode.
    pub live: Live,
    /// Whether it reads items of the stream's own type, not chunks: text, bytes, or values.
    pub items: bool,
    /// Whether it begins at the tail.
    pub from_now: bool,
    /// It saves after so many chunks.
    pub save_every: usize,
    /// It has a store of its own, and acknowledges what it has consumed; otherwise output and checkpoint are saved
    /// together.
    pub acknowledges: bool,
    /// Its largest chunk, in bytes.
    pub chunk_bytes: usize,
    /// Its largest server-sent event, in bytes; every record is smaller.
    pub event_bytes: usize,
    /// How many chunks it reads ahead.
    pub prefetch: usize,
    /// Longest pause after a chunk: a slow consumer.
    pub pause: Duration,
    /// It drops a `next()` that takes longer, and asks again.
    pub impatience: Option<Duration>,
    /// When it begins.
    pub begins: Duration,
}

/// The modes of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It ends when it is up to date, and is started again.
    Off,
    /// The best way.
    Auto,
    /// Long-poll.
    LongPoll,
    /// Server-sent events.
    Sse,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// With the network or the server.
    World(Event),
    /// A process dies and is started again.
    Crash {
        /// Whose.
        who: Who,
        /// When.
        at: Duration,
    },
    /// A writer's machine sleeps and another process takes its place; then the first one wakes.
    Zombie {
        /// The writer.
        writer: usize,
        /// When.
        at: Duration,
        /// For how long it sleeps.
        sleep: Duration,
    },
}

/// A process that may crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The writer of this number.
    Writer(usize),
    /// The reader of this number.
    Reader(usize),
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World(event) => event.fmt(f),
            Self::Crash { who: Who::Writer(writer), at } => write!(f, "at {at:?}: writer {writer} crashes"),
            Self::Crash { who: Who::Reader(reader), at } => write!(f, "at {at:?}: reader {reader} crashes"),
            Self::Zombie { writer, at, sleep } => {
                write!(f, "at {at:?}: writer {writer} is replaced while it sleeps for {sleep:?}")
            }
        }
    }
}

impl Plan {
    /// The bad day of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(0xe59);
        let streams: Vec<Content> = (0..if rng.percent(20) { 2 } else { 1 })
            .map(|_| *rng.pick(&[Content::Text, Content::Binary, Content::Json, Content::Json]))
            .collect();
        let writers: Vec<Writer> = (0..rng.between(1, 2)).map(|_| writer(&mut rng, streams.len())).collect();
        let readers: Vec<Reader> = (0..rng.between(1, 3)).map(|_| reader(&mut rng, streams.len())).collect();
        let beginnings = streams.iter().map(|_| beginning(&mut rng)).collect();
        let singles = writers.iter().any(|writer| matches!(writer.way, Way::Single));
        let mut plan = Self {
            seed,
            theme: Theme::of(&mut rng),
            server: server(&mut rng),
            network: network(&mut rng),
            streams,
            beginnings,
            writers,
            readers,
            mishaps: vec![],
        };
        plan.mishaps = mishaps(&mut rng, &plan, !singles);
        plan.theme.shape(&mut rng, &mut plan);
        plan
    }

    /// What goes wrong with the world.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::from_events(self.mishaps.iter().filter_map(|mishap| match mishap {
            Mishap::World(event) => Some(event.clone()),
            _ => None,
        }))
    }

    /// When `who` crashes, in order.
    #[must_use]
    pub fn crashes(&self, who: Who) -> Vec<Duration> {
        let mut times: Vec<Duration> = self
            .mishaps
            .iter()
            .filter_map(|mishap| match mishap {
                Mishap::Crash { who: crashing, at } if *crashing == who => Some(*at),
                _ => None,
            })
            .collect();
        times.sort();
        times
    }

    /// When a writer is replaced while it sleeps, and for how long.
    #[must_use]
    pub fn zombie(&self, replaced: usize) -> Option<(Duration, Duration)> {
        self.mishaps.iter().find_map(|mishap| match mishap {
            Mishap::Zombie { writer, at, sleep } if *writer == replaced => Some((*at, *sleep)),
            _ => None,
        })
    }

    /// What the server may forget. A stream that expires is gone as if it had been forgotten.
    #[must_use]
    pub fn forgets(&self) -> Memory {
        if self.beginnings.iter().any(|beginning| matches!(beginning.expiry, Expiry::At(_))) {
            return Memory::Lost;
        }
        let mut worst = Memory::Kept;
        for mishap in &self.mishaps {
            match mishap {
                Mishap::World(Event::At(_, Incident::Restart { memory: Memory::Lost, .. })) => {
                    return Memory::Lost;
                }
                Mishap::World(Event::At(_, Incident::Restart { memory: Memory::WithoutProducers, .. })) => {
                    worst = Memory::WithoutProducers;
                }
                _ => {}
            }
        }
        worst
    }

    /// How many writers close a stream. One that is replaced while it sleeps counts twice.
    #[must_use]
    pub fn closers(&self, stream: usize) -> usize {
        let closes =
            |writer: &Writer| matches!(writer.finish, Finish::CloseStream(_)) && writer.stream == stream;
        let closers = self.writers.iter().enumerate().filter(|(_, writer)| closes(writer));
        closers.map(|(number, _)| 1 + usize::from(self.zombie(number).is_some())).sum()
    }

    /// Whether a process sleeps some time.
    #[must_use]
    pub fn has_sleep(&self) -> bool {
        self.mishaps.iter().any(|mishap| {
            matches!(mishap, Mishap::Zombie { .. } | Mishap::World(Event::At(_, Incident::Sleep(_))))
        })
    }

    /// Whether no request arrives after its client has given it up.
    #[must_use]
    pub fn is_punctual(&self) -> bool {
        self.mishaps.iter().all(|mishap| match mishap {
            Mishap::World(Event::Request(_, fault)) => {
                !matches!(fault, Fault::Delay { .. } | Fault::Twice { .. })
            }
            Mishap::World(Event::At(_, incident)) => matches!(incident, Incident::Restart { .. }),
            Mishap::Crash { who, .. } => matches!(who, Who::Reader(_)),
            Mishap::Zombie { .. } => false,
        })
    }

    /// Whether something between says what a client may take for final: a captive portal, or a refusal.
    #[must_use]
    pub fn is_misled(&self) -> bool {
        self.mishaps.iter().any(|mishap| match mishap {
            Mishap::World(Event::Request(_, Fault::Portal)) => true,
            Mishap::World(Event::Request(_, Fault::Status { status, .. })) => REFUSALS.contains(status),
            _ => false,
        })
    }
}

fn beginning(rng: &mut Rng) -> Beginning {
    let records = if rng.percent(25) { rng.between(1, 12) as usize } else { 0 };
    let expiry = match rng.below(40) {
        0 => Expiry::At(rng.duration(Duration::from_millis(1), Duration::from_secs(4))),
        1..=5 => Expiry::Idle,
        _ => Expiry::Never,
    };
    Beginning { records, fork: records > 0 && rng.percent(50), expiry }
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
        // It never holds anything for long.
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
    // Some linger for so long that nothing but a flush, or a full batch or queue, sends anything.
    let linger = if rng.percent(20) { FOR_EVER } else { rng.duration(Duration::ZERO, LINGER) };
    let way = match single {
        true => Way::Single,
        false => Way::Producer {
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
        way,
        // A run of a single batch is what the next one is most easily mistaken for.
        records: if rng.percent(25) { rng.between(1, 2) } else { rng.between(1, 24) } as usize,
        pace: *rng.pick(&[Duration::ZERO, Duration::from_millis(4), Duration::from_millis(60)]),
        size: *rng.pick(&[0, 10, 80]),
        finish,
        impatience: rng
            .percent(25)
            .then(|| rng.duration(Duration::from_millis(1), Duration::from_millis(100))),
        // Where it waits for nothing else, its successor would start beside it.
        careless: rng.percent(15) && finish != Finish::Drop,
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
        // Items do not tell whether their end is the stream's.
        items: live != Live::Off && rng.percent(40),
        from_now: rng.percent(15),
        save_every: rng.between(1, 4) as usize,
        acknowledges: rng.percent(25),
        chunk_bytes: *rng.pick(&[1, 7, 64, 1 << 20]),
        event_bytes: *rng.pick(&[16 << 20, 16 << 20, 16 << 20, 250]),
        prefetch: *rng.pick(&[0, 0, 0, 1, 3]),
        pause,
        impatience: rng
            .percent(25)
            .then(|| rng.duration(Duration::from_millis(1), Duration::from_millis(50))),
        begins: *rng.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(80)]),
    }
}

/// Twice as long as batches linger by default.
const LINGER: Duration = Duration::from_millis(10);

/// Longer than any day.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Most mishaps strike while the writers are at work.
pub(crate) const BUSY: Duration = Duration::from_millis(600);

fn mishaps(rng: &mut Rng, plan: &Plan, idempotent: bool) -> Vec<Mishap> {
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
    let mut mishaps: Vec<Mishap> =
        Schedule::generate(rng.next_u64(), &faults).events().iter().cloned().map(Mishap::World).collect();
    for (number, writer) in plan.writers.iter().enumerate() {
        if !rng.percent(40) {
            continue;
        }
        if matches!(&writer.way, Way::Producer { .. }) && rng.percent(30) {
            let sleep = rng.duration(Duration::from_millis(1), Duration::from_secs(3));
            mishaps.push(Mishap::Zombie { writer: number, at: rng.duration(Duration::ZERO, BUSY), sleep });
            continue;
        }
        for _ in 0..rng.between(1, 3) {
            mishaps.push(Mishap::Crash { who: Who::Writer(number), at: rng.duration(Duration::ZERO, BUSY) });
        }
    }
    for number in 0..plan.readers.len() {
        if rng.percent(50) {
            for _ in 0..rng.between(1, 4) {
                mishaps.push(Mishap::Crash {
                    who: Who::Reader(number),
                    at: rng.duration(Duration::ZERO, 2 * BUSY),
                });
            }
        }
    }
    mishaps
}
