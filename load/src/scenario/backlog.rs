//! A backlog as server-sent events.
//!
//! The server writes the whole backlog into one event, and sends its first byte when it has all of it: that
//! time is in both figures.

use super::{after_the_clock, client};
use crate::Result;
use crate::args::Args;
use crate::content::{JsonChecker, Record};
use crate::meter::{Meter, reset_peak};
use crate::raw::{Raw, RawBody};
use crate::report::Measured;
use crate::server::Server;
use crate::stack::Stack;
use durable_streams::LiveMode;

pub(super) async fn json<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.filled_json(args.count, args.size)?;
    let mut checker = JsonChecker::new(args.size);
    reset_peak();
    let meter;
    if args.raw {
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
        let handle = client::<S>()?.stream(stream.url());
        meter = Meter::start();
        let mut records = handle.reader().live(LiveMode::Sse).json::<Record<String>>().await?;
        for _ in 0..args.count {
            let record = records.next().await.ok_or("a live reader came to an end")?;
            checker.check(&record?)?;
        }
    }
    let measured = after_the_clock(args, &meter);
    checker.finish(args.count)?;
    Ok(measured)
}

/// The last event is complete, and says that nothing is left.
fn is_up_to_date(events: &[u8]) -> bool {
    let tail = &events[events.len().saturating_sub(400)..];
    events.ends_with(b"\n\n") && memchr::memmem::find(tail, b"\"upToDate\":true").is_some()
}
