//! Readers: processes that consume chunks, save how far they are, and start again from there.

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::plan::{Content, Live, Plan, Reader, Who};
use crate::stage::Stage;
use durable_streams::{
    ByteStream, Checkpoint, Chunk, ChunkIterator, ClientBuilder, Error, JsonStream, LiveMode, Offset,
    ReaderBuilder, StreamError, TextStream, WithCheckpoints,
};
use durable_streams_contract::Timer;
use durable_streams_sim::{Rng, SimRuntime, SimTransport};
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

    /// The checkpoint that a crash falls back to.
    pub(crate) fn saved(&self) -> Option<String> {
        self.state().saved.as_ref().map(|(text, _)| text.clone())
    }

    /// How much was consumed.
    pub(crate) fn length(&self) -> usize {
        self.state().output.len()
    }

    /// From now on a crash falls back to this.
    pub(crate) fn save_at(&self, checkpoint: String, length: usize) {
        self.state().saved = Some((checkpoint, length));
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
    let misled = plan.is_misled();
    let refused = plan.server.refuse_events && reader.live == Live::Sse;
    let impatient = reader.live == Live::Off && error.is_retryable();
    plan.forgets() == Memory::Lost || misled || refused || impatient
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
    let content = plan.streams[reader.stream];
    let host = format!("http://reader{number}-{run}");
    let stream = match ClientBuilder::new(stage.transport.clone(), runtime.clone()).base_url(host).build() {
        Ok(client) => client.stream(Plan::path(reader.stream)),
        Err(error) => return Ended::Failed(error),
    };
    let saved = consumed.state().saved.clone();
    let start: Checkpoint = match &saved {
        // Its own store says where.
        Some(_) if reader.acknowledges => Offset::Beginning.into(),
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
    let mut opening = stream
        .reader()
        .offset(start)
        .live(live)
        .max_chunk_bytes(reader.chunk_bytes)
        .max_event_bytes(reader.event_bytes)
        .prefetch(reader.prefetch);
    if reader.acknowledges {
        let rng = Rng::new(plan.seed).fork(2000 + 10 * number as u64 + run as u64);
        opening = opening.checkpoint_store(Disk::new(consumed.clone(), runtime.clone(), rng));
    }
    let mut source = match Source::open(opening, content, reader.items).await {
        Ok(source) => source,
        Err(error) => return Ended::Failed(error),
    };
    if saved.is_none() && reader.from_now {
        consumed.state().begins.1 = length(&stage, reader);
    }
    let mut closed = false;
    loop {
        let next = match reader.impatience {
            None => source.next().await,
            Some(patience) => match runtime.timeout(patience, source.next()).await {
                Some(next) => next,
                None => continue,
            },
        };
        let piece = match next {
            None if reader.items => {
                // A tail ends where its stream does, and nowhere else.
                consumed.save();
                consumed.state().closed = true;
                return Ended::Finished;
            }
            None => return Ended::Finished,
            Some(Err(error)) => return Ended::Failed(error),
            Some(Ok(_)) if closed => {
                return stop(&stage.ledger, format!("reader {number}: something came after the end"));
            }
            Some(Ok(piece)) => piece,
        };
        closed = piece.closed;
        runtime.note(|| format!("{} bytes, {}{}", piece.data.len(), piece.checkpoint, piece.flags));
        let due = match take(&plan, reader, &consumed, &piece) {
            Ok(due) => due,
            Err(wrong) => return stop(&stage.ledger, format!("reader {number}: {wrong}")),
        };
        if due && reader.acknowledges {
            match source.acknowledge(&piece.checkpoint, plan.seed.is_multiple_of(2)).await {
                // The next makes it good.
                Err(error) if matches!(error.kind(), StreamError::CheckpointStore { .. }) => {}
                Err(error) => return Ended::Failed(error),
                Ok(()) => {}
            }
        }
        if !reader.pause.is_zero() {
            runtime.sleep(reader.pause).await;
        }
    }
}

/// What a reader is given, in one form or another.
struct Piece {
    /// JSON messages each with a comma after them.
    data: Vec<u8>,
    checkpoint: Checkpoint,
    closed: bool,
    flags: &'static str,
}

type Builder = ReaderBuilder<SimTransport, SimRuntime>;

enum Source {
    Chunks(ChunkIterator<SimTransport, SimRuntime>, Content),
    Text(WithCheckpoints<TextStream<SimTransport, SimRuntime>>),
    Bytes(WithCheckpoints<ByteStream<SimTransport, SimRuntime>>),
    Values(Box<WithCheckpoints<JsonStream<serde_json::Value, SimTransport, SimRuntime>>>),
}

impl Source {
    async fn open(builder: Builder, content: Content, items: bool) -> Result<Self, Error> {
        Ok(match content {
            content if !items => Self::Chunks(builder.chunks().await?, content),
            Content::Text => Self::Text(builder.text().await?.with_checkpoints()),
            Content::Binary => Self::Bytes(builder.bytes().await?.with_checkpoints()),
            Content::Json => Self::Values(Box::new(builder.json().await?.with_checkpoints())),
        })
    }

    /// Lets the reader save how far the application is: all that was handed out, or up to what it says.
    async fn acknowledge(&mut self, checkpoint: &Checkpoint, all: bool) -> Result<(), Error> {
        match self {
            Self::Chunks(view, _) if all => view.acknowledge().await,
            Self::Chunks(view, _) => view.acknowledge_up_to(checkpoint).await,
            Self::Text(items) if all => items.get_mut().acknowledge().await,
            Self::Text(items) => items.get_mut().acknowledge_up_to(checkpoint).await,
            Self::Bytes(items) if all => items.get_mut().acknowledge().await,
            Self::Bytes(items) => items.get_mut().acknowledge_up_to(checkpoint).await,
            Self::Values(items) if all => items.get_mut().acknowledge().await,
            Self::Values(items) => items.get_mut().acknowledge_up_to(checkpoint).await,
        }
    }

    async fn next(&mut self) -> Option<Result<Piece, Error>> {
        let (data, checkpoint) = match self {
            Self::Chunks(chunks, content) => {
                let chunk = chunks.next().await?;
                return Some(chunk.map(|chunk| Piece {
                    data: normal(*content, &chunk.data),
                    flags: flags(&chunk),
                    checkpoint: chunk.checkpoint,
                    closed: chunk.closed,
                }));
            }
            Self::Text(items) => match items.next().await? {
                Ok((text, checkpoint)) => (text.into_bytes(), checkpoint),
                Err(error) => return Some(Err(error)),
            },
            Self::Bytes(items) => match items.next().await? {
                Ok((bytes, checkpoint)) => (bytes.to_vec(), checkpoint),
                Err(error) => return Some(Err(error)),
            },
            Self::Values(items) => match items.next().await? {
                Ok((value, checkpoint)) => (format!("{value},").into_bytes(), checkpoint),
                Err(error) => return Some(Err(error)),
            },
        };
        Some(Ok(Piece { data, checkpoint, closed: false, flags: "" }))
    }
}

/// Content without its framing: JSON messages each with a comma after them.
fn normal(content: Content, data: &[u8]) -> Vec<u8> {
    let inner = data.strip_prefix(b"[").and_then(|data| data.strip_suffix(b"]"));
    match (content, inner) {
        (Content::Json, Some(b"")) => Vec::new(),
        (Content::Json, Some(inner)) => [inner, b","].concat(),
        _ => data.to_vec(),
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

/// How many JSON messages are in a piece.
fn messages(data: &[u8]) -> usize {
    data.windows(7).filter(|window| window == b"{\"id\":\"").count()
}

/// Consumes a piece, and saves now and then: whether this is such a time.
fn take(plan: &Plan, reader: &Reader, consumed: &Consumed, piece: &Piece) -> Result<bool, String> {
    let mut state = consumed.state();
    // Text from server-sent events is not cut, and a message never is.
    let cut = match plan.streams[reader.stream] {
        Content::Json => !reader.items && messages(&piece.data) > 1,
        Content::Text => reader.live != Live::Sse && !reader.items,
        Content::Binary => true,
    };
    if cut && piece.data.len() > reader.chunk_bytes {
        return Err(format!("a chunk of {} bytes, above {}", piece.data.len(), reader.chunk_bytes));
    }
    state.output.extend_from_slice(&piece.data);
    let text = piece.checkpoint.to_string();
    if text.starts_with("now") {
        return Err("a checkpoint is `now`".to_owned());
    }
    state.chunks += 1;
    state.last = Some((text, state.output.len()));
    let due = state.chunks.is_multiple_of(reader.save_every) || piece.closed;
    if due && !reader.acknowledges {
        state.saved = state.last.clone();
    }
    state.closed |= piece.closed;
    Ok(due)
}
