//! Faults of requests at random.

use super::data::Failure;
use durable_streams_sim::{Event, Fault, Rng};

/// `percent` of the requests meet one of these faults.
pub(super) fn scattered(rng: &mut Rng, percent: u64, faults: &[Fault]) -> Vec<Failure> {
    let requests = (0..80).filter(|_| rng.percent(percent)).collect::<Vec<_>>();
    requests
        .into_iter()
        .map(|number| Failure::World(Event::Request(number, rng.pick(faults).clone())))
        .collect()
}
