use super::bytes::ByteStream;
use super::chunks::ChunkIterator;
use super::driver::Driver;
#[cfg(feature = "json")]
use super::json::JsonStream;
use super::machine::Machine;
use super::options::{ErrorAction, LiveMode, Options};
use super::response::StreamResponse;
use super::text::TextStream;
use crate::client::header;
use crate::error::{Error, StreamError};
use crate::protocol::answer::Operation;
use crate::retry::RetryConfig;
use crate::stream::DurableStream;
use crate::{Checkpoint, Offset};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Sets up a reader. Nothing is checked or sent before one of the methods that start it is awaited.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run(stream: durable_streams::tokio::DurableStream, saved: &str) -> Result<(), durable_streams::Error> {
/// use durable_streams::{Checkpoint, LiveMode};
///
/// let mut reader = stream
///     .reader()
///     .offset(saved.parse::<Checkpoint>()?)
///     .live(LiveMode::Auto)
///     .chunks()
///     .await?;
/// while let Some(chunk) = reader.next().await {
///     let chunk = chunk?;
///     println!("{} bytes, up to {}", chunk.data.len(), chunk.checkpoint);
/// }
/// # Ok(()) }
/// ```
///
/// # When a reader starts
///
/// The methods that start a reader ([`chunks`](Self::chunks) and its kin) return once the stream has answered,
/// so that a stream that is not there, or credentials that are not valid, show at once. Failures on the way
/// are treated as later ones are: by [`on_error`](Self::on_error) and the
/// [retry policy](Self::retry_config), which lets a live reader wait for a server that is down.
#[must_use = "a reader does nothing until it is started"]
pub struct ReaderBuilder<T = AnyTransport, R = AnyRuntime> {
    stream: DurableStream<T, R>,
    start: Checkpoint,
    headers: Vec<(String, String)>,
    if_none_match: Option<String>,
    options: Options,
}

impl<T: HttpTransport, R: Runtime> ReaderBuilder<T, R> {
    pub(crate) fn new(stream: DurableStream<T, R>) -> Self {
        let options = Options {
            live: LiveMode::Off,
            on_error: None,
            retry: stream.client().retry().clone(),
            max_chunk_bytes: 1024 * 1024,
            max_event_bytes: 16 * 1024 * 1024,
            idle_timeout: stream.client().idle_timeout(),
            if_none_match: None,
        };
        Self {
            stream,
            start: Checkpoint::at(Offset::Beginning),
            headers: Vec::new(),
            if_none_match: None,
            options,
        }
    }

    /// Where to start: an [`Offset`], or a [`Checkpoint`] that was saved. Default: the beginning.
    ///
    /// [`Offset::Now`] is resolved to the tail's offset before anything else, so that nothing that comes
    /// after this moment is missed.
    pub fn offset(mut self, start: impl Into<Checkpoint>) -> Self {
        self.start = start.into();
        self
    }

    /// How to go on when all that is there was read. Default: [`LiveMode::Off`].
    pub fn live(mut self, mode: LiveMode) -> Self {
        self.options.live = mode;
        self
    }

    /// Decides about each failure of a request or a connection; may be called many times.
    ///
    /// Without it the reader tries again where that can help
    /// ([`StreamError::is_retryable`](crate::StreamError::is_retryable)) and ends otherwise. What it answers
    /// is bounded by the [retry policy](Self::retry_config). A stream of events that ends in good order, as
    /// they all do now and then, is no failure.
    pub fn on_error<F>(mut self, handler: F) -> Self
    where
        F: Fn(&StreamError) -> ErrorAction + Send + Sync + 'static,
    {
        self.options.on_error = Some(Arc::new(handler));
        self
    }

    /// How failed requests are tried again. Default: the client's policy.
    ///
    /// Where that has no bound, a live reader tries for ever, and a catch-up read gives up 60 s after its
    /// last progress.
    pub fn retry_config(mut self, config: RetryConfig) -> Self {
        self.options.retry = config;
        self
    }

    /// The most data in a chunk. Default: 1 MiB. Not zero.
    ///
    /// On a JSON stream a chunk has at least one message, however large; and text from server-sent events
    /// is not cut, since there is no exact position within it.
    pub fn max_chunk_bytes(mut self, bytes: usize) -> Self {
        self.options.max_chunk_bytes = bytes;
        self
    }

    /// The largest server-sent event, and the largest JSON message. Default: 16 MiB. Not zero.
    ///
    /// It bounds the reader's memory. What a larger event would have held is fetched by plain requests
    /// instead; where that does not work either, and for a larger message, the reader ends with
    /// [`StreamError::TooLarge`].
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.options.max_event_bytes = bytes;
        self
    }

    /// The longest silence of the server, within a response or before the answer to a long-poll. After it
    /// the connection is taken for dead, and another is opened. Default: the client's. Not zero.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// A header for the reader's requests, in place of the client's and the handle's of that name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Starts only if what is there differs from what had this entity tag, an earlier
    /// [`ChunkIterator::etag`]; otherwise the reader ends with [`StreamError::NotModified`]. For catch-up only.
    ///
    /// The tag is that of the first answer, which need not reach to the end of a long stream.
    pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
        self.if_none_match = Some(etag.into());
        self
    }

    /// Starts the reader, as a sequence of chunks.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] for an option that cannot work, before anything is sent. Otherwise whatever
    /// keeps the stream from answering: [`StreamError::NotFound`], [`StreamError::OffsetGone`],
    /// [`StreamError::Unauthorized`] and the like at once, failures that may pass when the retry policy
    /// gives up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn chunks(self) -> Result<ChunkIterator<T, R>, Error> {
        Ok(ChunkIterator::new(self.start().await?))
    }

    /// Starts the reader, as bytes.
    ///
    /// # Errors
    ///
    /// As for [`chunks`](Self::chunks).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn bytes(self) -> Result<ByteStream<T, R>, Error> {
        Ok(self.response().await?.bytes())
    }

    /// Starts the reader, as text.
    ///
    /// # Errors
    ///
    /// As for [`chunks`](Self::chunks).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn text(self) -> Result<TextStream<T, R>, Error> {
        Ok(self.response().await?.text())
    }

    /// Starts the reader, as JSON values of type `V`.
    ///
    /// # Errors
    ///
    /// As for [`chunks`](Self::chunks). A message that is no `V` is an item of the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    #[cfg(feature = "json")]
    pub async fn json<V: serde::de::DeserializeOwned>(self) -> Result<JsonStream<V, T, R>, Error> {
        Ok(self.response().await?.json())
    }

    /// Starts the reader, and leaves open how it is consumed: the stream's content type may decide.
    ///
    /// # Errors
    ///
    /// As for [`chunks`](Self::chunks).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn response(self) -> Result<StreamResponse<T, R>, Error> {
        let max_message_bytes = self.options.max_event_bytes;
        Ok(StreamResponse::new(self.chunks().await?, max_message_bytes))
    }

    /// Reads all of it, as bytes: [`StreamResponse::read_all`].
    ///
    /// # Errors
    ///
    /// As for [`chunks`](Self::chunks), and the failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was read.
    pub async fn read_all(self) -> Result<Bytes, Error> {
        self.response().await?.read_all().await
    }

    /// Reads all of it, as text: [`StreamResponse::read_text`].
    ///
    /// # Errors
    ///
    /// As for [`read_all`](Self::read_all), and [`StreamError::Utf8`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was read.
    pub async fn read_text(self) -> Result<String, Error> {
        self.response().await?.read_text().await
    }

    /// Reads all of it, as JSON values of type `V`: [`StreamResponse::read_json`].
    ///
    /// # Errors
    ///
    /// As for [`read_all`](Self::read_all), and [`StreamError::Json`] for a message that is no `V`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was read.
    #[cfg(feature = "json")]
    pub async fn read_json<V: serde::de::DeserializeOwned>(self) -> Result<Vec<V>, Error> {
        self.response().await?.read_json().await
    }

    /// Checks everything, and waits for the stream's first answer.
    pub(super) async fn start(self) -> Result<Box<Driver<T, R>>, Error> {
        let mut driver = Box::new(self.driver()?);
        std::future::poll_fn(|cx| driver.poll_ready(cx)).await?;
        driver.learn_content_type();
        Ok(driver)
    }

    fn driver(mut self) -> Result<Driver<T, R>, Error> {
        let mut template = self.stream.call(Operation::Read)?;
        self.start.offset().validate()?;
        for (name, value) in &self.headers {
            let (name, _) = header(name, value)?;
            template.extra_headers.remove(name);
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            template.extra_headers.append(name, value);
        }
        if let Some(etag) = &self.if_none_match {
            self.options.if_none_match = Some(entity_tag(etag)?);
        }
        self.options.validate()?;
        let runtime = self.stream.client().runtime();
        let machine = Machine::new(
            self.options,
            template.url().to_string(),
            &self.start,
            self.stream.known_content_type().map(|known| known.to_string()),
            runtime.now(),
            runtime.random(),
        );
        Ok(Driver::new(self.stream.clone(), template, machine))
    }
}

fn entity_tag(text: &str) -> Result<HeaderValue, Error> {
    let refuse = |reason| Error::from(StreamError::config("if_none_match", format!("{text:?}"), reason));
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    if opaque.len() < 2 || !opaque.starts_with('"') || !opaque.ends_with('"') {
        return Err(refuse("an entity tag is in quotes, as the server sent it"));
    }
    HeaderValue::try_from(text).map_err(|_| refuse("a header cannot carry it"))
}

impl<T, R> Clone for ReaderBuilder<T, R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            start: self.start.clone(),
            headers: self.headers.clone(),
            if_none_match: self.if_none_match.clone(),
            options: self.options.clone(),
        }
    }
}

impl<T, R> fmt::Debug for ReaderBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderBuilder")
            .field("stream", &self.stream)
            .field("start", &self.start)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
