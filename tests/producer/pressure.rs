//! More records than the server takes.

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

/// ROBUSTNESS 34.
#[test]
fn against_a_hung_server_the_queue_stays_within_its_limit() {
    let mut world =
        World::builder(1).schedule(Schedule::new().at(SECOND, Incident::Blackout(50 * SECOND))).build();
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
        // It waits until the server is back.
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
fn the_limit_in_records_holds_too() {
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
fn waiting_appends_keep_their_turn_and_may_be_given_up() {
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
        // Those that were given up have appended nothing.
        producer.append_wait("e").await.unwrap();
        producer.close().await.unwrap();
    });
    assert_eq!(stored(&world).data, ["a".repeat(80), "b".repeat(90), "e".to_owned()].concat());

    // One that waits in front and is given up lets the others through.
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

/// What lingers in a full queue waits for nothing: no more will come before some of it is sent.
#[test]
fn a_full_queue_does_not_linger() {
    let mut world = World::new(8);
    let stream = lines(&mut world);
    world.run(async {
        for (bytes, records) in [(1000, usize::MAX), (usize::MAX, 3)] {
            let producer = stream.producer(format!("p{records}")).linger(Duration::MAX);
            let producer = producer.max_buffered_bytes(bytes).max_buffered_records(records).build();
            for _ in 0..1000 {
                producer.append_wait("x\n").await.unwrap();
            }
            // Who does not wait is told, and finds room soon after.
            while producer.append("y\n").is_ok() {}
            while producer.append("z\n").is_err() {
                stream.client().runtime().sleep(SECOND / 100).await;
            }
            producer.close().await.unwrap();
        }
        // Not even where something is on its way, if what is freed by that is not enough.
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

/// ROBUSTNESS 38.
#[test]
fn without_linger_a_record_leaves_at_once() {
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
fn a_record_lingers_and_a_flush_ends_that() {
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

/// ROBUSTNESS 39, and an idle producer does nothing at all.
#[test]
fn a_flush_waits_without_a_stir() {
    let hang = Fault::Delay { request: Duration::ZERO, answer: 25 * SECOND };
    let mut world = World::builder(7).schedule(Schedule::new().request(1, hang)).max_steps(500).build();
    let stream = lines(&mut world);
    // The world counts steps, and these few have to do for half a minute of waiting and a day of nothing.
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

/// Records that are no JSON, found out late, and everybody waits for his own.
#[test]
fn many_that_wait_for_records_that_fail_alone_cost_little() {
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
        // A handle that does not know the type yet.
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
