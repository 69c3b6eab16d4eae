use std::fmt;
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody listens: the connection is refused, nothing was sent.
    Refuse,
    /// The connection breaks before the server has read the request.
    LoseRequest,
    /// The server carries the request out; the connection breaks before the answer's head.
    LoseAnswer,
    /// Silence: no answer, no error. The request arrived or not.
    Hang {
        /// Whether the server carried it out.
        applied: bool,
    },
    /// The request arrives this much later, and its answer that much later again: later requests overtake it.
    Delay {
        /// Added to the way there.
        request: Duration,
        /// Added to the way back.
        answer: Duration,
    },
    /// The connection is reset after so many bytes of the body.
    CutBody {
        /// Bytes that arrive before.
        after: usize,
    },
    /// Server-sent events end, properly as HTTP sees it, after so many bytes: between two events or inside one.
    EndEvents {
        /// Bytes that arrive before.
        after: usize,
    },
    /// After so many bytes of the body nothing more comes, and the connection stays open.
    StallBody {
        /// Bytes that arrive before.
        after: usize,
    },
    /// A proxy responds with an error of its own.
    Status {
        /// The status: 429, 500, 502, 503, 504, 403…
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<RetryAfter>,
        /// Whether the server had carried the request out.
        applied: bool,
    },
    /// A captive portal answers 200 with an HTML page.
    Portal,
    /// The request is delivered a second time, this much later, if it was carried out the first time: something
    /// between repeats what it has not heard of. The first answer goes back.
    Twice {
        /// Between the two deliveries.
        later: Duration,
    },
    /// A cache serves what the server once answered to this very URL, if it ever did.
    Stale,
}

/// How a `Retry-After` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// As seconds.
    Seconds(u32),
    /// As the HTTP date so many seconds from now.
    Date(u32),
}

/// A fault of the whole world at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incident {
    /// The server dies at once, with every connection, and comes back.
    Restart {
        /// How long connections are refused.
        down: Duration,
        /// What it still knows.
        memory: Memory,
    },
    /// No packet gets through in either direction, without an error.
    Blackout(Duration),
    /// Every connection is reset.
    ResetConnections,
    /// Every process sleeps, as a closed laptop does: its clocks jump when it wakes.
    Sleep(Duration),
    /// The applications' wall clock jumps forward; the monotonic one does not.
    WallClock(Duration),
}

/// What a server remembers after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Everything: it is durable.
    Kept,
    /// The streams, but no producer: it accepts what it has stored already a second time.
    WithoutProducers,
    /// Nothing: its streams are gone.
    Lost,
}

/// One entry of a [`Schedule`](crate::Schedule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A fault that meets the request of this number. The world's requests are counted from 0.
    Request(u64, Fault),
    /// An incident at this time after the world's beginning.
    At(Duration, Incident),
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "Retry-After {seconds} s"),
            Self::Date(seconds) => write!(f, "Retry-After as a date in {seconds} s"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carried_out = |applied: &bool| if *applied { "carried out" } else { "not carried out" };
        match self {
            Self::Refuse => f.write_str("connection refused"),
            Self::LoseRequest => f.write_str("request lost"),
            Self::LoseAnswer => f.write_str("carried out, answer lost"),
            Self::Hang { applied } => write!(f, "silence, {}", carried_out(applied)),
            Self::Delay { request, answer } => write!(f, "delayed by {request:?} and {answer:?}"),
            Self::CutBody { after } => write!(f, "reset after {after} bytes of the body"),
            Self::EndEvents { after } => write!(f, "events end after {after} bytes"),
            Self::StallBody { after } => write!(f, "silence after {after} bytes of the body"),
            Self::Status { status, retry_after, applied } => {
                write!(f, "answered {status}, {}", carried_out(applied))?;
                retry_after.iter().try_for_each(|after| write!(f, ", {after}"))
            }
            Self::Portal => f.write_str("answered by a captive portal"),
            Self::Twice { later } => write!(f, "delivered again {later:?} later"),
            Self::Stale => f.write_str("answered from a stale cache"),
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart { down, memory } => {
                write!(f, "the server restarts, down for {down:?}, ")?;
                f.write_str(match memory {
                    Memory::Kept => "memory kept",
                    Memory::WithoutProducers => "its producer state lost",
                    Memory::Lost => "everything lost",
                })
            }
            Self::Blackout(duration) => write!(f, "nothing gets through for {duration:?}"),
            Self::ResetConnections => f.write_str("every connection is reset"),
            Self::Sleep(duration) => write!(f, "every process sleeps for {duration:?}"),
            Self::WallClock(ahead) => write!(f, "the wall clock jumps forward by {ahead:?}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(number, fault) => write!(f, "request {number}: {fault}"),
            Self::At(time, incident) => write!(f, "at {time:?}: {incident}"),
        }
    }
}
