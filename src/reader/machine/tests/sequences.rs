//! Answers, one after the other, and what is asked for then.

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

/// Takes all that there is, and returns what is asked for then.
fn asks(machine: &mut Machine, now: Instant) -> RequestKind {
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

/// A tail by long-poll, up to its first long-poll.
fn tail(now: Instant) -> Machine {
    let mut machine = machine(options(LiveMode::LongPoll), None, now);
    assert_eq!(asks(&mut machine, now), RequestKind::Page);
    answer(&mut machine, 200, &[("content-type", "text/plain"), ("stream-next-offset", "a")], now);
    machine.on_body_end(now);
    assert_eq!(asks(&mut machine, now), RequestKind::LongPoll);
    machine
}

#[test]
fn a_long_poll_without_news_is_at_the_tail_though_nothing_says_so() {
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
            assert_eq!(asks(&mut machine, now), RequestKind::LongPoll);
        }
    }
    // But not where the tail has moved on.
    let mut now = Instant::now();
    let mut machine = tail(now);
    now += Duration::from_secs(30);
    answer(&mut machine, 204, &[("stream-next-offset", "b"), ("stream-up-to-date", "true")], now);
    machine.on_body_end(now);
    assert_eq!(asks(&mut machine, now), RequestKind::Page);
}

#[test]
fn a_long_poll_that_is_held_for_too_long_is_no_failure() {
    let mut now = Instant::now();
    let mut machine = tail(now);
    for _ in 0..10 {
        now += MINUTE;
        machine.on_request_failed(TransportError::new(TransportErrorKind::Timeout).into(), now);
        assert_eq!(asks(&mut machine, now), RequestKind::Page);
        answer(&mut machine, 200, &[("stream-next-offset", "a")], now);
        machine.on_body_end(now);
        assert_eq!(asks(&mut machine, now), RequestKind::LongPoll);
    }
    // One that was not waited for that long is.
    machine.on_request_failed(TransportError::new(TransportErrorKind::Timeout).into(), now);
    assert!(matches!(machine.next_action(now), Action::Wait));
}

#[test]
fn an_idle_timeout_too_long_to_count_never_fires() {
    let now = Instant::now();
    let forever = Options { idle_timeout: Duration::MAX, ..options(LiveMode::Off) };
    let mut machine = machine(forever, None, now);
    asks(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    assert_eq!(machine.deadline(), None);
    machine.on_deadline(now + 100 * MINUTE);
    assert!(matches!(machine.next_action(now), Action::Receive));
}

#[test]
fn an_answer_without_a_type_is_of_the_one_that_the_handle_knows() {
    let now = Instant::now();
    let mut machine = machine(options(LiveMode::Off), Some("application/json"), now);
    asks(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    machine.on_bytes(Bytes::from_static(b"[1,2]"), now);
    machine.on_body_end(now);
    let chunk = machine.take_chunk().unwrap();
    assert_eq!(chunk.data, "[1,2]");
    assert_eq!(machine.content_type(), Some("application/json"));
    assert_eq!(machine.status().unit, Unit::Messages);
}

#[test]
fn a_type_may_be_told_with_the_first_content_only() {
    let now = Instant::now();
    let mut machine = machine(options(LiveMode::Auto), None, now);
    asks(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "a"), ("content-length", "0")], now);
    machine.on_body_end(now);
    assert_eq!(asks(&mut machine, now), RequestKind::LongPoll);
    // Nothing that an append would have to say is known yet.
    assert_eq!(machine.content_type(), None);
    let json = [("content-type", "application/json"), ("stream-next-offset", "b")];
    answer(&mut machine, 200, &json, now);
    machine.on_bytes(Bytes::from_static(b"[1,2]"), now);
    machine.on_body_end(now);
    let chunk = machine.take_chunk().unwrap();
    assert_eq!((chunk.data.as_ref(), chunk.unit), (b"[1,2]".as_ref(), Unit::Messages));

    // Once there was content, another one is another stream's.
    let mut machine = tail(now);
    answer(&mut machine, 200, &json, now);
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
    let mut machine = super::sequences::machine(options(LiveMode::LongPoll), None, now);
    asks(&mut machine, now);
    answer(&mut machine, 200, &[("stream-next-offset", "b")], now);
    machine.on_bytes(Bytes::from_static(b"1"), now);
    machine.on_body_end(now);
    assert_eq!(asks(&mut machine, now), RequestKind::Page);
    assert_eq!(machine.content_type(), Some("application/octet-stream"));
    answer(&mut machine, 200, &[("content-type", "application/json"), ("stream-next-offset", "c")], now);
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
}

#[test]
fn a_handler_that_panics_ends_the_reader() {
    let now = Instant::now();
    let options = Options {
        on_error: Some(Arc::new(|_: &StreamError| -> ErrorAction { panic!("in the application") })),
        ..options(LiveMode::Off)
    };
    let mut machine = machine(options, None, now);
    asks(&mut machine, now);
    let refused = AssertUnwindSafe(|| machine.on_request_failed(StreamError::Unauthorized.into(), now));
    assert!(catch_unwind(refused).is_err());
    assert!(matches!(machine.next_action(now), Action::Fail(_)));
    assert!(matches!(machine.next_action(now), Action::End));
}
