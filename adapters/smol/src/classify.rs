use durable_streams_contract::{Sent, TransportError, TransportErrorKind as Kind};
use isahc::error::ErrorKind;
use std::error::Error;

/// Where in the exchange the error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the response's head; whether the backstop had passed by then.
    Head {
        late: bool,
    },
    Body,
}

/// What an error of isahc means: libcurl's code where there is one, isahc's kind where not.
pub(crate) fn classify(error: isahc::Error, phase: Phase) -> TransportError {
    let code = error.source().and_then(|source| source.downcast_ref::<curl::Error>());
    let cut_short = if phase == Phase::Body { Kind::Truncated } else { Kind::Closed };
    let (kind, sent) = match error.kind() {
        ErrorKind::NameResolution => (Kind::Dns, Sent::No),
        ErrorKind::ConnectionFailed => (Kind::Connect, Sent::No),
        ErrorKind::BadServerCertificate
        | ErrorKind::BadClientCertificate
        | ErrorKind::InvalidTlsConfiguration
        | ErrorKind::TlsEngine => (Kind::Tls, Sent::No),
        ErrorKind::InvalidRequest => (Kind::InvalidRequest, Sent::No),
        // There are two deadlines: that of connecting, and the backstop.
        ErrorKind::Timeout if phase == (Phase::Head { late: false }) => (Kind::Timeout, Sent::No),
        ErrorKind::Timeout => (Kind::Timeout, Sent::Maybe),
        _ => (code.map_or(Kind::Other, |code| by_code(code, cut_short)), Sent::Maybe),
    };
    let mut message = code.map(|code| code.extra_description().unwrap_or(code.description()).to_owned());
    if kind == Kind::Connect && beyond_select() {
        message = Some(
            "this process has more than 1024 file descriptors open, and libcurl is likely built without poll: build \
             with CFLAGS=-DHAVE_POLL=1"
                .to_owned(),
        );
    }
    let classified = TransportError::new(kind).with_sent(sent);
    match message {
        Some(message) => classified.with_message(message).with_source(error),
        None => classified.with_source(error),
    }
}

/// Whether a descriptor that is opened now is beyond what `select` can wait for.
fn beyond_select() -> bool {
    #[cfg(unix)]
    return std::fs::File::open("/dev/null").is_ok_and(|file| std::os::fd::AsRawFd::as_raw_fd(&file) >= 1024);
    #[cfg(not(unix))]
    false
}

fn by_code(code: &curl::Error, cut_short: Kind) -> Kind {
    if code.is_partial_file() {
        cut_short
    } else if code.is_got_nothing()
        || code.is_send_error()
        // A connection that broke under a body, which libcurl would send again if it could.
        || code.is_send_fail_rewind()
    {
        Kind::Closed
    } else if code.is_recv_error() {
        // A reset, or an invalid chunk.
        match code.extra_description() {
            Some(text) if text.contains("chunk") || text.contains("encoding") => Kind::Malformed,
            _ => Kind::Closed,
        }
    } else {
        // The response is not HTTP, in any of a dozen ways.
        Kind::Malformed
    }
}

/// The same for a body, which wraps its errors.
pub(crate) fn classify_io(error: std::io::Error, phase: Phase) -> TransportError {
    if error.get_ref().is_some_and(|inner| inner.is::<isahc::Error>()) {
        return classify(isahc::Error::from(error), phase);
    }
    TransportError::new(Kind::Closed).with_source(error)
}
