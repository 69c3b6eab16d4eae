use crate::{Event, Fault, Incident, Memory, RetryAfter, Rng};
use std::fmt;
use std::time::Duration;

/// All that goes wrong in a world: data, so that it can be printed, replayed and shrunk.
///
/// ```
/// use durable_streams_sim::{Fault, Schedule};
///
/// let schedule = Schedule::new().request(2, Fault::LoseResponse).request(3, Fault::Refuse);
/// assert_eq!(schedule.to_string(), "request 2: applied, response lost; request 3: connection refused");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<Event>);

impl Schedule {
    /// A world in which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault that meets the request of this number; the world's requests are counted from 0. Where
    /// several meet the same request, the first holds.
    #[must_use]
    pub fn request(mut self, number: u64, fault: Fault) -> Self {
        self.0.push(Event::Request(number, fault));
        self
    }

    /// Adds an incident at this time after the world's beginning.
    #[must_use]
    pub fn at(mut self, time: Duration, incident: Incident) -> Self {
        self.0.push(Event::At(time, incident));
        self
    }

    /// A random schedule of `seed`, within `plan`.
    #[must_use]
    pub fn generate(seed: u64, plan: &FaultPlan) -> Self {
        let mut rng = Rng::new(seed).fork(0x5c4e_d01e);
        let mut schedule = Self::new();
        for number in 0..plan.requests {
            if rng.percent(plan.percent) {
                schedule = schedule.request(number, plan.fault(&mut rng));
            }
        }
        for _ in 0..rng.between(0, plan.incidents) {
            let time = rng.duration(Duration::ZERO, plan.span);
            schedule = schedule.at(time, plan.incident(&mut rng));
        }
        schedule
    }

    /// Its entries, in the order in which they were added.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.0
    }

    /// A schedule of these entries.
    #[must_use]
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Self {
        Self(events.into_iter().collect())
    }

    /// The smallest schedule it finds, by leaving entries out, for which `fails` still holds.
    #[must_use]
    pub fn shrink(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        Self(shrink(&self.0, |events| fails(&Self(events.to_vec()))))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing goes wrong");
        }
        for (i, event) in self.0.iter().enumerate() {
            write!(f, "{}{event}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// The smallest list it finds, by leaving items out, for which `fails` still holds: first by halves, then
/// by ever smaller pieces, until no single item can go.
///
/// ```
/// let needed = durable_streams_sim::shrink(&[1, 2, 3, 4, 5, 6], |list| list.contains(&2) && list.contains(&5));
/// assert_eq!(needed, [2, 5]);
/// ```
pub fn shrink<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    let mut piece = items.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        let mut shrunk = false;
        while start < items.len() {
            let mut fewer = items.clone();
            fewer.drain(start..(start + piece).min(items.len()));
            if fails(&fewer) {
                items = fewer;
                shrunk = true;
            } else {
                start += piece;
            }
        }
        piece = match (piece, shrunk) {
            (1, true) => 1,
            (piece, _) => piece / 2,
        };
    }
    items
}

/// Statuses by which something between refuses a request for good, though the server would not: see
/// [`FaultPlan::refusals`].
pub const REFUSALS: [u16; 6] = [400, 401, 403, 404, 410, 413];

/// How many and which faults [`Schedule::generate`] draws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultPlan {
    /// The requests, from the first, among which faults are dealt out. Default: 60.
    pub requests: u64,
    /// How many of a hundred requests meet a fault. Default: 25.
    pub percent: u64,
    /// At most so many incidents. Default: 2.
    pub incidents: u64,
    /// The time, from the beginning, among which incidents are dealt out. Default: 3 s.
    pub span: Duration,
    /// The longest delay, silence or outage. Default: 20 s.
    pub longest: Duration,
    /// Whether a request may be delivered twice: only what is idempotent survives that. Default: true.
    pub twice: bool,
    /// Whether a captive portal may answer. A client may take that for final. Default: false.
    pub portal: bool,
    /// Whether something between may refuse a request with one of [`REFUSALS`]. A client may take that for final.
    /// Default: false.
    pub refusals: bool,
    /// What the server may remember of a restart, chosen evenly. Default: everything, always.
    pub memory: Vec<Memory>,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            requests: 60,
            percent: 25,
            incidents: 2,
            span: Duration::from_secs(3),
            longest: Duration::from_secs(20),
            twice: true,
            portal: false,
            refusals: false,
            memory: vec![Memory::Kept],
        }
    }
}

impl FaultPlan {
    fn duration(&self, rng: &mut Rng) -> Duration {
        // Short ones matter most: they are what overlaps with something else.
        let longest = match rng.below(4) {
            0 => self.longest,
            1 => self.longest.min(Duration::from_secs(2)),
            _ => self.longest.min(Duration::from_millis(200)),
        };
        rng.duration(Duration::from_micros(1), longest)
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        loop {
            return match rng.below(15) {
                0 => Fault::Refuse,
                1 => Fault::LoseRequest,
                2 | 3 => Fault::LoseResponse,
                4 => Fault::Hang { applied: rng.percent(50) },
                5 | 6 => Fault::Delay { request: self.duration(rng), response: self.duration(rng) },
                7 => Fault::CutBody { after: cut(rng) },
                8 => Fault::EndEvents { after: cut(rng) },
                9 => Fault::StallBody { after: cut(rng) },
                10 | 11 => status(rng),
                12 if self.twice => Fault::Repeat { later: self.duration(rng) },
                14 if self.portal => Fault::CaptivePortal,
                14 if self.refusals => {
                    Fault::Status { status: *rng.pick(&REFUSALS), retry_after: None, applied: false }
                }
                13 => Fault::StaleCache,
                _ => continue,
            };
        }
    }

    fn incident(&self, rng: &mut Rng) -> Incident {
        match rng.below(6) {
            0 | 1 if !self.memory.is_empty() => {
                Incident::Restart { down: self.duration(rng), memory: *rng.pick(&self.memory) }
            }
            0..=2 => Incident::ResetConnections,
            3 => Incident::Partition(self.duration(rng)),
            4 => Incident::Suspend(self.duration(rng)),
            _ => Incident::WallClock(self.duration(rng) * 100),
        }
    }
}

fn status(rng: &mut Rng) -> Fault {
    let status = *rng.pick(&[408, 425, 429, 429, 500, 502, 503, 503, 504]);
    let seconds = rng.between(0, 5) as u32;
    let retry_after = match rng.below(4) {
        0 => Some(RetryAfter::Seconds(seconds)),
        1 => Some(RetryAfter::Date(seconds)),
        _ => None,
    };
    // After a 425 or a 429 nothing was applied.
    Fault::Status { status, retry_after, applied: !matches!(status, 425 | 429) && rng.percent(50) }
}

/// Where a body is cut: most are short, and their first bytes are where parsers err.
fn cut(rng: &mut Rng) -> usize {
    let most = *rng.pick(&[8, 80, 400, 4000]);
    rng.index(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_gives_the_same_schedule() {
        let plan = FaultPlan::default();
        assert_eq!(Schedule::generate(5, &plan), Schedule::generate(5, &plan));
        assert_ne!(Schedule::generate(5, &plan), Schedule::generate(6, &plan));
        assert!(!Schedule::generate(5, &plan).events().is_empty());
    }

    #[test]
    fn shrinking_keeps_what_is_needed() {
        let list: Vec<u32> = (0..100).collect();
        let needed = |list: &[u32]| [3, 4, 77].iter().all(|x| list.contains(x));
        assert_eq!(shrink(&list, needed), [3, 4, 77]);
        assert!(shrink(&list, |_| true).is_empty());
        assert_eq!(shrink(&list[..1], |list| !list.is_empty()), [0]);
    }
}
