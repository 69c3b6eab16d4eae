//! The scheduler: virtual time, order by seed, processes that die, and runs that come to no end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use durable_streams_contract::{Executor, Task, Timer};
use durable_streams_sim::{Killed, Schedule, Stalled, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// The order in which ten tasks, all ready at once, run.
fn order(seed: u64) -> Vec<u64> {
    let mut world = World::new(seed);
    let runtime = world.runtime();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for i in 0..10 {
        let (seen, sleep) = (seen.clone(), runtime.sleep(HOUR));
        runtime.spawn(Task::new(async move {
            sleep.await;
            seen.lock().unwrap().push(i);
        }));
    }
    world.run(runtime.sleep(2 * HOUR));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 10);
    seen
}

#[test]
fn seed_decides_the_order() {
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn time_passes_only_when_nothing_is_ready() {
    let started = std::time::Instant::now();
    let mut world = World::new(0);
    let runtime = world.runtime();
    let (instant, wall) = (runtime.now(), runtime.wall_time());
    world.run(async {
        for _ in 0..100 {
            runtime.sleep(HOUR).await;
        }
    });
    assert_eq!(world.elapsed(), 100 * HOUR);
    assert_eq!(runtime.now() - instant, 100 * HOUR);
    assert_eq!(runtime.wall_time().duration_since(wall).unwrap(), 100 * HOUR);
    assert!(started.elapsed() < HOUR);
}

#[test]
fn timeout_drops_late_work() {
    let mut world = World::new(0);
    let runtime = world.runtime();
    assert_eq!(world.run(runtime.timeout(HOUR, runtime.sleep(2 * HOUR))), None);
    assert_eq!(world.elapsed(), HOUR);
    assert_eq!(world.run(runtime.timeout(2 * HOUR, runtime.sleep(HOUR))), Some(()));
    assert_eq!(world.elapsed(), 2 * HOUR);
}

#[test]
fn deadlock_is_reported() {
    let mut world = World::new(0);
    let app = world.process("app");
    drop(app.spawn(std::future::pending::<()>()));
    let stalled = world.try_run(std::future::pending::<()>()).unwrap_err();
    assert_eq!(
        stalled.to_string(),
        "deadlock after 0ns: no task is ready and no timer is set; waiting: 1 in app"
    );
}

#[test]
fn endless_work_is_told() {
    let mut world = World::builder(0).max_steps(1000).max_time(HOUR).build();
    let runtime = world.runtime();
    let spinning = world.try_run(futures_lite::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        std::task::Poll::<()>::Pending
    }));
    assert_eq!(spinning, Err(Stalled::Steps(1000)));
    let waiting = world.try_run(async {
        loop {
            runtime.sleep(HOUR / 10).await;
        }
    });
    assert_eq!(waiting, Err::<(), _>(Stalled::Time(HOUR)));
    assert_eq!(
        world.try_run(runtime.sleep(Duration::MAX)),
        Err(Stalled::Deadlock { at: world.elapsed(), waiting: vec![] })
    );
}

#[test]
fn killed_process_never_runs_again() {
    let mut world = World::new(3);
    let app = world.process("app");
    let runtime = app.runtime();
    let counted = Arc::new(Mutex::new(0));
    let work = app.spawn({
        let (runtime, counted) = (runtime.clone(), counted.clone());
        async move {
            // A background task, as a producer's: it belongs to the process too.
            let (inner, more) = (runtime.clone(), counted.clone());
            runtime.spawn(Task::new(async move {
                loop {
                    inner.sleep(Duration::from_secs(1)).await;
                    *more.lock().unwrap() += 1;
                }
            }));
            runtime.sleep(HOUR).await;
        }
    });
    let short = app.spawn(async { 7 });
    let outside = world.runtime();
    world.run(async {
        assert_eq!(short.await, Ok(7));
        outside.sleep(Duration::from_millis(10_500)).await;
        app.kill();
        assert_eq!(work.await, Err(Killed));
    });
    assert!(!app.is_alive());
    assert_eq!(world.settle(HOUR), Ok(0));
    assert_eq!(*counted.lock().unwrap(), 10);
    let late = app.spawn(async {});
    assert_eq!(world.run(late), Err(Killed));
    // Not even what was spawned just before.
    let brief = world.process("brief");
    let spawned = brief.spawn(async {});
    brief.kill();
    assert_eq!(world.run(spawned), Err(Killed));
}

#[test]
fn sleeping_computer_misses_time() {
    let mut world = World::new(3);
    let app = world.process("laptop");
    let runtime = app.runtime();
    let sleep = runtime.sleep(Duration::from_secs(1));
    let work = app.spawn(async move {
        sleep.await;
        runtime.elapsed()
    });
    app.freeze(HOUR);
    assert_eq!(world.run(work), Ok(HOUR));
}

#[test]
fn dropped_world_drops_its_tasks() {
    let held = Arc::new(());
    {
        let mut world = World::builder(1).schedule(Schedule::new()).build();
        let (runtime, app) = (world.runtime(), world.process("app"));
        for _ in 0..3 {
            let (held, sleep) = (held.clone(), runtime.sleep(HOUR));
            drop(app.spawn(async move {
                sleep.await;
                drop(held);
            }));
        }
        world.run(runtime.sleep(Duration::from_secs(1)));
        let held = held.clone();
        runtime.spawn(Task::new(async move { drop(held) }));
    }
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn chance_is_the_seeds() {
    let draw = |seed| World::new(seed).runtime().random();
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}
