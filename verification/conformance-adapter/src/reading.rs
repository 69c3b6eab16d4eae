//! `read`: chunks until there is enough, or the time is up.

use crate::command::Read;
use crate::fields::{Fields, fields};
use crate::stack::{Stack, Stream};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use durable_streams::contract::Timer;
use durable_streams::{Checkpoint, Chunk, Error, LiveMode, Offset};
use serde_json::{Value, json};
use std::time::Duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_CHUNKS: usize = 100;

pub(crate) async fn read<S: Stack>(stream: &Stream<S>, command: &Read) -> Result<Fields, Error> {
    let live = match &command.live {
        Value::Bool(true) => LiveMode::Auto,
        Value::String(mode) if mode == "long-poll" => LiveMode::LongPoll,
        Value::String(mode) if mode == "sse" => LiveMode::Sse,
        _ => LiveMode::Off,
    };
    let is_live = !matches!(live, LiveMode::Off);
    let start = command.offset.as_deref().map_or(Offset::Beginning, Offset::parse);
    let mut seen = Seen::new(start.clone());
    let timeout = command.timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    let reading = async {
        let mut chunks = stream.reader().offset(start).live(live).chunks().await?;
        seen.is_json = chunks.content_type().starts_with("application/json");
        while let Some(chunk) = chunks.try_next().await? {
            seen.take(chunk);
            let caught_up = seen.up_to_date && is_live && command.max_chunks.is_none();
            if seen.chunks.len() >= command.max_chunks.unwrap_or(DEFAULT_CHUNKS)
                || caught_up && (command.wait_for_up_to_date || !seen.chunks.is_empty())
            {
                break;
            }
        }
        Ok::<_, Error>(false)
    };
    let expired = async {
        stream.client().runtime().sleep(timeout).await;
        Ok(true)
    };
    let expired = futures_lite::future::or(reading, expired).await?;
    // Silence until the time is up means that nothing was left to read.
    let nothing_came = expired && is_live && seen.chunks.is_empty();
    let status = if nothing_came && matches!(command.live.as_str(), Some("long-poll")) { 204 } else { 200 };
    Ok(fields(json!({
        "status": status,
        "chunks": seen.chunks,
        "offset": seen.offset.offset().to_string(),
        "upToDate": seen.up_to_date || nothing_came,
        "streamClosed": seen.closed,
        "cursor": seen.cursor,
    })))
}

/// What was read so far.
struct Seen {
    chunks: Vec<Value>,
    offset: Checkpoint,
    up_to_date: bool,
    closed: bool,
    cursor: Option<String>,
    is_json: bool,
}

impl Seen {
    fn new(offset: Offset) -> Self {
        Self {
            chunks: Vec::new(),
            offset: offset.into(),
            up_to_date: false,
            closed: false,
            cursor: None,
            is_json: false,
        }
    }

    fn take(&mut self, chunk: Chunk) {
        self.up_to_date = chunk.up_to_date;
        self.closed |= chunk.closed;
        self.cursor = chunk.cursor.or(self.cursor.take());
        let offset = chunk.next_offset.to_string();
        self.offset = chunk.checkpoint;
        // What a JSON stream's chunk without messages holds; an empty array is no chunk to the runner.
        let is_empty = chunk.data.is_empty() || self.is_json && chunk.data == "[]";
        if !is_empty {
            self.chunks.push(match std::str::from_utf8(&chunk.data) {
                Ok(text) => json!({ "data": text, "offset": offset }),
                Err(_) => json!({ "data": STANDARD.encode(&chunk.data), "binary": true, "offset": offset }),
            });
        }
    }
}
