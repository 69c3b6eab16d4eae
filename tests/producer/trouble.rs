//! Outages, refusals, other producers.

use super::*;
use durable_streams::contract::Timer;
use durable_streams::{ErrorAction, HeaderMap, IdempotentProducer, ProducerError, RetryConfig, StreamError};
use durable_streams_sim::{Fault, Incident, Memory, Schedule};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};

/// Guarantee 28.
#[test]
fn outage_of_a_minute_loses_nothing() {
    let outage = Incident::Restart { down: 60 * SECOND, memory: Memory::Kept };
    let mut world = World::builder(1).schedule(Schedule::new().at(SECOND, outage)).build();
    let stream = lines(&mut world);
    let runtime = world.runtime();
    world.run(async {
        let producer = stream.producer("p").build();
        for number in 0..500 {
            producer.append(format!("{number}\n")).unwrap();
            runtime.sleep(SECOND / 10).await;
        }
        let error = producer.flush_timeout(Duration::from_micros(1)).await.unwrap_err();
        assert!(matches!(error, ProducerError::Timeout { records: 1.., bytes: 1.., .. }), "{error}");
        assert!(error.to_string().contains("records"), "{error}");
        producer.flush().await.unwrap();
    });
    assert_eq!(stored_lines(&world), numbered(0..500));
}

/// Guarantee 29.
#[test]
fn spent_retry_budget_fails_everything_and_returns_the_rest() {
    let outage = Incident::Restart { down: 3600 * SECOND, memory: Memory::Kept };
    let mut world = World::builder(2).schedule(Schedule::new().at(SECOND, outage)).build();
    let stream = lines(&mut world);
    let runtime = world.runtime();
    world.run(async {
        let retry = RetryConfig { max_retries: Some(4), ..RetryConfig::default() };
        let producer = stream.producer("p").retry_config(retry).max_batch_items(10).build();
        producer.append("0\n").unwrap().await.unwrap();
        runtime.sleep(2 * SECOND).await;
        let deliveries: Vec<_> = (1..100).map(|n| producer.append(format!("{n}\n")).unwrap()).collect();
        let flushed = producer.flush().await.unwrap_err();
        let network = |error: &ProducerError| matches!(error.stream_error(), Some(StreamError::Network(_)));
        assert!(network(&flushed), "{flushed}");
        assert!(flushed.to_string().contains("5 attempts"), "{flushed}");
        for delivery in deliveries {
            assert!(network(&delivery.await.unwrap_err()));
        }
        let requests = producer.stats().requests;
        assert!(network(&producer.append("x").unwrap_err()));
        assert!(network(&producer.append_wait("x").await.unwrap_err()));
        assert!(network(&producer.close_stream().await.unwrap_err()));
        assert!(network(&producer.close().await.unwrap_err()));
        runtime.sleep(600 * SECOND).await;
        assert_eq!(producer.stats().requests, requests, "no later number was sent");

        let unsent = producer.take_unacked();
        let records: Vec<_> = unsent.iter().map(|record| record.data.clone()).collect();
        assert_eq!(records, (1..100).map(|n| format!("{n}\n")).collect::<Vec<_>>());
        // The connection was refused: nothing can have arrived.
        assert!(unsent.iter().all(|record| !record.may_be_stored));
        assert!(producer.take_unacked().is_empty());

        // With the server back, they are appended in a higher epoch.
        runtime.sleep(3600 * SECOND).await;
        let next = stream.producer("p").epoch(1).build();
        for record in unsent {
            next.append(record.data).unwrap();
        }
        next.close().await.unwrap();
    });
    assert_eq!(stored_lines(&world), numbered(0..100));
}

#[test]
fn outage_before_the_content_type_is_known_loses_nothing() {
    let outage = Incident::Restart { down: 90 * SECOND, memory: Memory::Kept };
    let mut world = World::builder(3).schedule(Schedule::new().at(SECOND, outage)).build();
    stream(&mut world, "application/json");
    world.settle(2 * SECOND).unwrap();
    // Another handle that does not know the content type.
    let stream = client(&world, world.runtime()).stream("orders");
    world.run(async {
        let producer = stream.producer("p").build();
        producer.append("1").unwrap();
        let refused = producer.append("no json").unwrap();
        producer.append_json(&[2]).unwrap();
        let error = producer.flush().await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::Json(_))), "{error}");
        assert!(matches!(refused.await.unwrap_err().stream_error(), Some(StreamError::Json(_))));
        producer.flush().await.unwrap();
    });
    assert_eq!(stored(&world).messages, ["1", "[2]"]);

    // If the stream does not exist, that is reported after one request.
    let before = world.requests().len();
    let nobody = client(&world, world.runtime()).stream("nobody");
    world.run(async {
        let producer = nobody.producer("p").build();
        let error = producer.append("1").unwrap().await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::NotFound { .. })), "{error}");
        assert_eq!(producer.take_unacked().len(), 1);
    });
    assert_eq!(world.requests().len() - before, 1);
}

/// Guarantee 30.
#[test]
fn late_batch_loses_nothing_and_is_resent_once() {
    // The create, the first five batches, then a late one with others behind it.
    let late = Fault::Delay { request: 5 * SECOND, response: Duration::ZERO };
    let mut world = World::builder(4).schedule(Schedule::new().request(16, late)).build();
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").max_batch_items(1).build();
        for number in 0..30 {
            producer.append(format!("{number}\n")).unwrap();
        }
        producer.flush().await.unwrap();
        let stats = producer.stats();
        assert!(stats.requests <= 2 * 30, "{stats:?}");
    });
    assert_eq!(stored_lines(&world), numbered(0..30));
}

/// Guarantee 31.
#[test]
fn second_producer_takes_over_without_loss() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let stream = lines(&mut world);
        let runtime = world.runtime();
        let epoch = world.run(async {
            let old = stream.producer("p").auto_claim(true).max_batch_items(1).build();
            for number in 0..10 {
                old.append(format!("{number}\n")).unwrap();
            }
            old.append("10\n").unwrap().await.unwrap();
            for number in 11..20 {
                old.append(format!("{number}\n")).unwrap();
            }
            runtime.sleep(Duration::from_millis(seed % 20)).await;
            // The second takes over with a higher epoch, and the first claims the id back.
            let new = stream.producer("p").epoch(5).build();
            new.append("other\n").unwrap().await.unwrap();
            old.flush().await.unwrap();
            let error = match new.append("late\n").unwrap().await {
                // It may have claimed already.
                Ok(_) => return old.epoch(),
                Err(error) => error,
            };
            assert!(matches!(error, ProducerError::StaleEpoch { our_epoch: 5, .. }), "{error}");
            assert!(matches!(new.flush().await.unwrap_err(), ProducerError::StaleEpoch { .. }));
            old.epoch()
        });
        assert!(epoch == 6 || epoch == 0, "seed {seed}: {epoch}");
        let lines = stored_lines(&world);
        let own: Vec<_> = lines.iter().filter(|line| line.parse::<u32>().is_ok()).cloned().collect();
        assert_eq!(own, numbered(0..20), "seed {seed}");
        assert_eq!(lines.iter().filter(|line| *line == "other").count(), 1);
    }
}

#[test]
fn two_producers_that_claim_from_each_other_halt() {
    let mut world = World::new(5);
    let stream = lines(&mut world);
    world.run(async {
        let producers = ["a", "b"].map(|name| {
            (name, stream.producer("p").auto_claim(true).linger(Duration::ZERO).max_batch_items(1).build())
        });
        let mut failed = 0;
        for round in 0..40 {
            for (name, producer) in &producers {
                let Ok(delivery) = producer.append(format!("{name}{round}\n")) else { continue };
                match delivery.await {
                    Ok(_) => {}
                    Err(ProducerError::StaleEpoch { .. } | ProducerError::OutcomeUnknown { .. }) => {
                        failed += 1
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert_eq!(failed, 1, "one of them is left");
    });
    let mut lines = stored_lines(&world);
    let before = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), before);
}

/// Guarantee 32.
#[test]
fn second_process_with_the_same_identity_is_reported() {
    let mut world = World::new(6);
    let stream = lines(&mut world);
    world.run(async {
        let first = stream.producer("p").build();
        first.append("first\n").unwrap().await.unwrap();
        let second = stream.producer("p").build();
        let error = second.append("second\n").unwrap().await.unwrap_err();
        assert!(matches!(error, ProducerError::UnexpectedDuplicate { epoch: 0, seq: 0 }), "{error}");
        let replay = stream.producer("p").accept_duplicates(true).build();
        assert!(replay.append("first\n").unwrap().await.unwrap().duplicate);
    });
    assert_eq!(stored_lines(&world), ["first"]);
}

/// Guarantee 33.
#[test]
fn stream_closed_by_another_client_costs_one_request() {
    let mut world = World::new(7);
    let stream = lines(&mut world);
    let before = posts(&world);
    world.run(async {
        stream.close().await.unwrap();
        let producer = stream.producer("p").build();
        for _ in 0..100 {
            producer.append("x\n").unwrap();
        }
        let error = producer.flush().await.unwrap_err();
        let closed = Some(StreamError::StreamClosed { final_offset: None });
        assert_eq!(
            error.stream_error().map(std::mem::discriminant),
            closed.as_ref().map(std::mem::discriminant)
        );
        assert_eq!(producer.take_unacked().len(), 100);
    });
    assert_eq!(posts(&world) - before, 2, "the close, and one append");
}

#[test]
fn first_task_that_learns_of_the_halt_can_take_all_unacked_records() {
    struct Look(IdempotentProducer, Mutex<Vec<(usize, bool)>>);
    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            let found = (self.0.take_unacked().len(), self.0.unacked_from().is_some());
            self.1.lock().unwrap().push(found);
        }
    }
    let mut world = World::new(12);
    let stream = lines(&mut world);
    world.run(async {
        // One batch in flight, and more behind it in the queue.
        let producer = stream.producer("p").max_in_flight(1).max_batch_items(10).build();
        producer.append("0\n").unwrap().await.unwrap();
        let mut first = producer.append("1\n").unwrap();
        for number in 2..100 {
            producer.append(format!("{number}\n")).unwrap();
        }
        let look = Arc::new(Look(producer.to_any(), Mutex::default()));
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&look.clone().into())).is_pending());
        stream.delete().await.unwrap();
        producer.flush().await.unwrap_err();
        assert_eq!(*look.1.lock().unwrap(), [(99, true)]);
    });
}

/// Guarantee 36.
#[test]
fn batches_are_split_to_the_servers_limit() {
    for content_type in ["text/plain", "application/json"] {
        let mut world = World::new(8);
        let stream = stream(&mut world, content_type);
        world.server().with(|model| model.options_mut().max_body = 1000);
        world.run(async {
            let producer = stream.producer("p").build();
            let deliveries: Vec<_> = (0..2000)
                .map(|number| {
                    // A single record that cannot be split.
                    let padding = if number == 777 { 3000 } else { 1 };
                    producer.append_json(&format!("{number}{}", " ".repeat(padding))).unwrap()
                })
                .collect();
            let error = producer.flush().await.unwrap_err();
            assert!(matches!(error.stream_error(), Some(StreamError::PayloadTooLarge { .. })), "{error}");
            assert!(producer.flush().await.is_ok(), "it is told of once");
            for (number, delivery) in deliveries.into_iter().enumerate() {
                assert_eq!(delivery.await.is_err(), number == 777, "{number}");
            }
            assert!(producer.take_unacked().is_empty());
            producer.close().await.unwrap();
        });
        let text = String::from_utf8(stored(&world).data.to_vec()).unwrap();
        let numbers: Vec<u32> = text.split('"').filter_map(|part| part.trim().parse().ok()).collect();
        assert_eq!(numbers, (0..2000).filter(|number| *number != 777).collect::<Vec<_>>());
    }
}

#[test]
fn server_that_lost_its_streams_or_state_is_noticed() {
    for (memory, expected) in [(Memory::Lost, "not found"), (Memory::WithoutProducers, "sequence gap")] {
        let mut world = World::new(9);
        let stream = lines(&mut world);
        let server = world.server();
        world.run(async {
            let producer = stream.producer("p").build();
            producer.append("1\n").unwrap().await.unwrap();
            server.restart(SECOND, memory);
            let error = producer.append("2\n").unwrap().await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        });
    }
}

/// Some servers lose their producers' state in a crash, but not the data.
#[test]
fn state_loss_starts_a_new_epoch() {
    let mut world = World::new(11);
    let stream = lines(&mut world);
    let server = world.server();
    world.run(async {
        let producer = stream.producer("p").auto_claim(true).build();
        for number in 0..10 {
            producer.append(format!("{number}\n")).unwrap().await.unwrap();
        }
        for epoch in 1..4u32 {
            server.restart(SECOND, Memory::WithoutProducers);
            for number in 10 * epoch..10 * epoch + 10 {
                producer.append(format!("{number}\n")).unwrap().await.unwrap();
            }
            assert_eq!(producer.epoch(), u64::from(epoch));
        }
    });
    assert_eq!(stored_lines(&world), numbered(0..40));
}

#[test]
fn error_handler_replaces_the_token() {
    let refuse = |status| Fault::Status { status, retry_after: None, applied: false };
    let schedule = Schedule::new().request(1, refuse(401)).request(2, refuse(401)).request(3, refuse(403));
    let mut world = World::builder(10).schedule(schedule).build();
    let stream = lines(&mut world);
    world.run(async {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let producer = stream
            .producer("p")
            .on_error(move |error| match error {
                StreamError::Unauthorized => {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let mut headers = HeaderMap::new();
                    headers.insert("authorization", "fresh".parse().unwrap());
                    ErrorAction::Retry { headers: Some(headers) }
                }
                _ => ErrorAction::Stop,
            })
            .build();
        let error = producer.append("1\n").unwrap().await.unwrap_err();
        assert!(matches!(error.stream_error(), Some(StreamError::Forbidden)), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(!producer.take_unacked()[0].may_be_stored);
    });
}
