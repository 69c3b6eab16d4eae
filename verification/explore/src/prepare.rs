//! What the server is told behind the applications' backs: the streams of a plan, and that they end.

use crate::ledger::{RecordId, record};
use crate::plan::{Expiry, Plan};
use crate::stage::Stage;
use bytes::Bytes;
use durable_streams_contract::Timer;
use durable_streams_sim::model::{Handled, Moment};
use durable_streams_sim::{SimServer, World};
use http::{Request, Response, request::Builder};
use std::time::{Duration, SystemTime};

/// Of the records that are there before anybody writes.
const NOBODY: usize = 99;

/// Longest filling of these records.
const FILLING: usize = 14;

impl Plan {
    /// The records that a stream has when the day begins.
    pub(crate) fn first_records(&self, stream: usize) -> Vec<RecordId> {
        let records = 0..self.beginnings[stream].records;
        records.map(|number| RecordId { writer: NOBODY, run: stream, number }).collect()
    }
}

/// Makes the streams, before anything goes wrong.
pub(crate) fn prepare(plan: &Plan, world: &World) {
    let at = Moment { elapsed: Duration::ZERO, wall: world.runtime().wall_time() };
    let server = world.server();
    for number in 0..plan.streams.len() {
        make(plan, number, &server, at);
    }
}

fn make(plan: &Plan, number: usize, server: &SimServer, at: Moment) {
    let (beginning, content) = (&plan.beginnings[number], plan.streams[number]);
    let put = |path: &str| Request::put(url(path)).header("content-type", content.content_type());
    let mut creation = put(&Plan::path(number));
    creation = match beginning.expiry {
        Expiry::Never => creation,
        Expiry::Idle => creation.header("stream-ttl", "3600"),
        Expiry::At(after) => creation.header("stream-expires-at", date(at.wall + after)),
    };
    let records = plan.first_records(number).into_iter();
    let records: Vec<Bytes> = records.map(|id| record(content, id, id.number * 7 % FILLING)).collect();
    let append = |path: &str, record: Bytes| {
        let answer =
            ask(server, Request::post(url(path)).header("content-type", content.content_type()), record, at);
        answer.and_then(|answer| answer.headers().get("stream-next-offset").cloned())
    };
    if !beginning.fork {
        ask(server, creation, Bytes::new(), at);
        for record in records {
            append(&Plan::path(number), record);
        }
        return;
    }
    // The source goes on after the fork's beginning, and then it is deleted: nobody has to notice.
    let source = format!("{}-source", Plan::path(number));
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
pub(crate) fn close(stage: &Stage, number: usize) {
    let at = Moment { elapsed: stage.runtime.elapsed(), wall: stage.runtime.wall_time() };
    let closing = Request::post(url(&Plan::path(number))).header("stream-closed", "true");
    ask(&stage.server, closing, Bytes::new(), at);
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

/// As RFC 3339 has it.
fn date(time: SystemTime) -> String {
    durable_streams::DateTime::<durable_streams::Utc>::from(time).to_rfc3339()
}
