//! Random faults by seed: the receipts must agree with what the server has stored.

use super::*;
use durable_streams::RetryConfig;
use durable_streams_sim::model::{Dialect, ServerOptions};
use durable_streams_sim::{FaultPlan, Rng, Schedule};

/// One history. Returns how many records failed.
fn run(seed: u64, auto_claim: bool) -> usize {
    let mut rng = Rng::new(seed);
    let mut plan = FaultPlan::default();
    plan.percent = rng.between(5, 50);
    let mut options = ServerOptions::default();
    options.dialect = *rng.pick(&[Dialect::Rust, Dialect::Node]);
    options.max_body = *rng.pick(&[1 << 20, 1 << 20, 60, 20]);
    // If the network repeats a request that was refused, it is not known what is stored.
    plan.twice = options.max_body > 60;
    let refused_is_refused = !plan.twice;
    let json = rng.percent(50);
    let schedule = Schedule::generate(seed, &plan);
    let mut world = World::builder(seed).server(options).schedule(schedule.clone()).build();
    let content_type = if json { "application/json" } else { "text/plain" };
    let stream = client(&world, world.runtime()).stream("orders");
    let options = CreateOptions::new().content_type(content_type);
    if world.run(async { stream.create(options).await }).is_err() {
        return 0;
    }
    // Half of them have to ask for the content type.
    let stream = if rng.percent(50) { stream } else { client(&world, world.runtime()).stream("orders") };
    let runtime = world.runtime();
    let outcomes = world.run(async {
        use durable_streams::contract::Timer;
        let mut builder = stream
            .producer("p")
            .auto_claim(auto_claim)
            .max_batch_items(rng.between(1, 8) as usize)
            .max_in_flight(rng.between(1, 6) as usize)
            .max_buffered_bytes(400)
            .linger(rng.duration(Duration::ZERO, Duration::from_millis(20)));
        if rng.percent(20) {
            builder = builder.retry_config(RetryConfig { max_retries: Some(3), ..RetryConfig::default() });
        }
        let producer = builder.build();
        let mut deliveries = Vec::new();
        for number in 0..100u32 {
            match producer.append_json_wait(&number).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(_) => break,
            }
            if rng.percent(20) {
                runtime.sleep(rng.duration(Duration::ZERO, Duration::from_millis(50))).await;
            }
        }
        // Everything is settled in any case.
        let closed = producer.close().await;
        let mut outcomes = Vec::new();
        for delivery in deliveries {
            outcomes.push(delivery.try_result().expect("it is settled").is_ok());
        }
        // The reverse is allowed: a halt with a batch that was stored.
        assert!(closed.is_err() || outcomes.iter().all(|ok| *ok), "seed {seed}: {outcomes:?}");
        let unsent: Vec<(u32, bool)> = producer
            .take_unacked()
            .iter()
            .map(|record| {
                let text = std::str::from_utf8(&record.data).unwrap();
                (text.trim().parse().unwrap(), record.may_be_stored)
            })
            .collect();
        let failed: Vec<u32> =
            (0..).zip(&outcomes).filter(|(_, ok)| !**ok).map(|(number, _)| number).collect();
        assert_eq!(unsent.iter().map(|(number, _)| *number).collect::<Vec<_>>(), failed, "seed {seed}");
        (outcomes, unsent)
    });
    // Requests that are still in the network arrive.
    world.settle(100 * SECOND).unwrap();

    let (outcomes, unsent) = outcomes;
    let view = stored(&world);
    let numbers: Vec<u32> = if json {
        view.messages.iter().map(|message| std::str::from_utf8(message).unwrap().parse().unwrap()).collect()
    } else {
        stored_lines(&world).iter().map(|line| line.parse().unwrap()).collect()
    };
    let about = || format!("seed {seed}: {numbers:?}\n{:#?}", schedule.events());
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "twice or out of order, {}", about());
    for (number, ok) in (0u32..).zip(&outcomes) {
        assert!(!ok || numbers.contains(&number), "{number} was acknowledged, {}", about());
    }
    for (number, may_be_stored) in &unsent {
        let may_be_stored = *may_be_stored || !refused_is_refused;
        assert!(may_be_stored || !numbers.contains(number), "{number} was not to be stored, {}", about());
    }
    unsent.len()
}

#[test]
fn random_faults_store_every_record_once() {
    let mut halted = 0;
    for seed in 0..600 {
        halted += usize::from(run(seed, seed % 2 == 0) > 0);
    }
    assert!((1..300).contains(&halted), "{halted} of 600 halted");
}
