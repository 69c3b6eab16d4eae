//! The errors that the connectors have in common.

use durable_streams_contract::{TransportError, TransportErrorKind};
use std::net::SocketAddr;

/// The error of a failed resolution.
pub(super) fn dns_error(error: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Dns).with_message(error.to_string()).with_source(error)
}

/// The error of a failed connection attempt.
pub(super) fn connect_error(address: SocketAddr, error: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Connect)
        .with_message(format!("{address}: {error}"))
        .with_source(error)
}
