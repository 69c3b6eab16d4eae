use super::{Error, StreamError};
use durable_streams_contract::{TransportError, TransportErrorKind};
use std::error::Error as _;
use std::io;

#[test]
fn debug_output_leaves_out_unknown_fields() {
    let error = Error::from(StreamError::Unauthorized);
    assert_eq!(format!("{error:?}"), "Error { kind: Unauthorized }");
    let error = error.with_operation("append").with_attempts(3);
    assert_eq!(format!("{error:?}"), r#"Error { kind: Unauthorized, operation: "append", attempts: 3 }"#);
}

#[test]
fn network_error_keeps_its_cause_as_source_of_error_and_of_kind() {
    let cause = io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer");
    let transport = TransportError::new(TransportErrorKind::Closed).with_source(cause);
    let error = Error::from(transport);
    for source in [error.source(), error.kind().source()] {
        let cause = source.and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn client_error_has_its_own_status() {
    let kind = StreamError::ClientError { status: 418, message: "teapot".into() };
    assert_eq!(kind.status_code(), Some(418));
    assert!(!kind.is_retryable());
    assert_eq!(kind.to_string(), "request refused: 418 - teapot");
    assert_eq!(StreamError::BadRequest { message: String::new() }.status_code(), Some(400));
}

#[test]
fn io_error_has_the_closest_kind_and_the_whole_text() {
    let url = "http://h/s".to_owned();
    let cases = [
        (StreamError::NotFound { url }, io::ErrorKind::NotFound),
        (StreamError::Forbidden, io::ErrorKind::PermissionDenied),
        (StreamError::Timeout, io::ErrorKind::TimedOut),
        (StreamError::config("url", "x", "not absolute"), io::ErrorKind::InvalidInput),
        (StreamError::protocol("no offset"), io::ErrorKind::InvalidData),
        (TransportError::new(TransportErrorKind::Truncated).into(), io::ErrorKind::UnexpectedEof),
        (StreamError::store(io::ErrorKind::StorageFull.into()), io::ErrorKind::StorageFull),
        (StreamError::RateLimited { retry_after: None }, io::ErrorKind::Other),
    ];
    for (kind, expected) in cases {
        let error = Error::from(kind).with_operation("append");
        let text = error.to_string();
        let converted = io::Error::from(error);
        assert_eq!((converted.kind(), converted.to_string()), (expected, text));
    }
}
