//! One application: appends records as long as the faults last, and loses none.

use crate::Result;
use crate::random::Random;
use crate::record::Record;
use crate::recover::{self, Recovered};
use durable_streams::{
    DurableStream, IdempotentProducer, ProducerBuilder, ProducerError, ProducerStats, RetryConfig,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const IN_FLIGHT: usize = 5;

/// What one application did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) writer: u32,
    /// The number of its last record.
    pub(crate) made: u64,
    pub(crate) recoveries: u64,
    pub(crate) in_doubt: u64,
    pub(crate) found_stored: u64,
    pub(crate) batches: u64,
    pub(crate) requests: u64,
    pub(crate) resent: u64,
    pub(crate) duplicates: u64,
    pub(crate) gaps: u64,
    pub(crate) claims: u64,
}

impl Tally {
    fn add(&mut self, stats: &ProducerStats) {
        self.batches += stats.acked_batches;
        self.requests += stats.requests;
        self.resent += stats.resent;
        self.duplicates += stats.duplicates;
        self.gaps += stats.gaps;
        self.claims += stats.claims;
    }

    /// All that several did.
    pub(crate) fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.made += tally.made;
            sum.recoveries += tally.recoveries;
            sum.in_doubt += tally.in_doubt;
            sum.found_stored += tally.found_stored;
            sum.batches += tally.batches;
            sum.requests += tally.requests;
            sum.resent += tally.resent;
            sum.duplicates += tally.duplicates;
            sum.gaps += tally.gaps;
            sum.claims += tally.claims;
        }
        sum
    }
}

pub(crate) struct Writer {
    stream: DurableStream,
    number: u32,
    auto_claim: bool,
    random: Random,
    run: u32,
    /// Made, and not yet handed to a producer.
    pending: VecDeque<Record>,
    tally: Tally,
}

impl Writer {
    pub(crate) fn new(stream: DurableStream, number: u32, auto_claim: bool, random: Random) -> Self {
        let tally = Tally { writer: number, ..Tally::default() };
        Self { stream, number, auto_claim, random, run: 0, pending: VecDeque::new(), tally }
    }

    /// Appends until the faults are over, and ends with everything stored.
    pub(crate) async fn write(mut self, over: &AtomicBool) -> Result<Tally> {
        let (mut producer, run) = recover::begin(|epoch| self.configured(epoch), 0, self.number, 0).await?;
        self.run = run;
        loop {
            let ended = self.append(&producer, over).await;
            // When this has returned, it is known of every record whether it is stored.
            let ended = ended.and(producer.close().await);
            self.tally.add(&producer.stats());
            match ended {
                Ok(()) => return Ok(self.tally),
                Err(error) if recover::is_recoverable(&error) => producer = self.recover(&producer).await?,
                Err(error) => return Err(recover::unexplained(error)),
            }
        }
    }

    fn configured(&self, epoch: u64) -> ProducerBuilder {
        self.stream
            .producer(format!("writer-{}", self.number))
            .epoch(epoch)
            .auto_claim(self.auto_claim)
            .max_in_flight(IN_FLIGHT)
            // Small, so that there are many batches, and the queue is full where the server is away.
            .max_batch_items(10)
            .max_buffered_bytes(100_000)
            .linger(Duration::from_millis(1))
            .retry_config(RetryConfig { max_backoff: Duration::from_millis(500), ..RetryConfig::default() })
    }

    async fn append(
        &mut self,
        producer: &IdempotentProducer,
        over: &AtomicBool,
    ) -> std::result::Result<(), ProducerError> {
        loop {
            while let Some(record) = self.pending.front() {
                producer.append_json_wait(record).await?;
                self.pending.pop_front();
            }
            if over.load(Ordering::Relaxed) {
                return Ok(());
            }
            for _ in 0..=self.random.below(100) {
                self.tally.made += 1;
                let (writer, run, number) = (self.number, self.run, self.tally.made);
                self.pending.push_back(Record { writer, run, number });
            }
            // This thread is this application's.
            thread::sleep(Duration::from_millis(self.random.below(50)));
        }
    }

    async fn recover(&mut self, halted: &IdempotentProducer) -> Result<IdempotentProducer> {
        let configured = |epoch| self.configured(epoch);
        let recovered = recover::recover(&self.stream, configured, halted, self.number, self.run).await?;
        let Recovered { producer, run, mut missing, in_doubt, stored } = recovered;
        self.run = run;
        missing.append(&mut self.pending);
        self.pending = missing;
        self.tally.recoveries += 1;
        self.tally.in_doubt += in_doubt as u64;
        self.tally.found_stored += stored as u64;
        Ok(producer)
    }
}
