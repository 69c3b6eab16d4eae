//! The log events of a producer.

use super::*;
use durable_streams_sim::{Fault, Incident, Schedule};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps every event of this crate as a line of text, and every span.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(&self, what: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| line.contains(what)).cloned().collect()
    }

    fn push(&self, mut line: Line, metadata: &Metadata<'_>) {
        write!(line.0, " [{} {}]", metadata.level(), metadata.name()).unwrap();
        self.0.lock().unwrap().push(line.0);
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("durable_streams::producer") || metadata.target() == "durable_streams"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::default();
        span.record(&mut line);
        self.push(line, span.metadata());
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.push(line, event.metadata());
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The events of one producer until it halts.
#[test]
fn retries_claims_splits_and_the_halt_are_logged() {
    let lines_seen = Lines::default();
    let refuse = |status| Fault::Status { status, retry_after: None, applied: false };
    // Request 0 creates the stream, 1 asks for its tail; the first append is sent twice.
    let schedule =
        Schedule::new().request(2, refuse(503)).at(600 * SECOND, Incident::Partition(3600 * SECOND));
    let mut world = World::builder(1).schedule(schedule).build();
    let stream = lines(&mut world);
    world.server().with(|model| model.options_mut().max_body = 100);
    let runtime = world.runtime();
    let server = world.server();
    // With a single dispatcher, `tracing` caches the interest of the first thread that reaches an event, which may be
    // another test's.
    let _second = tracing::Dispatch::new(Lines::default());
    tracing::subscriber::with_default(lines_seen.clone(), || {
        world.run(async {
            let retry = durable_streams::RetryConfig { max_retries: Some(3), ..Default::default() };
            let producer = stream.producer("p").auto_claim(true).retry_config(retry).build();
            producer.append("first\n").unwrap().await.unwrap();
            for number in 0..30 {
                producer.append(format!("{number}\n")).unwrap();
            }
            producer.append("x".repeat(150)).unwrap();
            producer.flush().await.unwrap_err();
            server.restart(SECOND, durable_streams_sim::Memory::WithoutProducers);
            durable_streams::contract::Timer::sleep(&runtime, 2 * SECOND).await;
            producer.append("after\n").unwrap().await.unwrap();
            durable_streams::contract::Timer::sleep(&runtime, 1000 * SECOND).await;
            producer.append("never\n").unwrap().await.unwrap_err();
        });
    });
    let all = lines_seen.of("");
    let one_of =
        |what: &str| lines_seen.of(what).first().cloned().unwrap_or_else(|| panic!("{what}: {all:#?}"));
    let span = one_of("producer]");
    assert!(span.contains("id=\"p\"") && span.contains("url=\"http://sim/orders\""), "{span}");
    let retry = one_of("resends a batch");
    assert!(retry.contains("seq=0") && retry.contains("wait=") && retry.contains("503"), "{retry}");
    let split = one_of("too large for the server");
    assert!(split.contains("records=31") && split.contains("413"), "{split}");
    assert!(lines_seen.of("too large for the server").iter().any(|line| line.contains("records=1 ")));
    assert!(one_of("lost the producer's state").contains("sequence gap"));
    let claim = one_of("claims an epoch");
    assert!(claim.contains("from=0 epoch=1 batches=1"), "{claim}");
    // A single failed attempt is no outage.
    let outages = lines_seen.of("outage: ");
    assert_eq!(outages.len(), 1, "{outages:#?}");
    let outage = &outages[0];
    for part in ["WARN", "attempt=1", "next=", "url=\"http://sim/orders\"", "cause="] {
        assert!(outage.contains(part), "{outage}");
    }
    assert!(lines_seen.of("outage ended").is_empty());
    let end = one_of("the producer halts");
    assert!(end.contains("WARN") && end.contains("error="), "{end}");
}

/// One WARN when an outage begins and one INFO when it ends, for a producer, a reader and an operation.
#[test]
fn outage_is_logged_once_at_its_begin_and_once_at_its_end() {
    for (what, log) in [
        ("produce", outage_log(Work::Produce)),
        ("read", outage_log(Work::Read)),
        ("head", outage_log(Work::Head)),
    ] {
        let of = |text: &str| log.of(text);
        assert_eq!((of("outage: ").len(), of("outage ended").len()), (1, 1), "{what}: {:#?}", of(""));
        assert!(of("outage: ")[0].contains("WARN"), "{what}: {:?}", of("outage: "));
        let end = &of("outage ended")[0];
        assert!(end.contains("INFO") && end.contains("duration="), "{what}: {end}");
    }
}

enum Work {
    Produce,
    Read,
    Head,
}

fn outage_log(work: Work) -> Lines {
    let log = Lines::default();
    let schedule = Schedule::new().at(10 * SECOND, Incident::Partition(50 * SECOND));
    let mut world = World::builder(1).schedule(schedule).build();
    let stream = lines(&mut world);
    let runtime = world.runtime();
    let _second = tracing::Dispatch::new(Lines::default());
    tracing::subscriber::with_default(log.clone(), || {
        world.run(async {
            stream.append("one\n").await.unwrap();
            durable_streams::contract::Timer::sleep(&runtime, 15 * SECOND).await;
            match work {
                Work::Produce => {
                    stream.producer("p").build().append("two\n").unwrap().await.unwrap();
                }
                Work::Read => {
                    let live = durable_streams::LiveMode::LongPoll;
                    let mut chunks = stream.reader().live(live).chunks().await.unwrap();
                    chunks.next().await.unwrap().unwrap();
                }
                Work::Head => {
                    stream.head().await.unwrap();
                }
            }
        });
    });
    log
}
