//! A machine that slept: connections that are dead without anybody having said so.

use super::{SECOND, reader_on, stream};
use durable_streams::contract::Timer;
use durable_streams::{ErrorAction, LiveMode, Offset};
use durable_streams_sim::{Fault, Incident, Schedule, World};
use std::time::Duration;

/// Far more than a tail is quiet.
const IDLE: Duration = Duration::from_secs(3600);

/// How long after an append a tail has it, when its live request, the world's third, fell silent at its
/// beginning. `incident` happens after 20 s, the append after 85 s.
fn delay(mode: LiveMode, incident: Option<Incident>) -> Duration {
    let silence = match mode {
        LiveMode::LongPoll => Fault::Hang { applied: true },
        _ => Fault::StallBody { after: 1 },
    };
    let mut schedule = Schedule::new().request(2, silence);
    let slept = incident.is_some();
    if let Some(incident) = incident {
        schedule = schedule.at(20 * SECOND, incident);
    }
    let mut world = World::builder(1).schedule(schedule).build();
    let stream = stream(&mut world);
    let laptop = world.process("laptop");
    let reader = reader_on(&world, &laptop).offset(Offset::Now).live(mode).idle_timeout(IDLE);
    let clock = world.runtime();
    let read = laptop.spawn(async move {
        // To sleep is no failure.
        let action = if slept { ErrorAction::Stop } else { ErrorAction::Retry { headers: None } };
        let mut values = reader.on_error(move |_| action.clone()).json::<u32>().await.unwrap();
        assert_eq!(values.next().await.unwrap().unwrap(), 7);
        clock.elapsed()
    });
    let clock = world.runtime();
    world.run(async move {
        clock.sleep(85 * SECOND).await;
        stream.append("[7]").await.unwrap();
        let appended = clock.elapsed();
        // The tail may have it before the appender has its answer.
        read.await.unwrap().saturating_sub(appended)
    })
}

#[test]
fn a_connection_that_died_in_its_sleep_is_not_waited_for() {
    for mode in [LiveMode::Sse, LiveMode::LongPoll, LiveMode::Auto] {
        let unnoticed = delay(mode, None);
        assert!(unnoticed > IDLE / 2, "{mode:?}: {unnoticed:?}");
        // Both clocks go on meanwhile; or the monotonic one stands still, as on Linux.
        for incident in [Incident::Sleep(60 * SECOND), Incident::WallClock(60 * SECOND)] {
            let noticed = delay(mode, Some(incident.clone()));
            assert!(noticed < 20 * SECOND, "{mode:?}, {incident:?}: {noticed:?}");
        }
    }
}
