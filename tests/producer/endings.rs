//! Closing, detaching, dropping, and a runtime that goes away.

use super::*;
use durable_streams::contract::Timer;
use durable_streams::{Delivery, IdempotentProducer, ProducerError};
use durable_streams_sim::{Incident, Schedule};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};

fn filled(stream: &SimStream, count: u32) -> SimProducer {
    let producer = stream.producer("p").max_batch_items(10).build();
    for number in 0..count {
        producer.append(format!("{number}\n")).unwrap();
    }
    producer
}

/// Guarantee 40.
#[test]
fn dropped_producer_delivers_its_queue_and_its_task_ends() {
    for detach in [false, true] {
        let mut world = World::new(1);
        lines(&mut world);
        let process = world.process("app");
        let stream = client(&world, process.runtime()).stream("orders").with_content_type("text/plain");
        let running = process.spawn(async move {
            let producer = filled(&stream, 500);
            let other = producer.clone();
            drop(producer);
            if detach {
                other.detach();
                assert!(matches!(other.append("x"), Err(ProducerError::Closed)));
                stream.client().runtime().sleep(SECOND).await;
            }
        });
        world.run(running).unwrap();
        assert_eq!(world.settle(2 * SECOND).unwrap(), 0, "the task has ended");
        assert_eq!(stored_lines(&world), numbered(0..500));
    }
}

#[test]
fn drain_timeout_after_the_drop_fails_the_rest() {
    let mut world =
        World::builder(2).schedule(Schedule::new().at(SECOND, Incident::Partition(3600 * SECOND))).build();
    lines(&mut world);
    world.settle(2 * SECOND).unwrap();
    let process = world.process("app");
    let stream = client(&world, process.runtime()).stream("orders").with_content_type("text/plain");
    let start = world.elapsed();
    let running = process.spawn(async move {
        let producer = filled(&stream, 20);
        let delivery = producer.append("x").unwrap();
        drop(producer);
        delivery.await
    });
    let error = world.run(running).unwrap().unwrap_err();
    assert!(matches!(error, ProducerError::Timeout { records: 21, .. }), "{error}");
    let waited = world.elapsed() - start;
    assert!(waited >= 30 * SECOND && waited < 31 * SECOND, "{waited:?}");
    assert_eq!(world.settle(SECOND).unwrap(), 0, "the task has ended");
}

#[test]
fn closed_producer_refuses_appends() {
    let mut world = World::new(3);
    let stream = lines(&mut world);
    world.run(async {
        let producer = filled(&stream, 100);
        let other = producer.clone();
        // A close whose future is dropped closes nevertheless.
        drop(futures_lite::future::poll_once(producer.close()).await);
        assert!(matches!(other.append("x"), Err(ProducerError::Closed)));
        assert!(matches!(other.append_wait("x").await, Err(ProducerError::Closed)));
        assert!(matches!(other.append_json(&1), Err(ProducerError::Closed)));
        assert!(matches!(other.close_stream().await, Err(ProducerError::Closed)));
        other.close().await.unwrap();
        producer.flush().await.unwrap();
        assert!(producer.take_unacked().is_empty());

        // The task of a producer without records never starts.
        let idle = stream.producer("q").build();
        idle.flush().await.unwrap();
        idle.close().await.unwrap();
        assert!(matches!(idle.append("x"), Err(ProducerError::Closed)));
    });
    assert!(!stored(&world).closed, "the stream is not");
    assert_eq!(stored_lines(&world), numbered(0..100));
}

#[test]
fn waiting_append_fails_when_the_producer_closes() {
    let mut world = World::new(4);
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").max_buffered_bytes(10).build();
        producer.append("12345\n").unwrap();
        let waiting = producer.append_wait("6789\n");
        let closing = async {
            producer.close().await.unwrap();
            panic!("the append goes first");
        };
        let result = futures_lite::future::or(waiting, closing).await;
        assert!(matches!(result, Err(ProducerError::Closed)), "{result:?}");
    });
}

#[test]
fn dropped_runtime_fails_every_waiting_task() {
    let mut world =
        World::builder(5).schedule(Schedule::new().at(SECOND, Incident::Partition(3600 * SECOND))).build();
    lines(&mut world);
    world.settle(2 * SECOND).unwrap();
    let process = world.process("app");
    let stream = client(&world, process.runtime()).stream("orders").with_content_type("text/plain");
    let runtime = world.runtime();
    world.run(async {
        let producer = filled(&stream, 30);
        let delivery = producer.append("x\n").unwrap();
        runtime.sleep(SECOND).await;
        process.kill();
        assert!(matches!(delivery.await, Err(ProducerError::RuntimeGone)));
        assert!(matches!(producer.flush().await, Err(ProducerError::RuntimeGone)));
        assert!(matches!(producer.append("x"), Err(ProducerError::RuntimeGone)));
        assert!(matches!(producer.close().await, Err(ProducerError::RuntimeGone)));
        let unsent = producer.take_unacked();
        // The batch in flight may have arrived.
        let maybe: Vec<_> = unsent.iter().map(|record| record.may_be_stored).collect();
        assert_eq!(maybe, (0..31).map(|number| number < 10).collect::<Vec<_>>());
    });

    // A runtime that was dropped before the first record.
    let gone = client(&world, process.runtime()).stream("orders").producer("q").build();
    world.run(async {
        let delivery = gone.append("x\n").unwrap();
        assert!(matches!(delivery.await, Err(ProducerError::RuntimeGone)));
    });
}

#[test]
fn close_stream_may_be_repeated() {
    use durable_streams_sim::Fault;
    for fault in [Fault::LoseResponse, Fault::LoseRequest, Fault::Repeat { later: SECOND }] {
        for with_record in [false, true] {
            let schedule = Schedule::new().request(2, fault.clone());
            let mut world = World::builder(6).schedule(schedule).build();
            let stream = lines(&mut world);
            world.run(async {
                let producer = stream.producer("p").build();
                producer.append("1\n").unwrap().await.unwrap();
                let ended = match with_record {
                    false => producer.close_stream().await,
                    true => producer.close_stream_with("2\n").await,
                };
                let ack = ended.unwrap();
                assert_eq!(ack.seq, 1);
                assert_eq!(ack.duplicate, with_record && fault == Fault::LoseResponse);
                stream.client().runtime().sleep(2 * SECOND).await;
            });
            assert!(stored(&world).closed);
            assert_eq!(stored_lines(&world), if with_record { vec!["1", "2"] } else { vec!["1"] });
        }
    }
}

/// A waker may run any code at once.
#[test]
fn waker_may_use_the_producer_that_wakes_it() {
    struct Chain {
        producer: IdempotentProducer,
        links: Mutex<(u32, Option<Delivery>)>,
    }
    impl Wake for Chain {
        fn wake(self: Arc<Self>) {
            let waker = self.clone().into();
            let mut cx = Context::from_waker(&waker);
            let mut flush = std::pin::pin!(self.producer.flush());
            assert!(flush.as_mut().poll(&mut cx).is_ready(), "nothing was behind what is told");
            let mut links = self.links.lock().unwrap();
            let told = links.1.take().unwrap().try_result();
            assert!(told.unwrap().is_ok());
            assert!(self.producer.take_unacked().is_empty() && self.producer.stats().queued_records == 0);
            if links.0 < 100 {
                let mut next = self.producer.append(format!("{}\n", links.0)).unwrap();
                assert!(Pin::new(&mut next).poll(&mut cx).is_pending());
                *links = (links.0 + 1, Some(next));
            } else {
                self.producer.detach();
            }
        }
    }
    let mut world = World::new(9);
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").build().to_any();
        let mut first = producer.append("0\n").unwrap();
        let chain = Arc::new(Chain { producer: producer.clone(), links: Mutex::default() });
        let waker = chain.clone().into();
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
        *chain.links.lock().unwrap() = (1, Some(first));
        while producer.stats().acked_records < 100 {
            stream.client().runtime().sleep(SECOND).await;
        }
        producer.close().await.unwrap();
    });
    assert_eq!(stored_lines(&world), numbered(0..100));
}
