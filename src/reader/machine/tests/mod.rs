//! Tests of the machine without a driver: each calls inputs, and checks the outputs.

mod content;
mod failures;
mod lenient_servers;
mod request_choice;
mod responses;
mod sequences;

use super::catch_up::MAX_EMPTY_PAGES;
use super::inputs::{SSE_FIRST_BYTE_TIMEOUT, SSE_HEAD_TIMEOUT};
use super::next_action::MAX_DRAIN_TIME;
use super::sse_health::MIN_HEALTHY_LIFETIME;
use super::{Action, Machine, Request, RequestKind};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorAction;
use crate::offset::Offset;
use crate::reader::options::{LiveMode, Options};
use crate::reader::output::Chunk;
use crate::retry::OPERATION_BUDGET;
use bytes::Bytes;
use durable_streams_contract::{TransportError, TransportErrorKind};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const BINARY: &str = "application/octet-stream";

/// A seed whose first dozens of random numbers are not zero.
const RANDOM: u64 = 0x9E37_79B9_7F4A_7C15;

/// A machine, and a clock that only `advance` moves.
struct Rig {
    machine: Machine,
    now: Instant,
    content_type: &'static str,
}

/// An output of the machine.
#[derive(Debug)]
enum Step {
    Chunk(Chunk),
    Send(Request),
    /// Nothing is in flight until this time has passed.
    Wait(Duration),
    /// The request or body in flight has to bring an input first.
    Receive,
    Fail(Error),
    End,
}

fn options(live: LiveMode) -> Options {
    Options {
        live,
        on_error: None,
        retry: crate::RetryConfig::default(),
        max_chunk_bytes: 1 << 20,
        max_event_bytes: 1 << 20,
        idle_timeout: Duration::from_secs(60),
        if_none_match: None,
        event_timeout: Duration::from_secs(120),
        connection_status: crate::ConnectionStatus::new(),
    }
}

impl Rig {
    /// A reader of a stream of this content type. Its handle does not know the type.
    fn new(options: Options, content_type: &'static str) -> Self {
        Self::starting(options, content_type, "a0", None)
    }

    /// The same, with a handle that knows the content type.
    fn with_known_type(options: Options, content_type: &'static str) -> Self {
        Self::starting(options, content_type, "a0", Some(content_type.to_owned()))
    }

    fn starting(
        options: Options,
        content_type: &'static str,
        start: &str,
        assumed_type: Option<String>,
    ) -> Self {
        let now = Instant::now();
        let start: Checkpoint = start.parse().unwrap();
        let machine = Machine::new(options, "http://h/s".into(), &start, assumed_type, now, RANDOM);
        Self { machine, now, content_type }
    }

    /// The next output that the driver acts on.
    fn step(&mut self) -> Step {
        loop {
            if let Some(chunk) = self.machine.take_chunk() {
                return Step::Chunk(chunk);
            }
            match self.machine.next_action(self.now) {
                Action::Take => {}
                Action::Receive if self.machine.on_input_exhausted() => {}
                Action::Receive => return Step::Receive,
                Action::Send(request) => return Step::Send(*request),
                Action::Wait => {
                    let until = self.machine.deadline().expect("a wait has a deadline");
                    return Step::Wait(until - self.now);
                }
                Action::Fail(error) => return Step::Fail(error),
                Action::End => return Step::End,
            }
        }
    }

    /// The next request. Waits until it is due.
    fn request(&mut self) -> Request {
        loop {
            match self.step() {
                Step::Send(request) => return request,
                Step::Wait(wait) => self.advance(wait),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The kind and the offset of the next request.
    fn requested(&mut self) -> (RequestKind, String) {
        let request = self.request();
        (request.kind, request.offset.to_string())
    }

    fn chunk(&mut self) -> Chunk {
        match self.step() {
            Step::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        }
    }

    /// The content and the checkpoint of the next chunk.
    fn taken(&mut self) -> (String, String) {
        let chunk = self.chunk();
        (String::from_utf8(chunk.data.to_vec()).unwrap(), chunk.checkpoint.to_string())
    }

    fn error(&mut self) -> Error {
        match self.step() {
            Step::Fail(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// The error of a response that cannot be the answer to its request, if it comes twice: the first one is repeated past
    /// all caches.
    fn error_of_repeated(&mut self, respond: impl Fn(&mut Self)) -> Error {
        respond(self);
        let again = self.request();
        assert_eq!(again.headers.get(header::CACHE_CONTROL).unwrap(), "no-cache");
        respond(self);
        self.error()
    }

    fn assert_receiving(&mut self) {
        let step = self.step();
        assert!(matches!(step, Step::Receive), "{step:?}");
    }

    /// Moves the clock.
    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.machine.on_deadline(self.now);
    }

    /// Moves the clock to the machine's deadline. Returns how far that was.
    fn advance_to_deadline(&mut self) -> Duration {
        let wait = self.machine.deadline().expect("there is a deadline") - self.now;
        self.advance(wait);
        wait
    }

    fn head(&mut self, status: u16, fields: &[(&str, &str)]) {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        self.machine.on_response(StatusCode::from_u16(status).unwrap(), &headers, self.now);
    }

    fn bytes(&mut self, text: &str) {
        self.machine.on_bytes(Bytes::copy_from_slice(text.as_bytes()), self.now);
    }

    fn end(&mut self) {
        self.machine.on_body_end(self.now);
    }

    /// The head of a page.
    fn page_head(&mut self, next: &str, flags: &[(&str, &str)]) {
        let fields = [&[("content-type", self.content_type), ("stream-next-offset", next)], flags].concat();
        self.head(200, &fields);
    }

    /// A whole page.
    fn page(&mut self, next: &str, flags: &[(&str, &str)], body: &str) {
        let length = body.len().to_string();
        self.page_head(next, &[&[("content-length", length.as_str())], flags].concat());
        if !body.is_empty() {
            self.bytes(body);
        }
        self.end();
    }

    /// The head of an event stream.
    fn sse_head(&mut self) {
        let encoding = if self.content_type == BINARY { "base64" } else { "" };
        self.head(200, &[("content-type", "text/event-stream"), ("stream-sse-data-encoding", encoding)]);
    }

    fn data(&mut self, data: &str) {
        self.bytes(&format!("event: data\ndata: {data}\n\n"));
    }

    fn control(&mut self, next: &str, more: &str) {
        self.bytes(&format!("event: control\ndata: {{\"streamNextOffset\":\"{next}\"{more}}}\n\n"));
    }

    fn fail_request(&mut self, kind: StreamError) {
        let status = kind.status_code().map(|status| StatusCode::from_u16(status).unwrap());
        self.machine.on_request_failed(Error::from(kind).edit(|context| context.status = status), self.now);
    }

    fn break_body(&mut self) {
        self.machine.on_body_broken(TransportError::new(TransportErrorKind::Closed), self.now);
    }

    /// A control event at the start offset.
    fn unchanged_control(&mut self) {
        self.control("a0", ",\"upToDate\":true");
    }

    /// Answers the plain request with which `Auto` begins, with an empty page at the tail.
    fn catch_up(&mut self) {
        assert_eq!(self.requested(), (RequestKind::Page, "a0".into()));
        let nothing = if self.content_type == JSON { "[]" } else { "" };
        self.page("a0", UP_TO_DATE, nothing);
        assert!(self.chunk().up_to_date);
    }
}

const UP_TO_DATE: &[(&str, &str)] = &[("stream-up-to-date", "true")];
const CLOSED: &[(&str, &str)] = &[("stream-closed", "true"), ("stream-up-to-date", "true")];

#[test]
fn state_is_small_enough_to_move() {
    let bytes = size_of::<super::state::State>();
    assert!(bytes <= 64, "{bytes} bytes are moved at each transition");
}

fn unavailable() -> StreamError {
    StreamError::ServerError { status: 503, message: "busy".into() }
}
