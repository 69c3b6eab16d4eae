//! The machine alone: results in, attempts out.

mod claiming;
mod random;
mod rules;
mod splitting;

use super::attempt::{Attempt, AttemptResult, Fate};
use super::state::{Counters, Machine, Settings};
use super::window::Window;
use crate::error::{Error, StreamError};
use crate::offset::Offset;
use crate::producer::error::ProducerError;
use crate::producer::queue::batch::{BatchFraming, RecordKind, Sealed};
use crate::producer::queue::buffer::{Limits, Queue};
use crate::producer::receipt::Delivery;
use crate::protocol::headers::MAX_NUMBER;
use crate::retry::RetryConfig;
use std::time::Duration;
use std::time::Instant;

/// A machine, a clock, and the batches that it is given: numbered records of four bytes.
struct Rig {
    machine: Machine,
    now: Instant,
    queue: Queue,
    next: u32,
    deliveries: Vec<Delivery>,
    /// Records by result, in the order of settling; failed ones with whether they may be stored.
    stored: Vec<u32>,
    failed: Vec<(u32, bool)>,
}

fn settings() -> Settings {
    Settings {
        connection_status: crate::ConnectionStatus::new(),
        max_batch_bytes: usize::MAX,
        epoch: 0,
        auto_claim: false,
        accept_duplicates: false,
        max_in_flight: 5,
        retry: RetryConfig::default(),
    }
}

fn claiming() -> Settings {
    Settings { auto_claim: true, ..settings() }
}

impl Rig {
    fn new(settings: Settings) -> Self {
        let limits = Limits {
            batch_bytes: usize::MAX,
            batch_items: usize::MAX,
            buffered_bytes: usize::MAX,
            buffered_records: usize::MAX,
            linger: Duration::ZERO,
        };
        Self {
            machine: Machine::new(settings),
            now: Instant::now(),
            queue: Queue::new(limits, Some(BatchFraming::Bytes)),
            next: 0,
            deliveries: Vec::new(),
            stored: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// A machine with `count` batches of one record in flight, after a first one was acknowledged.
    fn in_flight(settings: Settings, count: usize) -> (Self, Vec<Attempt>) {
        let mut rig = Self::new(settings);
        let first = rig.offer(1);
        rig.ok(&first[0]);
        rig.machine.window = Window::opened(count, rig.machine.settings.max_in_flight);
        let attempts: Vec<Attempt> = (0..count).flat_map(|_| rig.offer(1)).collect();
        assert_eq!(attempts.len(), count);
        rig.stored.clear();
        (rig, attempts)
    }

    /// Offers a batch of so many records, and returns the attempts that follow.
    fn offer(&mut self, records: u32) -> Vec<Attempt> {
        assert!(self.machine.wants_batch());
        for _ in 0..records {
            let (index, _) = self.queue.push(RecordKind::Bytes, &self.next.to_be_bytes(), || self.now);
            self.deliveries.push(Delivery::new(self.queue.receipt().clone(), index));
            self.next += 1;
        }
        let Some(Sealed::Ready(batch)) = self.queue.pop(self.now) else { panic!("no batch") };
        self.machine.push_batch(batch);
        self.attempts()
    }

    fn attempts(&mut self) -> Vec<Attempt> {
        let now = self.now;
        std::iter::from_fn(|| self.machine.next_attempt(now)).collect()
    }

    /// Gives an answer, and returns the attempts that follow.
    fn answer(&mut self, attempt: &Attempt, result: AttemptResult) -> Vec<Attempt> {
        self.machine.on_result(attempt.key, result, self.now, u64::MAX);
        self.collect();
        self.attempts()
    }

    fn collect(&mut self) {
        for settled in self.machine.take_settled() {
            assert!(settled.batch.settle(settled.result.clone()).is_empty(), "no task waits");
            for record in settled.batch.unacked(settled.may_be_stored) {
                let number = u32::from_be_bytes(record.data.as_ref().try_into().unwrap());
                match settled.result {
                    Ok(_) => self.stored.push(number),
                    Err(_) => self.failed.push((number, record.may_be_stored)),
                }
            }
        }
    }

    fn ok(&mut self, attempt: &Attempt) -> Vec<Attempt> {
        self.answer(
            attempt,
            AttemptResult::Stored { offset: None, duplicate: false, highest: Some(attempt.seq) },
        )
    }

    fn duplicate(&mut self, attempt: &Attempt, highest: u64) -> Vec<Attempt> {
        self.answer(attempt, AttemptResult::Stored { offset: None, duplicate: true, highest: Some(highest) })
    }

    fn gap(&mut self, attempt: &Attempt, expected: u64) -> Vec<Attempt> {
        self.answer(attempt, AttemptResult::Gap { expected, received: attempt.seq })
    }

    /// The connection broke: the fate is not known.
    fn lost(&mut self, attempt: &Attempt) -> Vec<Attempt> {
        self.answer(
            attempt,
            AttemptResult::Failed { error: server_error(), fate: Fate::Unknown, retry: true },
        )
    }

    fn stale(&mut self, attempt: &Attempt, server_epoch: u64) -> Vec<Attempt> {
        self.answer(attempt, AttemptResult::Stale { server_epoch })
    }

    fn too_large(&mut self, attempt: &Attempt) -> Vec<Attempt> {
        let error = StreamError::PayloadTooLarge { size: attempt.body.len() }.into();
        self.answer(attempt, AttemptResult::TooLarge(error))
    }

    /// Lets time pass until the machine has something to do.
    fn wait(&mut self) -> Vec<Attempt> {
        self.now = self.machine.deadline().expect("it waits for something").max(self.now);
        self.attempts()
    }

    fn halted(&self) -> &ProducerError {
        self.machine.halted().expect("it has halted")
    }
}

fn server_error() -> Error {
    StreamError::ServerError { status: 503, message: "busy".into() }.into()
}

fn seqs(attempts: &[Attempt]) -> Vec<u64> {
    attempts.iter().map(|attempt| attempt.seq).collect()
}
