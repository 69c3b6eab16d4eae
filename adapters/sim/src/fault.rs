//! Faults of requests, incidents of the world, and their text.

use std::fmt;
use std::time::Duration;

/// A fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is refused; nothing was sent.
    Refuse,
    /// The connection breaks before the server has read the request.
    LoseRequest,
    /// The server applies the request; the connection breaks before the response's head.
    LoseResponse,
    /// No response and no error. The request has arrived or not.
    Hang {
        /// Whether the server applied it.
        applied: bool,
    },
    /// The request arrives later, and its response is delayed as well: later requests overtake it.
    Delay {
        /// The delay of the request.
        request: Duration,
        /// The delay of the response.
        response: Duration,
    },
    /// The connection is reset after this many bytes of the body.
    CutBody {
        /// Bytes that arrive before.
        after: usize,
    },
    /// An event stream ends without an HTTP error after this many bytes: between two events or inside one.
    EndEvents {
        /// Bytes that arrive before.
        after: usize,
    },
    /// After this many bytes of the body nothing more arrives, and the connection stays open.
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
        /// Whether the server had applied the request.
        applied: bool,
    },
    /// A captive portal responds 200 with an HTML page.
    CaptivePortal,
    /// A proxy delivers the request a second time, later, if it succeeded the first time. The client gets the first response.
    Repeat {
        /// The time between the two deliveries.
        later: Duration,
    },
    /// A cache responds with an earlier response to the same URL, if there was one.
    StaleCache,
    /// The request, or its response, meets this on the way.
    Gateway(Gateway),
}

/// What stands between client and server, and answers in its place or changes what passes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gateway {
    /// Responds 200 with an HTML page, and without a header of the protocol.
    Portal,
    /// Redirects to another origin, which responds with an HTML page.
    Redirect,
    /// Responds with an error. The server does not get the request.
    Status {
        /// The status: 421, 425, 502, 504…
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<RetryAfter>,
    },
    /// Refuses bodies above a limit. The server does not get them.
    BodyLimit {
        /// The largest body that passes.
        bytes: usize,
        /// The status of the refusal: 413, 502, 504…
        status: u16,
    },
    /// Passes a response's head, with a `Content-Length` of zero, and drops its body.
    DropBody,
    /// A cache of the client's own that ignores the query: it answers a GET with the last page that came from the path,
    /// unless the request has `Cache-Control: no-cache`.
    IgnoreQuery,
    /// A cache that answers a GET with 404, unless the request has `Cache-Control: no-cache`.
    StaleNotFound,
}

/// The form of a `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u32),
    /// The HTTP date this many seconds from now.
    Date(u32),
}

/// A fault of the whole world at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incident {
    /// The server crashes, with every connection, and restarts.
    Restart {
        /// How long connections are refused.
        down: Duration,
        /// What it remembers.
        memory: Memory,
    },
    /// No packet gets through in either direction, without an error.
    Partition(Duration),
    /// Every connection is reset.
    ResetConnections,
    /// For this time, every request meets it on the way.
    Gateway(Gateway, Duration),
    /// For this time, every present connection leads to a backend that responds 503 to everything. New connections
    /// lead to the server.
    PinConnections(Duration),
    /// The network loses the state of every idle connection: a request on one of them gets no response and no error.
    SilenceIdle,
    /// The server drops the older half of every stream, up to the end of an append or message.
    Retention,
    /// Every stream is deleted, and created again without content.
    Recreate,
    /// Every computer is suspended: its clocks jump when it resumes.
    Suspend(Duration),
    /// The applications' wall clock jumps forward; the monotonic one does not.
    WallClock(Duration),
}

/// What a server remembers after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Everything.
    Kept,
    /// The streams, but no state of producers: it stores a repeated batch a second time.
    WithoutProducers,
    /// Nothing: the streams are lost.
    Lost,
}

/// One entry of a [`Schedule`](crate::Schedule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A fault of the request with this number, counted from 0 over the whole world.
    Request(u64, Fault),
    /// An incident at this time after the start of the world.
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
        let applied_text = |applied: &bool| if *applied { "applied" } else { "not applied" };
        match self {
            Self::Refuse => f.write_str("connection refused"),
            Self::LoseRequest => f.write_str("request lost"),
            Self::LoseResponse => f.write_str("applied, response lost"),
            Self::Hang { applied } => write!(f, "no response, {}", applied_text(applied)),
            Self::Delay { request, response } => write!(f, "delayed by {request:?} and {response:?}"),
            Self::CutBody { after } => write!(f, "reset after {after} bytes of the body"),
            Self::EndEvents { after } => write!(f, "events end after {after} bytes"),
            Self::StallBody { after } => write!(f, "stalled after {after} bytes of the body"),
            Self::Status { status, retry_after, applied } => {
                write!(f, "status {status}, {}", applied_text(applied))?;
                retry_after.iter().try_for_each(|after| write!(f, ", {after}"))
            }
            Self::CaptivePortal => f.write_str("response of a captive portal"),
            Self::Repeat { later } => write!(f, "repeated {later:?} later"),
            Self::StaleCache => f.write_str("response of a stale cache"),
            Self::Gateway(gateway) => gateway.fmt(f),
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Portal => f.write_str("page of a portal"),
            Self::Redirect => f.write_str("redirect to a portal"),
            Self::Status { status, retry_after } => {
                write!(f, "a gateway responds {status}")?;
                retry_after.iter().try_for_each(|after| write!(f, ", {after}"))
            }
            Self::BodyLimit { bytes, status } => {
                write!(f, "a gateway responds {status} to bodies above {bytes} bytes")
            }
            Self::DropBody => f.write_str("a proxy drops the body"),
            Self::IgnoreQuery => f.write_str("a cache ignores the query"),
            Self::StaleNotFound => f.write_str("a cache responds 404"),
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
            Self::Partition(duration) => write!(f, "network partition for {duration:?}"),
            Self::ResetConnections => f.write_str("every connection is reset"),
            Self::Gateway(gateway, duration) => write!(f, "for {duration:?}: {gateway}"),
            Self::PinConnections(duration) => {
                write!(f, "every connection leads to a broken backend for {duration:?}")
            }
            Self::SilenceIdle => f.write_str("every idle connection is lost without a sign"),
            Self::Retention => f.write_str("the older half of every stream is dropped"),
            Self::Recreate => f.write_str("every stream is deleted and created again"),
            Self::Suspend(duration) => write!(f, "every computer is suspended for {duration:?}"),
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
