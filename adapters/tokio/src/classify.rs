use durable_streams_contract::{Sent, TransportError, TransportErrorKind as Kind};
use std::error::Error;
use std::io::ErrorKind as Io;

/// Where in the exchange the error came up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Head,
    Body,
}

/// What an error of reqwest means. Its URL is taken out: the client names it, and a query may hold secrets.
pub(crate) fn classify(error: reqwest::Error, phase: Phase) -> TransportError {
    let error = error.without_url();
    let connecting = error.is_connect();
    let unprocessed = phase == Phase::Head && is_unprocessed(&error);
    let kind = if error.is_builder() {
        Kind::InvalidRequest
    } else if error.is_dns() {
        Kind::Dns
    } else if error.is_timeout() {
        Kind::Timeout
    } else if connecting {
        if chain(&error).any(refused_by_tls) {
            Kind::Tls
        } else if chain(&error).any(without_tls) {
            Kind::Unsupported
        } else {
            Kind::Connect
        }
    } else if unprocessed {
        Kind::Closed
    } else {
        chain(&error).find_map(|error| exchange(error, phase)).unwrap_or(match phase {
            Phase::Body if error.is_decode() => Kind::Malformed,
            _ => Kind::Other,
        })
    };
    let mut root = chain(&error).last().map(ToString::to_string).unwrap_or_default();
    // The errors of rustls and OpenSSL for a response that is not TLS.
    if kind == Kind::Tls && ["InvalidContentType", "wrong version number"].iter().any(|e| root.contains(e)) {
        root.push_str("; does this port speak http, without TLS?");
    }
    let has_no_effect = connecting || unprocessed || TransportError::new(kind).sent() == Sent::No;
    let sent = if has_no_effect { Sent::No } else { Sent::Maybe };
    TransportError::new(kind).with_sent(sent).with_message(root).with_source(error)
}

/// Whether the server says that it has not processed the request: a refused stream, or one beyond the last that it took
/// before it goes away (RFC 9113, sections 6.8 and 8.7).
#[cfg(feature = "http2")]
fn is_unprocessed(error: &reqwest::Error) -> bool {
    let error = chain(error).find_map(|error| error.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

#[cfg(not(feature = "http2"))]
fn is_unprocessed(_: &reqwest::Error) -> bool {
    false
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<std::io::Error>() {
        // An `io::Error` around another error hides it: its `source` is the inner one's source.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// While connecting: the peer was reached and the handshake refused, for a reason that stays.
fn refused_by_tls(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "native-tls")]
    if error.is::<native_tls::Error>() {
        // Below a broken connection is an I/O error; for its plain end and for an alert OpenSSL has only a text.
        let passing = [
            "unexpected EOF",
            "the SSL session has been shut down",
            "alert internal error",
            "alert user cancel",
        ];
        let text = error.to_string();
        return !chain(error).any(|inner| inner.is::<std::io::Error>())
            && !passing.iter().any(|passing| text.contains(passing));
    }
    // rustls reports a bad certificate or an alert as invalid data, and a lost connection with its own kind.
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|io| io.kind() == Io::InvalidData && io.get_ref().is_some() && !may_pass(io))
}

/// Whether the peer ended the handshake for a reason that may pass: it failed, or gave up (RFC 8446, section 6).
#[cfg(feature = "rustls")]
fn may_pass(error: &std::io::Error) -> bool {
    use rustls::AlertDescription::{CloseNotify, InternalError, UserCanceled};
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::AlertReceived(CloseNotify | InternalError | UserCanceled)))
}

#[cfg(not(feature = "rustls"))]
fn may_pass(_: &std::io::Error) -> bool {
    false
}

/// An https URL on a client that was built without TLS. Only the text of hyper's error shows it.
fn without_tls(error: &(dyn Error + 'static)) -> bool {
    error.to_string() == "invalid URL, scheme is not http"
}

/// Once connected.
fn exchange(error: &(dyn Error + 'static), phase: Phase) -> Option<Kind> {
    let cut_short = if phase == Phase::Body { Kind::Truncated } else { Kind::Closed };
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse() {
            Some(Kind::Malformed)
        } else if error.is_incomplete_message() {
            Some(cut_short)
        } else if error.is_canceled() || error.is_closed() {
            Some(Kind::Closed)
        } else {
            None
        };
    }
    match error.downcast_ref::<std::io::Error>()?.kind() {
        Io::UnexpectedEof => Some(cut_short),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::NotConnected => Some(Kind::Closed),
        Io::InvalidData | Io::InvalidInput => Some(Kind::Malformed),
        _ => None,
    }
}
