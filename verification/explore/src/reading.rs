//! Readers: processes that consume chunks, save checkpoints, and resume from them after a crash.

use crate::checkpoint_disk::CheckpointDisk;
use crate::consumed::Consumed;
use crate::context::RunContext;
use crate::record_log::RecordLog;
use crate::scenario::{Content, Live, ProcessId, Reader, Scenario, Theme};
use durable_streams::{
    ByteStream, Checkpoint, Chunk, ChunkIterator, ClientBuilder, Error, JsonStream, LiveMode, Offset,
    ReaderBuilder, StreamError, TextStream, WithCheckpoints,
};
use durable_streams_contract::Timer;
use durable_streams_sim::{Gateway, Rng, SimRuntime, SimTransport};
use std::time::Duration;

/// The pause between two runs of a reader that ends when it is up to date.
const POLL: Duration = Duration::from_millis(400);

/// How a reader's run ended.
enum RunEnd {
    /// It is up to date, or the stream is closed.
    Finished,
    Failed(Error),
    /// The checks have found something.
    Stopped,
}

/// Runs a reader, through all its crashes, until it has reached the end of its stream.
pub(crate) async fn read(mut context: RunContext, number: usize, consumed: Consumed) {
    let scenario = context.scenario.clone();
    let reader = &scenario.readers[number];
    context.runtime.sleep(reader.starts_at).await;
    let mut crashes = scenario.crashes(ProcessId::Reader(number)).into_iter();
    let mut run = 0;
    while !consumed.is_closed() {
        let process = context.spawner.process(&format!("reader {number}.{run}"));
        let work =
            process.spawn(run_reader(context.clone(), process.runtime(), number, run, consumed.clone()));
        run += 1;
        let ended = match crashes.next() {
            None => work.await,
            Some(at) => {
                let left = at.saturating_sub(context.runtime.elapsed());
                match context.runtime.timeout(left, work).await {
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
            Ok(RunEnd::Finished) if consumed.is_closed() => return,
            Ok(RunEnd::Finished) if reader.live == Live::Off => {
                consumed.save();
                context.runtime.sleep(POLL).await;
            }
            Ok(RunEnd::Finished) => {
                context
                    .record_log
                    .violation(format!("reader {number}: a live reader ended on a stream that is open"));
                return;
            }
            Ok(RunEnd::Failed(error)) => {
                if !may_fail(&scenario, reader, &consumed, run - 1, &error) {
                    context.record_log.violation(format!("reader {number} failed: {error:?}"));
                    return;
                }
                consumed.roll_back();
                // A position in a stream that was created again means nothing.
                if gone(&error) || scenario.theme == Theme::Recreation {
                    return;
                }
                context.runtime.sleep(POLL).await;
            }
            Ok(RunEnd::Stopped) | Err(_) => return,
        }
    }
}

/// Whether a reader may end with this error. A live reader retries without end; one that ends when it is up to date has
/// a retry budget.
fn may_fail(scenario: &Scenario, reader: &Reader, consumed: &Consumed, run: usize, error: &Error) -> bool {
    use durable_streams_sim::Memory;
    let misled = scenario.has_false_refusal();
    let refused = scenario.server.refuse_events && reader.live == Live::Sse;
    let impatient = reader.live == Live::Off && error.is_retryable();
    // A proxy that drops every body does so past all caches too.
    let hidden = scenario.has_gateway(|gateway| *gateway == Gateway::DropBody)
        && matches!(error.kind(), StreamError::Protocol { .. });
    // To a client that begins behind a portal, it is the server.
    let intercepted = scenario.theme == Theme::Interceptor
        && (run > 0 || reader.live == Live::Off || consumed.length() == 0);
    // To a client that begins behind a cache, the stream is not there.
    let denied = scenario.theme == Theme::WrongCaches
        && consumed.saved().is_none()
        && matches!(error.kind(), StreamError::NotFound { .. });
    let dropped =
        scenario.theme == Theme::Retention && matches!(error.kind(), StreamError::OffsetGone { .. });
    let excused = hidden || intercepted || denied || dropped;
    scenario.worst_memory() == Memory::Lost || misled || refused || impatient || excused
}

/// Whether another attempt cannot succeed.
fn gone(error: &Error) -> bool {
    use durable_streams::StreamError as E;
    matches!(
        error.kind(),
        E::NotFound { .. }
            | E::Gone { .. }
            | E::OffsetGone { .. }
            | E::Recreated { .. }
            | E::SseNotSupported { .. }
            | E::BadRequest { .. }
    )
}

async fn run_reader(
    context: RunContext,
    runtime: SimRuntime,
    number: usize,
    run: usize,
    consumed: Consumed,
) -> RunEnd {
    let scenario = context.scenario.clone();
    let reader = &scenario.readers[number];
    let content = scenario.streams[reader.stream];
    let host = format!("http://reader{number}-{run}");
    let stream = match ClientBuilder::new(context.transport.clone(), runtime.clone()).base_url(host).build() {
        Ok(client) => client.stream(Scenario::path(reader.stream)),
        Err(error) => return RunEnd::Failed(error),
    };
    let saved = consumed.state().saved.clone();
    let start: Checkpoint = match &saved {
        // Its own store has the position.
        Some(_) if reader.acknowledges => Offset::Beginning.into(),
        Some((text, _)) => match text.parse() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return stop(&context.record_log, format!("{text:?} does not parse: {error}")),
        },
        None if reader.from_now => {
            consumed.state().begins.0 = length(&context, reader);
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
        let rng = Rng::new(scenario.seed).fork(2000 + 10 * number as u64 + run as u64);
        opening = opening.checkpoint_store(CheckpointDisk::new(consumed.clone(), runtime.clone(), rng));
    }
    let mut source = match Source::open(opening, content, reader.items).await {
        Ok(source) => source,
        Err(error) => return RunEnd::Failed(error),
    };
    if saved.is_none() && reader.from_now {
        consumed.state().begins.1 = length(&context, reader);
    }
    let mut closed = false;
    loop {
        let next = match reader.poll_timeout {
            None => source.next().await,
            Some(patience) => match runtime.timeout(patience, source.next()).await {
                Some(next) => next,
                None => continue,
            },
        };
        let piece = match next {
            None if reader.items => {
                // A live read ends only at the end of its stream.
                consumed.save();
                consumed.state().closed = true;
                return RunEnd::Finished;
            }
            None => return RunEnd::Finished,
            Some(Err(error)) => return RunEnd::Failed(error),
            Some(Ok(_)) if closed => {
                return stop(&context.record_log, format!("reader {number}: something came after the end"));
            }
            Some(Ok(piece)) => piece,
        };
        closed = piece.closed;
        runtime.note(|| format!("{} bytes, {}{}", piece.data.len(), piece.checkpoint, piece.flags));
        let due = match take(&scenario, reader, &consumed, &piece) {
            Ok(due) => due,
            Err(wrong) => return stop(&context.record_log, format!("reader {number}: {wrong}")),
        };
        if due && reader.acknowledges {
            match source.acknowledge(&piece.checkpoint, scenario.seed.is_multiple_of(2)).await {
                // The next save repeats it.
                Err(error) if matches!(error.kind(), StreamError::CheckpointStore { .. }) => {}
                Err(error) => return RunEnd::Failed(error),
                Ok(()) => {}
            }
        }
        if !reader.pause.is_zero() {
            runtime.sleep(reader.pause).await;
        }
    }
}

/// One item of a reader, in any view.
struct Piece {
    /// JSON messages, each followed by a comma.
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

    /// Acknowledges consumption to the reader: of everything that it returned, or up to a checkpoint.
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

/// Content without its framing: JSON messages are each followed by a comma.
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

fn stop(record_log: &RecordLog, what: String) -> RunEnd {
    record_log.violation(what);
    RunEnd::Stopped
}

/// How much is stored now, in the units of [`Consumed::output`].
fn length(context: &RunContext, reader: &Reader) -> usize {
    let stream = context.server.stream(&Scenario::path(reader.stream));
    stream.map_or(0, |stream| match context.scenario.streams[reader.stream] {
        Content::Json => stream.messages.iter().map(|message| message.len() + 1).sum(),
        _ => stream.data.len(),
    })
}

/// How many JSON messages are in a piece.
fn messages(data: &[u8]) -> usize {
    data.windows(7).filter(|window| window == b"{\"id\":\"").count()
}

/// Consumes a piece. Returns whether it is time to save.
fn take(scenario: &Scenario, reader: &Reader, consumed: &Consumed, piece: &Piece) -> Result<bool, String> {
    let mut state = consumed.state();
    // Text from server-sent events is not cut, and a message never is.
    let cut = match scenario.streams[reader.stream] {
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
