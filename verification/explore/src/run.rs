//! Plays a plan in a world of its own.

use crate::check::check;
use crate::ledger::Ledger;
use crate::plan::{Mishap, Plan};
use crate::prepare::{close, prepare};
use crate::reading::{Consumed, read};
use crate::stage::Stage;
use crate::writing::write;
use durable_streams_contract::Timer;
use durable_streams_sim::{World, shrink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Everything has ended by then: the longest mishap, the longest backoff, and the longest live read, some times.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// After the last handle is dropped a producer drains for 30 s at most.
const SETTLED: Duration = Duration::from_secs(120);

/// What came of a plan.
#[derive(Debug)]
pub struct Played {
    /// What was wrong, if anything was.
    pub failure: Option<String>,
    /// How many requests were sent.
    pub requests: usize,
    /// What happened, line by line, if it was asked for.
    pub trace: Vec<String>,
}

/// Plays a plan, and checks what came of it.
#[must_use]
pub fn play(plan: &Plan, trace: bool) -> Played {
    let mut world = World::builder(plan.seed)
        .server(plan.server.clone())
        .network(plan.network.clone())
        .schedule(plan.schedule())
        .trace(trace)
        .max_time(LONGEST)
        .max_steps(2_000_000)
        .build();
    let failure = match catch_unwind(AssertUnwindSafe(|| act(plan, &mut world))) {
        Ok(outcome) => outcome.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(format!("panic: {}", text.unwrap_or("of an unknown kind")))
        }
    };
    Played { failure, requests: world.requests().len(), trace: world.take_trace() }
}

fn act(plan: &Plan, world: &mut World) -> Result<(), String> {
    let plan = Arc::new(plan.clone());
    prepare(&plan, world);
    let stage = Stage {
        plan: plan.clone(),
        ledger: Ledger::default(),
        transport: world.transport(),
        runtime: world.runtime(),
        server: world.server(),
        spawner: world.spawner(),
    };
    let readers: Vec<Consumed> = plan.readers.iter().map(|_| Consumed::default()).collect();
    let ended = world.try_run(everybody(stage.clone(), &readers));
    ended.map_err(|stalled| format!("it came to no end: {stalled}"))?;
    check(&plan, &stage.server, &stage.ledger, &readers, &world.requests())?;
    let left = world.settle(SETTLED).map_err(|stalled| stalled.to_string())?;
    match left {
        0 => Ok(()),
        left => Err(format!("{left} tasks are left when all is done")),
    }
}

async fn everybody(stage: Stage, consumed: &[Consumed]) {
    let runtime = stage.runtime.clone();
    let writers: Vec<_> =
        (0..stage.plan.writers.len()).map(|number| runtime.start(write(stage.clone(), number))).collect();
    let readers: Vec<_> = consumed
        .iter()
        .enumerate()
        .map(|(number, consumed)| runtime.start(read(stage.clone(), number, consumed.clone())))
        .collect();
    for writer in writers {
        if writer.await.is_err() {
            stage.ledger.violation("a writer's supervisor was killed".to_owned());
        }
    }
    // Late deliveries arrive; then the streams end, so that the readers do.
    runtime.sleep(Duration::from_secs(2)).await;
    for number in 0..stage.plan.streams.len() {
        close(&stage, number);
    }
    for reader in readers {
        if reader.await.is_err() {
            stage.ledger.violation("a reader's supervisor was killed".to_owned());
        }
    }
}

/// A failure without its particulars, so that shrinking does not wander to another one.
fn kind(failure: &str) -> String {
    failure.chars().filter(|c| c.is_alphabetic()).take(24).collect()
}

/// The smallest plan it finds that fails still, and in the same way: with fewer mishaps, readers and writers.
#[must_use]
pub fn shrunk(plan: &Plan) -> Plan {
    let Some(failure) = play(plan, false).failure else { return plan.clone() };
    let fails = |plan: &Plan| play(plan, false).failure.is_some_and(|other| kind(&other) == kind(&failure));
    let mut plan = plan.clone();
    let with = |plan: &Plan, mishaps: &[Mishap]| Plan { mishaps: mishaps.to_vec(), ..plan.clone() };
    plan.mishaps = shrink(&plan.mishaps, |mishaps| fails(&with(&plan, mishaps)));
    // The last ones first, so that the numbers of the others stay.
    while plan.readers.len() > 1 {
        let mut fewer = plan.clone();
        fewer.readers.pop();
        if !fails(&fewer) {
            break;
        }
        plan = fewer;
    }
    while plan.writers.len() > 1 {
        let mut fewer = plan.clone();
        fewer.writers.pop();
        if !fails(&fewer) {
            break;
        }
        plan = fewer;
    }
    for number in 0..plan.writers.len() {
        while plan.writers[number].records > 1 {
            let mut fewer = plan.clone();
            fewer.writers[number].records /= 2;
            if !fails(&fewer) {
                break;
            }
            plan = fewer;
        }
    }
    plan.mishaps = shrink(&plan.mishaps, |mishaps| fails(&with(&plan, mishaps)));
    plan
}
