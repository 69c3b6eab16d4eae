//! What a scenario consists of.

use super::theme::Theme;
use durable_streams_sim::model::ServerOptions;
use durable_streams_sim::{Event, NetworkOptions};
use std::fmt;
use std::time::Duration;

/// Everything that happens in the run of one seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed that it was generated from.
    pub seed: u64,
    /// What the scenario is about.
    pub theme: Theme,
    /// How the server behaves.
    pub server: ServerOptions,
    /// The network without faults.
    pub network: NetworkOptions,
    /// The streams, by number.
    pub streams: Vec<Content>,
    /// The state of each stream at the start.
    pub initial_states: Vec<InitialState>,
    /// The writers.
    pub writers: Vec<Writer>,
    /// The readers.
    pub readers: Vec<Reader>,
    /// At how many of a hundred readings of its clock a process finds that time has passed.
    pub drift: u64,
    /// The failures.
    pub failures: Vec<Failure>,
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

/// The state of a stream at the start.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// The number of records that exist.
    pub records: usize,
    /// It is a fork of another stream, which has them and more.
    pub fork: bool,
    /// When it expires.
    pub expiry: Expiry,
}

/// When a stream expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// After an idle hour, which does not occur.
    Idle,
    /// This long after the start.
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
    pub write_mode: WriteMode,
    /// Records of each run.
    pub records: usize,
    /// Longest pause between two records.
    pub max_pause: Duration,
    /// So many records at the start are appended without a pause.
    pub burst: usize,
    /// Largest record, in bytes.
    pub size: usize,
    /// How a run ends.
    pub finish: Finish,
    /// It drops a future that takes longer, and polls a new one.
    pub poll_timeout: Option<Duration>,
    /// It drops some of the receipts.
    pub drops_receipts: bool,
    /// Its header timeout; `None`: the client's default. A request that timed out may still arrive.
    pub header_timeout: Option<Duration>,
}

/// How a writer writes.
#[derive(Clone, Debug)]
pub enum WriteMode {
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
        /// The retry limit; `None`: no limit.
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
    /// It drops its handles and waits for the receipts.
    Drop,
    /// It detaches the producer, and looks at it at the end.
    Detach,
}

/// A reader: a process that saves checkpoints, and its successors after crashes.
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
    pub poll_timeout: Option<Duration>,
    /// When it begins.
    pub starts_at: Duration,
}

/// The modes of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It ends when it is up to date, and is started again.
    Off,
    /// Automatic.
    Auto,
    /// Long-poll.
    LongPoll,
    /// Server-sent events.
    Sse,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Of the network or the server.
    World(Event),
    /// A process crashes and is restarted.
    Crash {
        /// The process.
        process: ProcessId,
        /// When.
        at: Duration,
    },
    /// A writer's computer sleeps, another process takes over, and then the first one wakes up.
    Replacement {
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
pub enum ProcessId {
    /// The writer of this number.
    Writer(usize),
    /// The reader of this number.
    Reader(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World(event) => event.fmt(f),
            Self::Crash { process: ProcessId::Writer(writer), at } => {
                write!(f, "at {at:?}: writer {writer} crashes")
            }
            Self::Crash { process: ProcessId::Reader(reader), at } => {
                write!(f, "at {at:?}: reader {reader} crashes")
            }
            Self::Replacement { writer, at, sleep } => {
                write!(f, "at {at:?}: writer {writer} is replaced while it sleeps for {sleep:?}")
            }
        }
    }
}
