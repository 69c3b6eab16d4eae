//! A backlog as server-sent events.
//!
//! The Rust server writes the whole backlog into one event, and sends its first byte when it has all of it: that
//! time is in both figures. The reader takes no event above its limit, and continues with plain requests. The report
//! lists the requests.

use super::common::{ClientOn, measured};
use crate::Result;
use crate::args::{Args, Live};
use crate::content::{JsonChecker, Record};
use crate::meter::{Meter, reset_peak};
use crate::raw::{Raw, RawBody};
use crate::report::Measured;
use crate::server::Server;
use crate::stack::Stack;
use bytes::Bytes;
use durable_streams::contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, TransportError, TransportOptions, async_trait,
};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) async fn json<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.filled_json(args.count, args.size)?;
    let mut checker = JsonChecker::new(args.size);
    reset_peak();
    let meter;
    let road = Road::default();
    if args.raw {
        if args.live != Live::Sse {
            return Err("without the client this scenario reads server-sent events only".into());
        }
        let http = S::Raw::new()?;
        meter = Meter::start();
        let (mut body, _) = http.get(&format!("{}?live=sse&offset=-1", stream.url())).await?;
        let mut events = Vec::new();
        while !is_up_to_date(&events) {
            if !body.advance().await? {
                return Err("the server ended a stream of events".into());
            }
            events.extend_from_slice(body.piece());
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &events) {
            if let Some(data) = events[start..end].strip_prefix(b"data:[") {
                // With the bracket, which control events do not have.
                let array = &events[end - data.len() - 1..end];
                let records: Vec<Record<String>> = serde_json::from_slice(array)?;
                for record in &records {
                    checker.check(record)?;
                }
            }
            start = end + 1;
        }
    } else {
        let transport = S::Transport::from_options(&TransportOptions::default())?;
        let client =
            ClientOn::<S>::builder().transport(Recording { transport, road: road.clone() }).build()?;
        let handle = client.stream(stream.url());
        meter = Meter::start();
        let mut reader = handle.reader().live(args.live.mode());
        if let Some(limit) = args.max_event_bytes {
            reader = reader.max_event_bytes(limit);
        }
        let mut records = reader.json::<Record<String>>().await?;
        for _ in 0..args.count {
            let record = records.next().await.ok_or("a live reader came to an end")?;
            checker.check(&record?)?;
        }
    }
    let mut measured = measured(args, &meter);
    measured.road = (!args.raw).then(|| road.tell());
    checker.finish(args.count)?;
    Ok(measured)
}

/// What was asked for: the live mode of each request, or `get`, or `head`.
#[derive(Clone, Default)]
struct Road(Arc<Mutex<Vec<String>>>);

impl Road {
    fn note(&self, request: &http::Request<Bytes>) {
        let query = request.uri().query().unwrap_or_default();
        let live = query.split('&').find_map(|pair| pair.strip_prefix("live="));
        let name = live.map_or_else(|| request.method().as_str().to_lowercase(), str::to_owned);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    fn tell(&self) -> String {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = names.chunk_by(|one, next| one == next);
        runs.map(|run| format!("{} x{}", run[0], run.len())).collect::<Vec<_>>().join(", ")
    }
}

/// The stack's transport, and a note of each request.
struct Recording<T> {
    transport: T,
    road: Road,
}

#[async_trait]
impl<T: HttpTransport> HttpTransport for Recording<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> std::result::Result<http::Response<Body>, TransportError> {
        self.road.note(&request);
        self.transport.send(request, options).await
    }
}

/// The last event is complete, and reports that nothing is left.
fn is_up_to_date(events: &[u8]) -> bool {
    let tail = &events[events.len().saturating_sub(400)..];
    events.ends_with(b"\n\n") && memchr::memmem::find(tail, b"\"upToDate\":true").is_some()
}
