//! Readers: processes that consume chunks, save how far they are, and start again from there.

use crate::ledger::Ledger;
use crate::plan::{Content, Live, Plan, Reader, Who};
use crate::stage::Stage;
use durable_streams::{Checkpoint, Chunk, ClientBuilder, Error, LiveMode, Offset};
use durable_streams_contract::Timer;
use durable_streams_sim::SimRuntime;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two runs of a reader that ends when it is up to date.
const POLL: Duration = Duration::from_millis(400);

/// What a reader has consumed, on a disk that saves output and checkpoint together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    output: Vec<u8>,
    chunks: usize,
    /// The checkpoint's text, and how long the output was.
    saved: Option<(String, usize)>,
    /// The same after the last chunk, saved or not.
    last: Option<(String, usize)>,
    /// Of a reader that begins at the tail: where that was, at the earliest and at the latest.
    begins: (usize, usize),
    closed: bool,
}

/// How a reader's run ended.
enum Ended {
    /// It is up to date, or the stream is closed.
    Finished,
    Failed(Error),
    /// The checks have found something.
    Stopped,
}

impl Consumed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was consumed; JSON messages each with a comma after them.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.state().output.clone()
    }

    /// Where a reader from `now` may have begun.
    pub(crate) fn begins(&self) -> (usize, usize) {
        self.state().begins
    }

    /// Whether it saw the end.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// An orderly end: everything is saved.
    fn save(&self) {
        let mut state = self.state();
        state.saved = state.last.clone();
    }

    /// A crash: what was not saved is consumed again.
    fn roll_back(&self) {
        let mut state = self.state();
        let length = state.saved.as_ref().map_or(0, |(_, length)| *length);
        state.output.truncate(length);
        state.last = state.saved.clone();
        state.chunks = 0;
        state.closed = false;
    }
}

/// Runs a reader until it has seen its stream's end, through all its crashes.
pub(crate) async fn read(mut stage: Stage, number: usize, consumed: Consumed) {
    let plan = stage.plan.clone();
    let reader = &plan.readers[number];
    stage.runtime.sleep(reader.begins).await;
    let mut crashes = plan.crashes(Who::Reader(number)).into_iter();
    let mut run = 0;
    while !consumed.is_closed() {
        let process = stage.spawner.process(&format!("reader {number}.{run}"));
        let work = process.spawn(run_reader(stage.clone(), process.runtime(), number, run, consumed.clone()));
        run += 1;
        let ended = match crashes.next() {
            None => work.await,
            Some(at) => {
                let left = at.saturating_sub(stage.runtime.elapsed());
                match stage.runtime.timeout(left, work).await {
                    Some(ended) => ended,
                    None => {
                        process.kill();
                        consumed.roll_back();
                        continue;
                    }
                }
            }
        };
        match ended {
            Ok(Ended::Finished) if consumed.is_closed() => return,
            Ok(Ended::Finished) if reader.live == Live::Off => {
                consumed.save();
                stage.runtime.sleep(POLL).await;
            }
            Ok(Ended::Finished) => {
                stage
                    .ledger
                    .violation(format!("reader {number}: a live reader ended on a stream that is open"));
                return;
            }
            Ok(Ended::Failed(error)) => {
                if !may_fail(&plan, reader, &error) {
                    stage.ledger.violation(format!("reader {number} failed: {error:?}"));
                    return;
                }
                consumed.roll_back();
                if gone(&error) {
                    return;
                }
                stage.runtime.sleep(POLL).await;
            }
            Ok(Ended::Stopped) | Err(_) => return,
        }
    }
}

/// Whether a reader may end with this error. One that lives long tries again for ever; one that ends when it
/// is up to date gives up after a while.
fn may_fail(plan: &Plan, reader: &Reader, error: &Error) -> bool {
    use durable_streams_sim::Memory;
    let portal = plan.has_portal();
    let refused = plan.server.refuse_events && reader.live == Live::Sse;
    let impatient = reader.live == Live::Off && error.is_retryable();
    plan.forgets() == Memory::Lost || portal || refused || impatient
}

/// Whether there is no use in trying again.
fn gone(error: &Error) -> bool {
    use durable_streams::StreamError as E;
    matches!(
        error.kind(),
        E::NotFound { .. }
            | E::Gone { .. }
            | E::Recreated { .. }
            | E::SseNotSupported { .. }
            | E::BadRequest { .. }
    )
}

async fn run_reader(
    stage: Stage,
    runtime: SimRuntime,
    number: usize,
    run: usize,
    consumed: Consumed,
) -> Ended {
    let plan = stage.plan.clone();
    let reader = &plan.readers[number];
    let host = format!("http://reader{number}-{run}");
    let stream = match ClientBuilder::new(stage.transport.clone(), runtime.clone()).base_url(host).build() {
        Ok(client) => client.stream(Plan::path(reader.stream)),
        Err(error) => return Ended::Failed(error),
    };
    let saved = consumed.state().saved.clone();
    let start: Checkpoint = match &saved {
        Some((text, _)) => match text.parse() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return stop(&stage.ledger, format!("{text:?} does not parse: {error}")),
        },
        None if reader.from_now => {
            consumed.state().begins.0 = length(&stage, reader);
            Offset::Now.into()
        }
        None => Offset::Beginning.into(),
    };
    let live = match reader.live {
        Live::Off => LiveMode::Off,
        Live::Auto => LiveMode::Auto,
        Live::LongPoll => LiveMode::LongPoll,
        Live::Sse => LiveMode::Sse,
    };
    let opened = stream.reader().offset(start).live(live).max_chunk_bytes(reader.chunk_bytes).chunks().await;
    let mut chunks = match opened {
        Ok(chunks) => chunks,
        Err(error) => return Ended::Failed(error),
    };
    if saved.is_none() && reader.from_now {
        consumed.state().begins.1 = length(&stage, reader);
    }
    let mut closed = false;
    loop {
        let next = match reader.impatience {
            None => chunks.next().await,
            Some(patience) => match runtime.timeout(patience, chunks.next()).await {
                Some(next) => next,
                None => continue,
            },
        };
        let chunk = match next {
            None => return Ended::Finished,
            Some(Err(error)) => return Ended::Failed(error),
            Some(Ok(_)) if closed => {
                return stop(&stage.ledger, format!("reader {number}: something came after the end"));
            }
            Some(Ok(chunk)) => chunk,
        };
        closed = chunk.closed;
        runtime
            .note(|| format!("chunk of {} bytes, {}{}", chunk.data.len(), chunk.checkpoint, flags(&chunk)));
        if let Err(wrong) = take(&plan, reader, &consumed, &chunk) {
            return stop(&stage.ledger, format!("reader {number}: {wrong}"));
        }
        if !reader.pause.is_zero() {
            runtime.sleep(reader.pause).await;
        }
    }
}

fn flags(chunk: &Chunk) -> &'static str {
    match (chunk.up_to_date, chunk.closed) {
        (_, true) => ", closed",
        (true, false) => ", up to date",
        _ => "",
    }
}

fn stop(ledger: &Ledger, what: String) -> Ended {
    ledger.violation(what);
    Ended::Stopped
}

/// How much is stored right now, in the units of [`Consumed::output`].
fn length(stage: &Stage, reader: &Reader) -> usize {
    let stream = stage.server.stream(&Plan::path(reader.stream));
    stream.map_or(0, |stream| match stage.plan.streams[reader.stream] {
        Content::Json => stream.messages.iter().map(|message| message.len() + 1).sum(),
        _ => stream.data.len(),
    })
}

/// Consumes a chunk, and saves now and then.
fn take(plan: &Plan, reader: &Reader, consumed: &Consumed, chunk: &Chunk) -> Result<(), String> {
    let mut state = consumed.state();
    match plan.streams[reader.stream] {
        Content::Json => {
            let inner = chunk.data.strip_prefix(b"[").and_then(|data| data.strip_suffix(b"]"));
            let inner = inner.ok_or_else(|| format!("a chunk of JSON is no array: {:?}", chunk.data))?;
            if !inner.is_empty() {
                state.output.extend_from_slice(inner);
                state.output.push(b',');
            }
        }
        Content::Text | Content::Binary => {
            // Text from server-sent events is not cut.
            let cut = plan.streams[reader.stream] == Content::Binary || reader.live != Live::Sse;
            if cut && chunk.data.len() > reader.chunk_bytes {
                return Err(format!("a chunk of {} bytes, above {}", chunk.data.len(), reader.chunk_bytes));
            }
            state.output.extend_from_slice(&chunk.data);
        }
    }
    let text = chunk.checkpoint.to_string();
    if text.starts_with("now") {
        return Err("a checkpoint is `now`".to_owned());
    }
    state.chunks += 1;
    state.last = Some((text, state.output.len()));
    if state.chunks.is_multiple_of(reader.save_every) || chunk.closed {
        state.saved = state.last.clone();
    }
    state.closed |= chunk.closed;
    Ok(())
}
