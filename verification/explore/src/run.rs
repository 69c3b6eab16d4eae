//! Runs a scenario in a world of its own.

use crate::check::check;
use crate::consumed::Consumed;
use crate::context::RunContext;
use crate::prepare::{close, prepare};
use crate::reading::read;
use crate::record_log::RecordLog;
use crate::scenario::{Failure, Scenario};
use crate::writing::write;
use durable_streams_contract::Timer;
use durable_streams_sim::{World, shrink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The time limit of a run: several times the longest failure, backoff and live read.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// After the last handle is dropped a producer drains for 30 s at most.
const SETTLED: Duration = Duration::from_secs(120);

/// The result of a run.
#[derive(Debug)]
pub struct Played {
    /// The first violation.
    pub failure: Option<String>,
    /// How many requests were sent.
    pub requests: usize,
    /// The trace, if it was requested.
    pub trace: Vec<String>,
}

/// Runs a scenario, and checks the result.
#[must_use]
pub fn play(scenario: &Scenario, trace: bool) -> Played {
    let mut world = World::builder(scenario.seed)
        .server(scenario.server.clone())
        .network(scenario.network.clone())
        .schedule(scenario.schedule())
        .drift(scenario.drift)
        .trace(trace)
        .max_time(LONGEST)
        .max_steps(2_000_000)
        .build();
    let failure = match catch_unwind(AssertUnwindSafe(|| act(scenario, &mut world))) {
        Ok(outcome) => outcome.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(format!("panic: {}", text.unwrap_or("of an unknown kind")))
        }
    };
    Played { failure, requests: world.requests().len(), trace: world.take_trace() }
}

fn act(scenario: &Scenario, world: &mut World) -> Result<(), String> {
    let scenario = Arc::new(scenario.clone());
    prepare(&scenario, world);
    let context = RunContext {
        scenario: scenario.clone(),
        record_log: RecordLog::default(),
        transport: world.transport(),
        runtime: world.runtime(),
        server: world.server(),
        spawner: world.spawner(),
    };
    let readers: Vec<Consumed> = scenario.readers.iter().map(|_| Consumed::default()).collect();
    let ended = world.try_run(everybody(context.clone(), &readers));
    ended.map_err(|stalled| format!("it came to no end: {stalled}"))?;
    if let Some(limit) = scenario.theme.time_limit().filter(|limit| world.elapsed() > *limit) {
        return Err(format!("it took {:?}, of at most {limit:?}", world.elapsed()));
    }
    check(&scenario, &context.server, &context.record_log, &readers, &world.requests())?;
    let left = world.settle(SETTLED).map_err(|stalled| stalled.to_string())?;
    match left {
        0 => Ok(()),
        left => Err(format!("{left} tasks are left when all is done")),
    }
}

async fn everybody(context: RunContext, consumed: &[Consumed]) {
    let runtime = context.runtime.clone();
    let writers: Vec<_> = (0..context.scenario.writers.len())
        .map(|number| runtime.start(write(context.clone(), number)))
        .collect();
    let readers: Vec<_> = consumed
        .iter()
        .enumerate()
        .map(|(number, consumed)| runtime.start(read(context.clone(), number, consumed.clone())))
        .collect();
    for writer in writers {
        if writer.await.is_err() {
            context.record_log.violation("a writer's supervisor was killed".to_owned());
        }
    }
    // Late requests arrive. Then the streams are closed, so that the readers end.
    runtime.sleep(Duration::from_secs(2)).await;
    for number in 0..context.scenario.streams.len() {
        close(&context, number);
    }
    for reader in readers {
        if reader.await.is_err() {
            context.record_log.violation("a reader's supervisor was killed".to_owned());
        }
    }
}

/// A failure without its details, so that shrinking keeps the same kind of failure.
fn kind(failure: &str) -> String {
    failure.chars().filter(|c| c.is_alphabetic()).take(24).collect()
}

/// The smallest scenario found that still fails in the same way: with fewer failures, readers and writers.
#[must_use]
pub fn shrunk(scenario: &Scenario) -> Scenario {
    let Some(failure) = play(scenario, false).failure else { return scenario.clone() };
    let fails = |scenario: &Scenario| {
        play(scenario, false).failure.is_some_and(|other| kind(&other) == kind(&failure))
    };
    let mut scenario = scenario.clone();
    let with = |scenario: &Scenario, failures: &[Failure]| Scenario {
        failures: failures.to_vec(),
        ..scenario.clone()
    };
    scenario.failures = shrink(&scenario.failures, |failures| fails(&with(&scenario, failures)));
    // From the last one, so that the numbers of the others do not change.
    while scenario.readers.len() > 1 {
        let mut fewer = scenario.clone();
        fewer.readers.pop();
        if !fails(&fewer) {
            break;
        }
        scenario = fewer;
    }
    while scenario.writers.len() > 1 {
        let mut fewer = scenario.clone();
        fewer.writers.pop();
        if !fails(&fewer) {
            break;
        }
        scenario = fewer;
    }
    for number in 0..scenario.writers.len() {
        while scenario.writers[number].records > 1 {
            let mut fewer = scenario.clone();
            fewer.writers[number].records /= 2;
            if !fails(&fewer) {
                break;
            }
            scenario = fewer;
        }
    }
    scenario.failures = shrink(&scenario.failures, |failures| fails(&with(&scenario, failures)));
    scenario
}
