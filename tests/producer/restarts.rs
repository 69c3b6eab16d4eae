//! Restarts and endings with two faults at once, found by the explorer.

use super::*;
use durable_streams::contract::Timer;
use durable_streams::{ProducerError, RetryConfig};
use durable_streams_sim::model::{Dialect, ServerOptions};
use durable_streams_sim::{Fault, Schedule};

/// An earlier run of one batch has used number 0 of epoch 0. The next run's first attempt has no response, and
/// its resend is reported as a duplicate, as if it had been stored. Only the stream's tail shows that it was not.
#[test]
fn earlier_run_is_not_taken_for_a_duplicate() {
    let lost = |numbers: &[u64]| {
        let schedule =
            Schedule::new().request(3, Fault::Status { status: 500, retry_after: None, applied: false });
        numbers.iter().fold(schedule, |schedule, number| schedule.request(*number, Fault::LoseResponse))
    };
    for dialect in [Dialect::Rust, Dialect::Node] {
        // The first HEAD is refused; the first append and its resend have no response.
        for schedule in [lost(&[5]), lost(&[5, 6]), lost(&[5, 7]), lost(&[5, 6, 7, 8])] {
            let mut server = ServerOptions::default();
            server.dialect = dialect;
            let mut world = World::builder(1).server(server).schedule(schedule.clone()).build();
            let stream = lines(&mut world).with_content_type("text/plain");
            for run in ["first", "second"] {
                let producer = stream.producer("p").auto_claim(true).build();
                world.run(async {
                    producer.append(format!("{run}\n")).unwrap().await.unwrap();
                    producer.close().await.unwrap();
                });
            }
            assert_eq!(stored_lines(&world), ["first", "second"], "{dialect:?}: {schedule}");
        }
    }
}

/// The same with a captive portal that responds to the HEAD. Its response says nothing about the tail, so the duplicate
/// does not count as stored.
#[test]
fn head_without_protocol_headers_halts() {
    for dialect in [Dialect::Rust, Dialect::Node] {
        // In place of the first HEAD; then in place of the one after the duplicate, for which one of the servers sends the
        // offset itself.
        for (portal, lost) in [(3, 4), (6, 4)] {
            let mut server = ServerOptions::default();
            server.dialect = dialect;
            let schedule =
                Schedule::new().request(portal, Fault::CaptivePortal).request(lost, Fault::LoseResponse);
            let mut world = World::builder(1).server(server).schedule(schedule).build();
            let stream = lines(&mut world).with_content_type("text/plain");
            let outcomes = ["first", "second"].map(|run| {
                let producer = stream.producer("p").auto_claim(true).build();
                world.run(async {
                    let outcome = producer.append(format!("{run}\n")).unwrap().await;
                    drop(producer.close().await);
                    outcome.is_ok()
                })
            });
            let stored = stored_lines(&world);
            assert!(outcomes[0], "{dialect:?}");
            assert_eq!(
                outcomes[1],
                stored.contains(&"second".to_owned()),
                "{dialect:?} {portal}: {stored:?}"
            );
        }
    }
}

/// A batch of the crashed run arrives while the next run has a duplicate and cannot ask for the tail. Neither of the two
/// numbers that the crashed run used counts as the new run's.
#[test]
fn late_batch_of_a_crashed_run_is_not_taken_for_ours() {
    let short = SECOND / 100;
    let mut late = 0;
    // The request of a crashed process may still arrive, at random.
    for (seed, dialect) in (0..10).flat_map(|seed| [(seed, Dialect::Rust), (seed, Dialect::Node)]) {
        let mut server = ServerOptions::default();
        server.dialect = dialect;
        let schedule = Schedule::new()
            .request(3, Fault::Delay { request: 10 * SECOND, response: short })
            .request(6, Fault::Refuse)
            .request(7, Fault::Delay { request: short, response: 20 * SECOND });
        let mut world = World::builder(seed).server(server).schedule(schedule).build();
        lines(&mut world);
        let records = |run: &'static str, count: u32, stream: SimStream| async move {
            let producer = stream.producer("p").auto_claim(true).max_batch_items(1).build();
            let records = (0..count).map(|number| format!("{run}{number}"));
            let appended: Vec<_> =
                records.map(|record| (producer.append(format!("{record}\n")).unwrap(), record)).collect();
            let mut stored = Vec::new();
            for (delivery, record) in appended {
                if delivery.await.is_ok() {
                    stored.push(record);
                }
            }
            stored
        };
        let crashing = world.process("first");
        let stream = client(&world, crashing.runtime()).stream("orders").with_content_type("text/plain");
        let first = crashing.spawn(records("a", 2, stream));
        world.run(world.runtime().sleep(SECOND));
        crashing.kill();
        assert!(world.run(first).is_err());
        assert_eq!(stored_lines(&world), ["a0"]);

        let stream = client(&world, world.runtime()).stream("orders").with_content_type("text/plain");
        let told = world.run(records("b", 3, stream));
        let there = stored_lines(&world);
        assert!(
            told.iter().all(|record| there.contains(record)),
            "{dialect:?} {seed}: {told:?} of {there:?}"
        );
        late += u32::from(there.contains(&"a1".to_owned()));
    }
    assert!(late > 0, "it never came");
}

/// One batch halts the producer while another has no response, and no handle is left: the task ends after the drain
/// timeout, and does nothing until then.
#[test]
fn dropped_producer_that_has_halted_ends_its_task() {
    let late = Duration::from_millis(300);
    let schedule = Schedule::new()
        .request(1, Fault::Delay { request: late, response: late })
        .request(2, Fault::Hang { applied: true })
        .request(3, Fault::Status { status: 503, retry_after: None, applied: false });
    let mut world = World::builder(1).schedule(schedule).max_steps(10_000).build();
    lines(&mut world);
    let process = world.process("app");
    let stream = client(&world, process.runtime()).stream("orders").with_content_type("text/plain");
    let running = process.spawn(async move {
        let retry = RetryConfig { max_retries: Some(0), ..RetryConfig::default() };
        let producer =
            stream.producer("p").max_batch_items(1).linger(Duration::ZERO).retry_config(retry).build();
        let records = ["0\n", "1\n", "2\n"].map(|record| producer.append(record).unwrap());
        drop(producer);
        let mut stored = 0;
        for delivery in records {
            stored += u32::from(delivery.await.is_ok());
        }
        assert_eq!(stored, 1);
    });
    world.run(running).unwrap();
    assert_eq!(posts(&world), 3);
    assert_eq!(world.settle(SECOND).unwrap(), 0, "the task has ended");
    assert_eq!(stored_lines(&world), ["0", "1"]);
}

/// The next run's first batch closes the stream. The duplicate response that it gets does not say that the stream is closed, so
/// it is about the earlier run's batch.
#[test]
fn close_under_the_number_of_an_earlier_run_is_stored_under_a_new_epoch() {
    for auto_claim in [true, false] {
        let mut world = World::new(1);
        let stream = lines(&mut world).with_content_type("text/plain");
        let first = stream.producer("p").build();
        world.run(async {
            first.append("first\n").unwrap().await.unwrap();
            first.close().await.unwrap();
        });
        let second = stream.producer("p").auto_claim(auto_claim).build();
        let closed = world.run(second.close_stream_with("second\n"));
        if auto_claim {
            assert_eq!(closed.unwrap().epoch, 1);
            assert_eq!(stored_lines(&world), ["first", "second"]);
        } else {
            let error = closed.unwrap_err();
            assert!(matches!(error, ProducerError::UnexpectedDuplicate { epoch: 0, seq: 0 }), "{error}");
            assert!(!second.take_unacked()[0].may_be_stored);
        }
    }
}
