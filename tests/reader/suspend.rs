//! A computer that was suspended: its connections are dead, without an error.

use super::{SECOND, reader_on, stream};
use durable_streams::contract::Timer;
use durable_streams::{ErrorAction, LiveMode, Offset};
use durable_streams_sim::{Fault, Incident, Schedule, World};
use std::time::Duration;

/// An idle timeout that does not fire in these tests.
const IDLE: Duration = Duration::from_secs(3600);

/// The time from an append to its delivery, if the live request, the third of the world, falls silent at once. `incident`
/// happens after 20 s, the append after 85 s.
fn delay(mode: LiveMode, incident: Option<Incident>) -> Duration {
    let silence = match mode {
        LiveMode::LongPoll => Fault::Hang { applied: true },
        _ => Fault::StallBody { after: 1 },
    };
    let mut schedule = Schedule::new().request(2, silence);
    let is_suspended = incident.is_some();
    if let Some(incident) = incident {
        schedule = schedule.at(20 * SECOND, incident);
    }
    let mut world = World::builder(1).schedule(schedule).build();
    let stream = stream(&mut world);
    let laptop = world.process("laptop");
    let reader =
        reader_on(&world, &laptop).offset(Offset::Now).live(mode).idle_timeout(IDLE).event_timeout(IDLE);
    let clock = world.runtime();
    let read = laptop.spawn(async move {
        // A suspension must not count as a failure.
        let action = if is_suspended { ErrorAction::Stop } else { ErrorAction::Retry { headers: None } };
        let mut values = reader.on_error(move |_| action.clone()).json::<u32>().await.unwrap();
        assert_eq!(values.next().await.unwrap().unwrap(), 7);
        clock.elapsed()
    });
    let clock = world.runtime();
    world.run(async move {
        clock.sleep(85 * SECOND).await;
        stream.append("[7]").await.unwrap();
        let appended = clock.elapsed();
        // The reader may have the data before the response to the append has arrived.
        read.await.unwrap().saturating_sub(appended)
    })
}

#[test]
fn dead_connection_is_given_up_after_suspension() {
    for mode in [LiveMode::Sse, LiveMode::LongPoll, LiveMode::Auto] {
        let unnoticed = delay(mode, None);
        assert!(unnoticed > IDLE / 2, "{mode:?}: {unnoticed:?}");
        // Both clocks go on during the suspension; or the monotonic clock stands still, as on Linux.
        for incident in [Incident::Suspend(60 * SECOND), Incident::WallClock(60 * SECOND)] {
            let noticed = delay(mode, Some(incident.clone()));
            assert!(noticed < 20 * SECOND, "{mode:?}, {incident:?}: {noticed:?}");
        }
    }
}
