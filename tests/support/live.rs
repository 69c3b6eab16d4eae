//! Live reads of a scripted server: the requests, and the chunks that they give.

use super::stack::{Chunks, Stack};
use durable_streams::{Chunk, Error, LiveMode, Offset, ReaderBuilder, RetryConfig};
use std::time::Duration;
use test_servers::{Exchange, Flag, Script, stream_headers};

/// The content type of most scripted streams. Event streams are exact for JSON, so `Auto` uses them.
pub const JSON: Flag<'static> = Flag::ContentType("application/json");

/// A reader from offset `a0` of a scripted stream, with five short retries.
///
/// The handle knows the content type, so the reader sends no HEAD request first.
pub fn tail<S: Stack>(
    script: &Script,
    content_type: &str,
    mode: LiveMode,
) -> ReaderBuilder<S::Transport, S::Runtime> {
    let retry = RetryConfig {
        initial_backoff: Duration::from_millis(10),
        max_retries: Some(5),
        ..RetryConfig::default()
    };
    let client = S::builder().base_url(script.url()).retry_config(retry).build().unwrap();
    client.stream("s").with_content_type(content_type).reader().offset(Offset::parse("a0")).live(mode)
}

/// The next chunk that has content.
pub async fn content<S: Stack>(chunks: &mut Chunks<S>) -> Result<Chunk, Error> {
    loop {
        let chunk = chunks.try_next().await?.expect("the tail goes on");
        if !matches!(&chunk.data[..], b"" | b"[]") {
            return Ok(chunk);
        }
    }
}

pub fn is_sse(exchange: &Exchange) -> bool {
    exchange.query("live") == Some("sse")
}

pub fn is_long_poll(exchange: &Exchange) -> bool {
    exchange.query("live") == Some("long-poll")
}

/// Responds that the JSON stream has nothing after `offset`.
pub fn nothing_new(exchange: &mut Exchange, offset: &str) {
    exchange.respond(200, stream_headers(offset, &[JSON, Flag::UpToDate]), "[]");
}
