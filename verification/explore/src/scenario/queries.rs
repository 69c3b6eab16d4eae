//! What the runs and the checks derive from a scenario.

use super::data::{Expiry, Failure, Finish, ProcessId, Scenario, Writer};
use durable_streams_sim::{Event, Fault, Gateway, Incident, Memory, REFUSALS, Schedule};
use std::time::Duration;

impl Scenario {
    /// The faults of the world.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule::from_events(self.failures.iter().filter_map(|failure| match failure {
            Failure::World(event) => Some(event.clone()),
            _ => None,
        }))
    }

    /// When `process` crashes, in order.
    #[must_use]
    pub fn crashes(&self, process: ProcessId) -> Vec<Duration> {
        let mut times: Vec<Duration> = self
            .failures
            .iter()
            .filter_map(|failure| match failure {
                Failure::Crash { process: crashing, at } if *crashing == process => Some(*at),
                _ => None,
            })
            .collect();
        times.sort();
        times
    }

    /// When a writer is replaced while it sleeps, and for how long.
    #[must_use]
    pub fn replacement(&self, replaced: usize) -> Option<(Duration, Duration)> {
        self.failures.iter().find_map(|failure| match failure {
            Failure::Replacement { writer, at, sleep } if *writer == replaced => Some((*at, *sleep)),
            _ => None,
        })
    }

    /// The worst loss of the server's memory. A stream that expires counts as lost.
    #[must_use]
    pub fn worst_memory(&self) -> Memory {
        if self.initial_states.iter().any(|state| matches!(state.expiry, Expiry::At(_))) {
            return Memory::Lost;
        }
        let mut worst = Memory::Kept;
        for failure in &self.failures {
            match failure {
                Failure::World(Event::At(
                    _,
                    Incident::Restart { memory: Memory::Lost, .. } | Incident::Recreate,
                )) => {
                    return Memory::Lost;
                }
                Failure::World(Event::At(_, Incident::Restart { memory: Memory::WithoutProducers, .. })) => {
                    worst = Memory::WithoutProducers;
                }
                _ => {}
            }
        }
        worst
    }

    /// How many writers close a stream. One that is replaced while it sleeps counts twice.
    #[must_use]
    pub fn closers(&self, stream: usize) -> usize {
        let closes =
            |writer: &Writer| matches!(writer.finish, Finish::CloseStream(_)) && writer.stream == stream;
        let closers = self.writers.iter().enumerate().filter(|(_, writer)| closes(writer));
        closers.map(|(number, _)| 1 + usize::from(self.replacement(number).is_some())).sum()
    }

    /// Whether a process sleeps.
    #[must_use]
    pub fn has_sleep(&self) -> bool {
        self.failures.iter().any(|failure| {
            matches!(
                failure,
                Failure::Replacement { .. } | Failure::World(Event::At(_, Incident::Suspend(_)))
            )
        })
    }

    /// Whether no request arrives after its client has dropped it.
    #[must_use]
    pub fn has_no_late_request(&self) -> bool {
        self.failures.iter().all(|failure| match failure {
            Failure::World(Event::Request(_, fault)) => {
                !matches!(fault, Fault::Delay { .. } | Fault::Repeat { .. })
            }
            Failure::World(Event::At(_, incident)) => matches!(incident, Incident::Restart { .. }),
            Failure::Crash { process, .. } => matches!(process, ProcessId::Reader(_)),
            Failure::Replacement { .. } => false,
        })
    }

    /// Whether this stands between client and server at some time.
    #[must_use]
    pub fn has_gateway(&self, matches: impl Fn(&Gateway) -> bool) -> bool {
        self.failures.iter().any(|failure| match failure {
            Failure::World(
                Event::Request(_, Fault::Gateway(gateway)) | Event::At(_, Incident::Gateway(gateway, _)),
            ) => matches(gateway),
            _ => false,
        })
    }

    /// Whether a proxy sends a final refusal or a captive portal's page.
    #[must_use]
    pub fn has_false_refusal(&self) -> bool {
        self.failures.iter().any(|failure| match failure {
            Failure::World(Event::Request(_, Fault::CaptivePortal)) => true,
            Failure::World(Event::Request(_, Fault::Status { status, .. })) => REFUSALS.contains(status),
            _ => false,
        })
    }
}
