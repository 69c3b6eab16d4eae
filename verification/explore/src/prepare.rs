//! Sets up the streams of a scenario directly at the server, and closes them at the end.

use crate::context::RunContext;
use crate::record_log::{RecordId, record};
use crate::scenario::{Expiry, Scenario};
use bytes::Bytes;
use durable_streams_contract::Timer;
use durable_streams_sim::model::{Handled, Moment};
use durable_streams_sim::{SimServer, World};
use http::{Request, Response, request::Builder};
use std::time::{Duration, SystemTime};

/// The writer number of records that exist before the run.
const NOBODY: usize = 99;

/// The most filler bytes of these records.
const FILLING: usize = 14;

impl Scenario {
    /// The records that a stream has at the start.
    pub(crate) fn first_records(&self, stream: usize) -> Vec<RecordId> {
        let records = 0..self.initial_states[stream].records;
        records.map(|number| RecordId { writer: NOBODY, run: stream, number }).collect()
    }
}

/// Creates the streams, before any fault.
pub(crate) fn prepare(scenario: &Scenario, world: &World) {
    let at = Moment { elapsed: Duration::ZERO, wall: world.runtime().wall_time() };
    let server = world.server();
    for number in 0..scenario.streams.len() {
        make(scenario, number, &server, at);
    }
}

fn make(scenario: &Scenario, number: usize, server: &SimServer, at: Moment) {
    let (beginning, content) = (&scenario.initial_states[number], scenario.streams[number]);
    let put = |path: &str| Request::put(url(path)).header("content-type", content.content_type());
    let mut creation = put(&Scenario::path(number));
    creation = match beginning.expiry {
        Expiry::Never => creation,
        Expiry::Idle => creation.header("stream-ttl", "3600"),
        Expiry::At(after) => creation.header("stream-expires-at", date(at.wall + after)),
    };
    let records = scenario.first_records(number).into_iter();
    let records: Vec<Bytes> = records.map(|id| record(content, id, id.number * 7 % FILLING)).collect();
    let append = |path: &str, record: Bytes| {
        let answer =
            ask(server, Request::post(url(path)).header("content-type", content.content_type()), record, at);
        answer.and_then(|answer| answer.headers().get("stream-next-offset").cloned())
    };
    if !beginning.fork {
        ask(server, creation, Bytes::new(), at);
        for record in records {
            append(&Scenario::path(number), record);
        }
        return;
    }
    // The source gets more records after the fork, and is then deleted. The fork's users must not notice.
    let source = format!("{}-source", Scenario::path(number));
    ask(server, put(&source), Bytes::new(), at);
    let mut fork_at = None;
    for record in records {
        fork_at = append(&source, record);
    }
    append(&source, record(content, RecordId { writer: NOBODY, run: number, number: NOBODY }, FILLING));
    if let Some(offset) = fork_at {
        creation = creation.header("stream-forked-from", &source).header("stream-fork-offset", offset);
    }
    ask(server, creation, Bytes::new(), at);
    ask(server, Request::delete(url(&source)), Bytes::new(), at);
}

/// Closes a stream.
pub(crate) fn close(context: &RunContext, number: usize) {
    let at = Moment { elapsed: context.runtime.elapsed(), wall: context.runtime.wall_time() };
    let closing = Request::post(url(&Scenario::path(number))).header("stream-closed", "true");
    ask(&context.server, closing, Bytes::new(), at);
}

fn ask(server: &SimServer, request: Builder, body: Bytes, at: Moment) -> Option<Response<Bytes>> {
    let request = request.body(body).ok()?;
    match server.with(|model| model.handle(&request, at)) {
        Handled::Answer(answer) => Some(answer),
        _ => None,
    }
}

fn url(path: &str) -> String {
    format!("http://server{path}")
}

/// A time as RFC 3339.
fn date(time: SystemTime) -> String {
    durable_streams::DateTime::<durable_streams::Utc>::from(time).to_rfc3339()
}
