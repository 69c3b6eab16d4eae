//! Writers: processes that append records and note the results.

use crate::context::RunContext;
use crate::record_log::{Fate, Look, RecordId, RecordLog, record};
use crate::scenario::times::UNBOUNDED;
use crate::scenario::{Content, Finish, ProcessId, Scenario, WriteMode, Writer};
use bytes::Bytes;
use durable_streams::{
    Ack, ClientBuilder, Delivery, DurableStream, IdempotentProducer, Offset, ProducerError, RetryConfig,
    StreamError,
};
use durable_streams_contract::Timer;
use durable_streams_sim::{Rng, SimRuntime, SimTransport};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

type Stream = DurableStream<SimTransport, SimRuntime>;
type Producer = IdempotentProducer<SimTransport, SimRuntime>;

/// The drain timeout, and a little more.
const DRAIN: Duration = Duration::from_secs(31);

/// How many claims in succession a producer makes.
const CLAIMS: u64 = 5;

/// Whether the stream still accepts records after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Open,
    Closed,
}

/// Runs a writer: its first process, and another one after each crash.
pub(crate) async fn write(mut context: RunContext, number: usize) {
    let crashes = context.scenario.crashes(ProcessId::Writer(number));
    let zombie = context.scenario.replacement(number);
    let mut run = 0;
    if let Some((at, sleep)) = zombie {
        // The first process sleeps, a second one takes over, and the first wakes up.
        let process = context.spawner.process(&format!("writer {number}.0"));
        let first = process.spawn(run_writer(context.clone(), process.runtime(), number, 0));
        context.runtime.sleep(at.saturating_sub(context.runtime.elapsed())).await;
        process.freeze(sleep);
        run_process(&mut context, number, 1, None).await;
        if first.await.is_err() {
            context.record_log.violation(format!("writer {number}.0 was killed"));
        }
        run = 2;
    }
    for crash in crashes.into_iter().map(Some).chain([None]) {
        if run_process(&mut context, number, run, crash).await == Some(Left::Closed) {
            return;
        }
        run += 1;
    }
}

/// One process of a writer, until it is done. `None` if it crashed.
async fn run_process(
    context: &mut RunContext,
    number: usize,
    run: usize,
    crash: Option<Duration>,
) -> Option<Left> {
    let process = context.spawner.process(&format!("writer {number}.{run}"));
    let work = process.spawn(run_writer(context.clone(), process.runtime(), number, run));
    let Some(at) = crash else { return work.await.ok() };
    let left = at.saturating_sub(context.runtime.elapsed());
    match context.runtime.timeout(left, work).await {
        Some(done) => done.ok(),
        None => {
            process.kill();
            None
        }
    }
}

async fn run_writer(context: RunContext, runtime: SimRuntime, number: usize, run: usize) -> Left {
    let scenario = context.scenario.clone();
    let writer = &scenario.writers[number];
    let content = scenario.streams[writer.stream];
    let rng = Rng::new(scenario.seed).fork(1000 + 10 * number as u64 + run as u64);
    let host = format!("http://writer{number}-{run}");
    let mut client = ClientBuilder::new(context.transport.clone(), runtime.clone()).base_url(host);
    if let Some(timeout) = writer.header_timeout {
        client = client.header_timeout(timeout);
    }
    let client = match client.build() {
        Ok(client) => client,
        Err(error) => {
            context.record_log.violation(format!("the client could not be built: {error}"));
            return Left::Open;
        }
    };
    let mut stream = client.stream(Scenario::path(writer.stream));
    if writer.knows_type {
        stream = stream.with_content_type(content.content_type());
    }
    let job = Job {
        record_log: context.record_log,
        runtime,
        writer: writer.clone(),
        content,
        number,
        run,
        rng,
        is_awake: !scenario.has_sleep(),
        closes_alone: run == 0 && scenario.closers(writer.stream) == 1,
        taken: 0,
    };
    match writer.write_mode.clone() {
        WriteMode::Single => job.write_singly(&stream).await,
        WriteMode::Producer {
            auto_claim,
            in_flight,
            batch_items,
            batch_bytes,
            linger,
            buffered_bytes,
            buffered_records,
            retries,
        } => {
            let mut builder = stream
                .producer(format!("writer-{number}"))
                .auto_claim(auto_claim)
                .epoch(if auto_claim { 0 } else { run as u64 })
                .max_in_flight(in_flight)
                .max_batch_items(batch_items)
                .max_batch_bytes(batch_bytes)
                .linger(linger)
                .max_buffered_bytes(buffered_bytes)
                .max_buffered_records(buffered_records);
            if retries.is_some() {
                builder =
                    builder.retry_config(RetryConfig { max_retries: retries, ..RetryConfig::default() });
            }
            job.write_with(builder.build()).await
        }
    }
}

struct Job {
    record_log: RecordLog,
    runtime: SimRuntime,
    writer: Writer,
    content: Content,
    number: usize,
    run: usize,
    rng: Rng,
    /// Nothing lets it sleep.
    is_awake: bool,
    /// Nobody else closes the stream before everybody is done.
    closes_alone: bool,
    /// Records that the producer has taken.
    taken: u64,
}

impl Job {
    fn id(&self, number: usize) -> RecordId {
        RecordId { writer: self.number, run: self.run, number }
    }

    async fn pause_before(&mut self, number: usize) {
        if !self.writer.max_pause.is_zero() && number >= self.writer.burst {
            let pause = self.rng.duration(Duration::ZERO, self.writer.max_pause);
            self.runtime.sleep(pause).await;
        }
    }

    fn next_record(&mut self, number: usize) -> Bytes {
        record(self.content, self.id(number), self.rng.index(self.writer.size + 1))
    }

    async fn write_singly(mut self, stream: &Stream) -> Left {
        for number in 0..self.writer.records {
            self.pause_before(number).await;
            let id = self.id(number);
            self.record_log.begin(id);
            let data = self.next_record(number);
            let appended = match self.writer.poll_timeout {
                None => stream.append(data).await,
                Some(patience) => match self.runtime.timeout(patience, stream.append(data)).await {
                    Some(appended) => appended,
                    // It is not known whether it is stored.
                    None => continue,
                },
            };
            match appended {
                Ok(_) => self.record_log.settle(id, Fate::Acked { duplicate: false, first: false, epoch: 0 }),
                Err(error) => {
                    let may_be_stored = matches!(error.kind(), StreamError::OutcomeUnknown { .. });
                    let fate = Fate::Failed { error: error.to_string(), may_be_stored, alone: true };
                    self.record_log.settle(id, fate);
                    if matches!(error.kind(), StreamError::StreamClosed { .. }) {
                        return Left::Closed;
                    }
                }
            }
        }
        Left::Open
    }

    async fn write_with(mut self, producer: Producer) -> Left {
        let mut pending = VecDeque::new();
        let mut halted = false;
        for number in 0..self.writer.records {
            self.pause_before(number).await;
            let id = self.id(number);
            let data = self.next_record(number);
            self.record_log.begin(id);
            let appended = self.append(&producer, data).await;
            self.taken += u64::from(appended.is_ok());
            match appended {
                Ok(delivery) if self.writer.drops_receipts && self.rng.percent(30) => drop(delivery),
                Ok(delivery) => pending.push_back((id, delivery)),
                Err(error) => {
                    self.record_log.settle(id, failed(&error, false, false));
                    halted = true;
                }
            }
            // Nothing but the record's own linger sends it then.
            if self.rng.percent(5)
                && !matches!(self.writer.write_mode, WriteMode::Producer { linger: UNBOUNDED, .. })
                && let Some((_, delivery)) = pending.back_mut()
            {
                // Another flush has returned the failure.
                let _ = Pin::new(&mut *delivery).poll(&mut Context::from_waker(Waker::noop()));
                halted |= delivery.await.is_err_and(|error| !is_alone(&error));
            }
            self.measure(&producer);
            self.sweep(&mut pending);
            if halted {
                break;
            }
            if self.rng.percent(10) {
                halted = self.patiently(|| producer.flush()).await.is_err();
                if let Some((id, _)) = pending.iter().find(|(_, delivery)| delivery.try_result().is_none()) {
                    self.record_log.violation(format!("record {id} is not settled when all was flushed"));
                }
                if halted {
                    break;
                }
            }
        }
        let closed = self.finish(producer, &mut pending, halted).await;
        if closed { Left::Closed } else { Left::Open }
    }

    /// Appends without waiting, or where there is no room (or at once) with.
    async fn append(&mut self, producer: &Producer, data: Bytes) -> Result<Delivery, ProducerError> {
        if self.rng.percent(50) {
            match producer.append(data.clone()) {
                Err(ProducerError::QueueFull { record }) if record == data => {}
                Err(ProducerError::QueueFull { record }) => {
                    self.record_log.violation(format!("{data:?} comes back as {record:?}"));
                }
                appended => return appended,
            }
        }
        self.patiently(|| producer.append_wait(data.clone())).await
    }

    /// Waits for it; one that is impatient drops it some times and asks again, which must make no difference.
    async fn patiently<T, F: Future<Output = T>>(&self, ask: impl Fn() -> F) -> T {
        if let Some(patience) = self.writer.poll_timeout {
            for _ in 0..10 {
                if let Some(done) = self.runtime.timeout(patience, ask()).await {
                    return done;
                }
            }
        }
        ask().await
    }

    /// The queue holds no more than it may, and nobody claims for ever.
    fn measure(&self, producer: &Producer) {
        let WriteMode::Producer { buffered_bytes, buffered_records, .. } = self.writer.write_mode else {
            return;
        };
        let stats = producer.stats();
        if stats.queued_bytes > buffered_bytes || stats.queued_records > buffered_records {
            let most = format!("{buffered_bytes} bytes and {buffered_records} records");
            self.record_log.violation(format!("the queue holds {stats:?}, and may hold {most}"));
        }
        let minutes = self.runtime.elapsed().as_secs() / 60;
        if stats.claims > CLAIMS * (1 + minutes) {
            self.record_log.violation(format!("{} claims in {minutes} minutes", stats.claims));
        }
    }

    /// Nothing is left in a queue that was drained, and every record is accounted for.
    fn account(&self, producer: &Producer) {
        let stats = producer.stats();
        let settled = stats.acked_records + stats.failed_records;
        if (stats.queued_bytes, stats.queued_records, stats.in_flight) != (0, 0, 0) || settled != self.taken {
            self.record_log
                .violation(format!("after {} records were taken and settled: {stats:?}", self.taken));
        }
        let WriteMode::Producer { batch_items, .. } = self.writer.write_mode else { return };
        if stats.acked_records > stats.acked_batches * batch_items as u64 {
            self.record_log.violation(format!("batches of {batch_items} records at most: {stats:?}"));
        }
    }

    /// Writes down what is known by now, so that a crash loses little of it.
    fn sweep(&self, pending: &mut VecDeque<(RecordId, Delivery)>) {
        while let Some((id, delivery)) = pending.front() {
            match delivery.try_result() {
                Some(Ok(ack)) => self.record_log.settle(*id, acked(&ack)),
                // Failures are settled at the end, together with what the producer hands back.
                Some(Err(_)) | None => return,
            }
            pending.pop_front();
        }
    }

    /// Ends the run and settles every record; true where the stream is closed.
    async fn finish(
        mut self,
        producer: Producer,
        pending: &mut VecDeque<(RecordId, Delivery)>,
        halted: bool,
    ) -> bool {
        let mut closed = false;
        let mut error = None;
        let mut kept = None;
        match self.writer.finish {
            Finish::Drop if !halted => drop(producer),
            Finish::Detach if !halted => {
                producer.detach();
                kept = Some(producer);
            }
            Finish::CloseStream(with_record) if !halted => {
                let last = self.id(self.writer.records);
                let ended = match with_record {
                    true => {
                        self.record_log.begin(last);
                        let data = self.next_record(last.number);
                        let ended = self.patiently(|| producer.close_stream_with(data.clone())).await;
                        self.taken += u64::from(ended.is_ok());
                        ended
                    }
                    false => self.patiently(|| producer.close_stream()).await,
                };
                closed = ended.is_ok();
                if let Err(failure) = &ended
                    && is_closed(failure)
                    && self.closes_alone
                {
                    self.record_log.violation(format!("nobody else has closed the stream: {failure}"));
                }
                match ended {
                    Ok(ack) if with_record => self.record_log.settle(last, acked(&ack)),
                    Ok(_) => {}
                    Err(failure) => {
                        if with_record {
                            // Whether it may be stored is in what is handed back.
                            self.record_log.settle(last, failed(&failure, true, is_alone(&failure)));
                        }
                        error = Some(failure);
                    }
                }
                kept = Some(producer);
            }
            _ => {
                error = self.patiently(|| producer.close()).await.err();
                if error.is_none() {
                    self.account(&producer);
                }
                kept = Some(producer);
            }
        }
        let mut failures = Vec::new();
        let drained = self.runtime.elapsed() + DRAIN;
        let lets_go = matches!(self.writer.finish, Finish::Drop | Finish::Detach);
        for (id, delivery) in pending.drain(..) {
            let settled = delivery.await;
            if self.is_awake && lets_go && self.runtime.elapsed() > drained {
                self.record_log.violation(format!(
                    "record {id} was settled {:?} after the producer was let go",
                    self.runtime.elapsed() - drained + DRAIN
                ));
            }
            match settled {
                Ok(ack) => self.record_log.settle(id, acked(&ack)),
                Err(failure) => failures.push((id, failure)),
            }
        }
        closed |= error.as_ref().is_some_and(is_closed) || failures.iter().any(|(_, error)| is_closed(error));
        self.settle_failures(kept, failures);
        closed
    }

    /// What was handed back tells which of the failed records may be stored.
    fn settle_failures(&self, producer: Option<Producer>, failures: Vec<(RecordId, ProducerError)>) {
        let unsent = producer.as_ref().map(Producer::take_unacked);
        if let Some(Offset::At(from)) = producer.as_ref().and_then(Producer::unacked_from) {
            self.record_log.look(Look { writer: self.number, run: self.run, from });
        }
        for (id, error) in failures {
            let alone = is_alone(&error);
            let handed_back = unsent.iter().flatten().find(|record| {
                crate::record_log::parse(self.content, &record.data).is_ok_and(|ids| ids == [id])
            });
            let may_be_stored = match (handed_back, &unsent) {
                (Some(record), _) => record.may_be_stored,
                (None, Some(_)) if !alone => {
                    self.record_log.violation(format!("record {id} failed ({error}) and is not handed back"));
                    true
                }
                (None, Some(_)) => false,
                // The producer is gone: only the error says something.
                (None, None) => !alone,
            };
            self.record_log.settle(id, failed(&error, may_be_stored, alone));
        }
    }
}

fn acked(ack: &Ack) -> Fate {
    Fate::Acked { duplicate: ack.duplicate, first: ack.seq == 0, epoch: ack.epoch }
}

fn failed(error: &ProducerError, may_be_stored: bool, alone: bool) -> Fate {
    Fate::Failed { error: error.to_string(), may_be_stored, alone }
}

/// Errors of one record, after which the producer goes on.
fn is_alone(error: &ProducerError) -> bool {
    matches!(error.stream_error(), Some(StreamError::PayloadTooLarge { .. } | StreamError::Json(_)))
}

fn is_closed(error: &ProducerError) -> bool {
    matches!(error.stream_error(), Some(StreamError::StreamClosed { .. }))
}
