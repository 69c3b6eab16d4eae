//! More records than the server accepts.

use super::*;
use durable_streams::ProducerError;
use durable_streams::contract::Timer;
use durable_streams_sim::{Fault, Incident, Schedule};
use futures_lite::future::poll_once;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

/// Guarantee 34.
#[test]
fn hung_server_keeps_the_queue_within_its_limit() {
    let mut world =
        World::builder(1).schedule(Schedule::new().at(SECOND, Incident::Partition(50 * SECOND))).build();
    let stream = lines(&mut world);
    world.settle(2 * SECOND).unwrap();
    world.run(async {
        let producer = stream.producer("p").max_buffered_bytes(10_000).max_batch_bytes(1000).build();
        let mut appended = 0;
        let refused = loop {
            match producer.append(format!("{appended}\n")) {
                Ok(_) => appended += 1,
                Err(ProducerError::QueueFull { record }) => break record,
                Err(error) => panic!("{error}"),
            }
            assert!(producer.stats().queued_bytes <= 10_000);
        };
        assert_eq!(refused, format!("{appended}\n"));
        assert!(matches!(producer.append_json(&[appended]), Err(ProducerError::QueueFull { record }) if record == format!("[{appended}]")));
        // It waits until the server responds again.
        for number in appended..appended + 2000 {
            producer.append_wait(format!("{number}\n")).await.unwrap();
            assert!(producer.stats().queued_bytes <= 10_000);
        }
        producer.close().await.unwrap();
        appended += 2000;
        assert_eq!(producer.stats().acked_records, appended);
    });
    assert_eq!(stored_lines(&world), numbered(0..stored_lines(&world).len() as u32));
    assert!(world.elapsed() > 50 * SECOND);
}

#[test]
fn queue_keeps_its_limit_in_records() {
    let mut world = World::new(2);
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").max_buffered_records(3).build();
        for _ in 0..3 {
            producer.append("x\n").unwrap();
        }
        assert!(matches!(producer.append("x\n"), Err(ProducerError::QueueFull { .. })));
        producer.append_wait("x\n").await.unwrap();
        producer.close().await.unwrap();
    });
    assert_eq!(stored_lines(&world).len(), 4);
}

#[test]
fn waiting_appends_are_served_in_order_and_may_be_dropped() {
    let mut world = World::new(3);
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").max_buffered_bytes(100).build();
        producer.append("a".repeat(80)).unwrap();
        // The first needs more room than the others.
        let mut first = pin!(producer.append_wait("b".repeat(90)));
        assert!(poll_once(&mut first).await.is_none());
        {
            let mut second = pin!(producer.append_wait("c"));
            assert!(poll_once(&mut second).await.is_none(), "it would overtake the first");
            let mut third = pin!(producer.append_wait("d"));
            assert!(poll_once(&mut third).await.is_none());
        }
        first.await.unwrap();
        // The dropped ones have appended nothing.
        producer.append_wait("e").await.unwrap();
        producer.close().await.unwrap();
    });
    assert_eq!(stored(&world).data, ["a".repeat(80), "b".repeat(90), "e".to_owned()].concat());

    // Dropping the first in line lets the others through.
    let mut world = World::new(4);
    let stream = lines(&mut world);
    world.run(async {
        let producer = stream.producer("p").max_buffered_bytes(100).linger(3600 * SECOND).build();
        producer.append("a".repeat(80)).unwrap();
        let mut second;
        {
            let mut first = pin!(producer.append_wait("b".repeat(90)));
            assert!(poll_once(&mut first).await.is_none());
            second = Box::pin(producer.append_wait("c"));
            assert!(poll_once(&mut second).await.is_none());
        }
        second.await.unwrap();
        producer.close().await.unwrap();
    });
}

/// In a full queue the linger time is pointless: no record can be added before some are sent.
#[test]
fn full_queue_is_sent_before_the_linger_time() {
    let mut world = World::new(8);
    let stream = lines(&mut world);
    world.run(async {
        for (bytes, records) in [(1000, usize::MAX), (usize::MAX, 3)] {
            let producer = stream.producer(format!("p{records}")).linger(Duration::MAX);
            let producer = producer.max_buffered_bytes(bytes).max_buffered_records(records).build();
            for _ in 0..1000 {
                producer.append_wait("x\n").await.unwrap();
            }
            // An append that does not wait fails, and finds room soon after.
            while producer.append("y\n").is_ok() {}
            while producer.append("z\n").is_err() {
                stream.client().runtime().sleep(SECOND / 100).await;
            }
            producer.close().await.unwrap();
        }
        // Also with a batch in flight, if the room that it frees is not enough.
        let producer =
            stream.producer("q").linger(Duration::MAX).max_buffered_bytes(1000).max_batch_bytes(400);
        let producer = producer.build();
        producer.append("a".repeat(390)).unwrap();
        producer.append("b".repeat(300)).unwrap();
        producer.append_wait("c".repeat(900)).await.unwrap();
        producer.close().await.unwrap();
    });
    assert!(world.elapsed() < 60 * SECOND, "{:?}", world.elapsed());
}

/// Guarantee 38.
#[test]
fn zero_linger_sends_a_record_at_once() {
    let mut world = World::new(5);
    let stream = lines(&mut world);
    let runtime = world.runtime();
    let started = world.run(async {
        let producer = stream.producer("p").linger(Duration::ZERO).build();
        let started = runtime.elapsed();
        producer.append("x\n").unwrap().await.unwrap();
        started
    });
    let post = world.requests().into_iter().find(|request| request.method == http::Method::POST).unwrap();
    assert!(post.at - started <= Duration::from_millis(1), "{started:?} {post:?}");
}

#[test]
fn record_waits_for_the_linger_time_or_a_flush() {
    let mut world = World::new(6);
    let stream = lines(&mut world);
    let runtime = world.runtime();
    world.run(async {
        let producer = stream.producer("p").linger(SECOND).build();
        let started = runtime.elapsed();
        producer.append("1\n").unwrap();
        runtime.sleep(SECOND / 2).await;
        producer.append("2\n").unwrap().await.unwrap();
        let lingered = runtime.elapsed() - started;
        assert!(lingered >= SECOND && lingered < SECOND * 11 / 10, "{lingered:?}");
        assert_eq!(producer.stats().requests, 1);

        producer.append("3\n").unwrap();
        let started = runtime.elapsed();
        producer.flush().await.unwrap();
        assert!(runtime.elapsed() - started < SECOND / 10);
    });
}

/// Guarantee 39. An idle producer does nothing.
#[test]
fn flush_waits_without_polling() {
    let hang = Fault::Delay { request: Duration::ZERO, response: 25 * SECOND };
    let mut world = World::builder(7).schedule(Schedule::new().request(1, hang)).max_steps(500).build();
    let stream = lines(&mut world);
    // The simulation counts scheduler steps. These few cover half a minute of waiting and an idle day.
    world.run(async {
        let producer = stream.producer("p").build();
        producer.append("x\n").unwrap();
        producer.flush().await.unwrap();
        world_day(&stream).await;
        producer.close().await.unwrap();
    });
    assert!(world.elapsed() > 86_400 * SECOND);
}

async fn world_day(stream: &SimStream) {
    stream.client().runtime().sleep(86_400 * SECOND).await;
}

/// Records that turn out not to be JSON, each with a task that waits for it.
#[test]
fn many_waiters_of_records_that_fail_alone_cost_little() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    const RECORDS: usize = 6000;
    let mut world = World::new(9);
    let stream = stream(&mut world, "application/json");
    let wakes = Arc::new(Count(AtomicUsize::new(0)));
    world.run(async {
        // A handle that does not know the content type yet.
        let stream = stream.client().stream("orders");
        let producer = stream.producer("p").build();
        let mut deliveries: Vec<_> = (0..RECORDS)
            .map(|number| producer.append(if number % 2 == 0 { "{" } else { "1" }).unwrap())
            .collect();
        let waker = wakes.clone().into();
        for delivery in &mut deliveries {
            assert!(Pin::new(delivery).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert!(producer.flush().await.is_err());
        let told = deliveries.iter().enumerate();
        assert!(
            told.into_iter().all(|(number, told)| told.try_result().unwrap().is_ok() == (number % 2 == 1))
        );
        producer.close().await.unwrap();
    });
    assert_eq!(wakes.0.load(Ordering::Relaxed), RECORDS, "once for each record");
}
