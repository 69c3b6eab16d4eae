//! Sequences of responses, and the requests between them.

use crate::error::StreamError;
use crate::exchange::error_action::ErrorAction;
use crate::offset::Offset;
use crate::reader::machine::{Action, Machine, RequestKind};
use crate::reader::options::{LiveMode, Options};
use crate::reader::position::Unit;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use http::{HeaderName, HeaderValue, StatusCode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

fn options(live: LiveMode) -> Options {
    Options {
        connection_status: crate::ConnectionStatus::new(),
        event_timeout: Duration::from_secs(120),
        live,
        on_error: None,
        retry: crate::RetryConfig { max_retries: Some(3), ..crate::RetryConfig::default() },
        max_chunk_bytes: 1 << 20,
        max_event_bytes: 1 << 20,
        idle_timeout: MINUTE,
        if_none_match: None,
    }
}

fn machine(options: Options, assumed_type: Option<&str>, now: Instant) -> Machine {
    let start = Offset::parse("a").into();
    Machine::new(options, "http://h/s".into(), &start, assumed_type.map(str::to_owned), now, 1)
}

/// Takes all content, and returns the kind of the next request.
fn next_request(machine: &mut Machine, now: Instant) -> RequestKind {
    loop {
        while machine.take_chunk().is_some() {}
        match machine.next_action(now) {
            Action::Take => {}
            Action::Receive if machine.on_input_exhausted() => {}
            Action::Send(request) => return request.kind,
            other => panic!("{other:?}"),
        }
    }
}

fn answer(machine: &mut Machine, status: u16, fields: &[(&'static str, &'static str)], now: Instant) {
    let fields =
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    machine.on_response(StatusCode::from_u16(status).unwrap(), &fields.collect(), now);
}

/// A reader in `LongPoll`, up to its first long-poll.
fn tail(now: Instant) -> Machine {
    let mut machine = machine(options(LiveMode::LongPoll), None, now);
    assert_eq!(next_request(&mut machine, now), RequestKind::Page);
    answer(&mut machine, 200, &[("content-type", "text/plain"), ("stream-next-offset", "a")], now);
    machine.on_body_end(now);
    assert_eq!(next_request(&mut machine, now), RequestKind::LongPoll);
    machine
}

#[test]
fn empty_long_poll_without_up_to_date_is_at_the_tail() {
    for (status, fields) in [
        (204, vec![("stream-next-offset", "a")]),
        (200, vec![("stream-next-offset", "a"), ("content-type", "text/plain")]),
    ] {
        let mut now = Instant::now();
        let mut machine = tail(now);
        for _ in 0..300 {
            now += Duration::from_secs(30);
            answer(&mut machine, status, &fields, now);
            machine.on_body_end(now);
            assert_eq!(next_request(&mut machine, now), RequestKind::LongPoll);
        }
    }
    // If the tail has moved on, a plain request follows.
    let mut now = Instant::now();
    let mut machine = tail(now);
    now += Duration::from_secs(30);
    answer(&mut machine, 204, &[("stream-next-offset", "b"), ("stream-up-to-date", "true")], now);
    machine.on_body_end(now);
    assert_eq!(next_request(&mut machine, now), RequestKind::Page);
}

#[test]
fn long_poll_held_beyond_idle_timeout_is_not_a_failure() {
    let mut now = Instant::now();
    let mut machine = tail(now);
    for _ in 0..10 {
        now += MINUTE;
        machine.on_request_failed(TransportError::new(TransportErrorKind::Timeout).into(), now);
        assert_eq!(next_request(&mut machine, now), RequestKind::Page);
        answer(&mut machine, 200, &[("stream-next-offset", "a")], now);
        machine.on_body_end(now);
        assert_eq!(next_request(&mut machine, now), RequestKind::LongPoll);
    }
    // A timeout before that is a failure.
    machine.on_request_failed(TransportError::new(TransportErrorKind::Timeout).into(), now);
    assert!(matches!(machine.next_action(now), Action::Wait));
}

#[test]
fn idle_timeout_beyond_the_clock_never_fires() {
    let now = Instant::now();
    let forever = Options { idle_timeout: Duration::MAX, ..options(LiveMode::Off) };
    let mut machine = machine(forever, None, now);
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    assert_eq!(machine.deadline(), None);
    machine.on_deadline(now + 100 * MINUTE);
    assert!(matches!(machine.next_action(now), Action::Receive));
}

#[test]
fn response_without_type_has_the_type_of_the_handle() {
    let now = Instant::now();
    let mut machine = machine(options(LiveMode::Off), Some("application/json"), now);
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    machine.on_bytes(Bytes::from_static(b"[1,2]"), now);
    machine.on_body_end(now);
    let chunk = machine.take_chunk().unwrap();
    assert_eq!(chunk.data, "[1,2]");
    assert_eq!(machine.content_type(), Some("application/json"));
    assert_eq!(machine.status().unit, Unit::Messages);
}

#[test]
fn content_without_type_behind_a_count_of_messages_is_json() {
    let now = Instant::now();
    let start: crate::Checkpoint = "a,m1".parse().unwrap();
    let mut machine = Machine::new(options(LiveMode::Off), "http://h/s".into(), &start, None, now, 1);
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    machine.on_bytes(Bytes::from_static(b"[1,2]"), now);
    machine.on_body_end(now);
    assert_eq!(machine.take_chunk().unwrap().data, "[2]");
    // The type that the next response states is no other one.
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("content-type", "application/json"), ("stream-next-offset", "c")], now);
    assert!(matches!(machine.next_action(now), Action::Receive));
    assert_eq!(machine.content_type(), Some("application/json"));
}

#[test]
fn content_type_may_arrive_with_first_content() {
    let now = Instant::now();
    let mut machine = machine(options(LiveMode::Auto), None, now);
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "a"), ("content-length", "0")], now);
    machine.on_body_end(now);
    assert_eq!(next_request(&mut machine, now), RequestKind::LongPoll);
    // The type that appends need is not known yet.
    assert_eq!(machine.content_type(), None);
    let json = [("content-type", "application/json"), ("stream-next-offset", "b")];
    answer(&mut machine, 200, &json, now);
    machine.on_bytes(Bytes::from_static(b"[1,2]"), now);
    machine.on_body_end(now);
    let chunk = machine.take_chunk().unwrap();
    assert_eq!((chunk.data.as_ref(), chunk.unit), (b"[1,2]".as_ref(), Unit::Messages));

    // After content, another type means that the stream was recreated.
    let mut machine = tail(now);
    answer(&mut machine, 200, &json, now);
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
    let mut machine = super::sequences::machine(options(LiveMode::LongPoll), None, now);
    next_request(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    machine.on_bytes(Bytes::from_static(b"1"), now);
    machine.on_body_end(now);
    assert_eq!(next_request(&mut machine, now), RequestKind::Page);
    assert_eq!(machine.content_type(), Some("application/octet-stream"));
    answer(&mut machine, 200, &[("content-type", "application/json"), ("stream-next-offset", "c")], now);
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
}

#[test]
fn panic_in_error_handler_ends_the_reader() {
    let now = Instant::now();
    let options = Options {
        on_error: Some(Arc::new(|_: &StreamError| -> ErrorAction { panic!("in the application") })),
        ..options(LiveMode::Off)
    };
    let mut machine = machine(options, None, now);
    next_request(&mut machine, now);
    let refused = AssertUnwindSafe(|| machine.on_request_failed(StreamError::Unauthorized.into(), now));
    assert!(catch_unwind(refused).is_err());
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
    assert!(matches!(machine.next_action(now), Action::End));
}
