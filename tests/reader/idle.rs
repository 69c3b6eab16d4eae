//! The cost of a reader at the tail of a stream without appends.

use super::{SECOND, reader_on, stream};
use durable_streams::contract::Timer;
use durable_streams::{LiveMode, Offset};
use durable_streams_sim::World;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn idle_tail_is_polled_only_for_clock_checks_and_requests() {
    for mode in [LiveMode::Sse, LiveMode::LongPoll, LiveMode::Auto] {
        let mut world = World::new(3);
        let stream = stream(&mut world);
        let process = world.process("reader");
        let reader = reader_on(&world, &process).offset(Offset::Now).live(mode);
        let polls = Arc::new(AtomicUsize::new(0));
        let counter = polls.clone();
        let read = process.spawn(async move {
            let mut values = reader.json::<u32>().await.unwrap();
            let mut next = pin!(values.next());
            let value = std::future::poll_fn(|cx| {
                counter.fetch_add(1, Ordering::Relaxed);
                next.as_mut().poll(cx)
            });
            value.await.unwrap().unwrap()
        });
        let clock = world.runtime();
        let value = world.run(async move {
            clock.sleep(3600 * SECOND).await;
            stream.append("[7]").await.unwrap();
            read.await.unwrap()
        });
        assert_eq!(value, 7);
        let (polls, requests) = (polls.load(Ordering::Relaxed), world.requests().len());
        // One poll for each clock check, every 15 s. The server ends a long-poll after 2 s, and an event stream after 60 s.
        assert!(polls < 3600 / 15 + 10 * requests, "{mode:?}: polled {polls} times");
        let ended = if mode == LiveMode::LongPoll { 2 } else { 55 };
        assert!(requests <= 3 + 3600 / ended, "{mode:?}: {requests} requests");
    }
}
