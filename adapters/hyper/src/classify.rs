//! What an error of hyper or of a socket means.

use durable_streams_contract::{Sent, TransportError, TransportErrorKind as Kind};
use std::error::Error;
use std::fmt;
use std::io::ErrorKind as Io;

/// The runtime of a connection has shut down. Travels inside an I/O error.
#[derive(Debug)]
pub(crate) struct RuntimeGone;

impl fmt::Display for RuntimeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime of this transport has shut down")
    }
}

impl Error for RuntimeGone {}

/// Where in the exchange the error came up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Head,
    Body,
}

/// The transport's error for one of hyper. `sent` is what the caller knows about the request.
pub(crate) fn classify(error: hyper::Error, phase: Phase, sent: Sent) -> TransportError {
    let kind = chain(&error).find_map(|error| kind_of(error, phase)).unwrap_or(Kind::Other);
    let root = chain(&error).last().map(ToString::to_string).unwrap_or_default();
    TransportError::new(kind).with_sent(sent).with_message(root).with_source(error)
}

pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<std::io::Error>() {
        // An `io::Error` around another error hides it: its `source` is the inner one's source.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn kind_of(error: &(dyn Error + 'static), phase: Phase) -> Option<Kind> {
    let cut_short = if phase == Phase::Body { Kind::Truncated } else { Kind::Closed };
    if error.is::<RuntimeGone>() {
        return Some(Kind::Runtime);
    }
    #[cfg(feature = "http2")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return Some(match error.reason() {
            // Found by this side: what the server sent is not HTTP/2.
            Some(_) if !error.is_remote() => Kind::Malformed,
            Some(_) => cut_short,
            None => return None,
        });
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse() {
            Some(Kind::Malformed)
        } else if error.is_incomplete_message() {
            Some(cut_short)
        } else if error.is_timeout() {
            Some(Kind::Timeout)
        } else if error.is_canceled() || error.is_closed() {
            Some(Kind::Closed)
        } else {
            None
        };
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    match io.kind() {
        // Inside of it is an error that says more.
        _ if io.get_ref().is_some_and(|inner| inner.is::<RuntimeGone>()) => None,
        Io::UnexpectedEof => Some(cut_short),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::NotConnected => Some(Kind::Closed),
        Io::TimedOut => Some(Kind::Timeout),
        Io::InvalidData | Io::InvalidInput => Some(Kind::Malformed),
        _ => None,
    }
}

/// Whether the server says that it has not processed the request: a refused stream, or one beyond the last that it took
/// before it goes away (RFC 9113, sections 6.8 and 8.7).
#[cfg(feature = "http2")]
pub(crate) fn unprocessed(error: &hyper::Error) -> Option<Unprocessed> {
    let error = chain(error).find_map(|error| error.downcast_ref::<h2::Error>())?;
    if !error.is_remote() {
        None
    } else if error.is_go_away() {
        Some(Unprocessed::GoAway)
    } else if error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        Some(Unprocessed::Refused)
    } else {
        None
    }
}

/// How a server said that it has not processed a request.
#[cfg(feature = "http2")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unprocessed {
    /// The connection takes no more requests; another one may.
    GoAway,
    /// The server takes no more requests for now.
    Refused,
}
