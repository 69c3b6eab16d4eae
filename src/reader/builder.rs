use super::driver::Driver;
use super::machine::Machine;
use super::options::{LiveMode, Options};
use super::prefetch::Prefetched;
use super::response::StreamResponse;
use super::started::{ChunkSource, StartedReader};
use super::store::CheckpointStore;
use super::views::bytes::ByteStream;
use super::views::chunks::ChunkIterator;
#[cfg(feature = "json")]
use super::views::json::JsonStream;
use super::views::text::TextStream;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorAction;
use crate::exchange::headers::header;
use crate::offset::Offset;
use crate::outage::ConnectionStatus;
use crate::protocol::operation::Operation;
use crate::retry::RetryConfig;
use crate::stream::handle::DurableStream;
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Sets up a reader. Options are validated, and the first request is sent, when a method that starts it is awaited.
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
/// The methods that start a reader, [`chunks`](Self::chunks) for instance, return once the server has responded. A missing
/// stream, or invalid credentials, are reported by them. Failures before that are treated as later ones are: by
/// [`on_error`](Self::on_error) and the [retry policy](Self::retry_config). A live reader waits for a server that is down.
#[must_use = "a reader does nothing until it is started"]
pub struct ReaderBuilder<T = AnyTransport, R = AnyRuntime> {
    stream: DurableStream<T, R>,
    start: Checkpoint,
    headers: Vec<(String, String)>,
    if_none_match: Option<String>,
    store: Option<Arc<dyn CheckpointStore>>,
    prefetch: usize,
    options: Options,
}

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    /// A builder for a reader of this stream: where it starts, whether it is live, and what it returns.
    pub fn reader(&self) -> ReaderBuilder<T, R> {
        ReaderBuilder::new(self.clone())
    }
}

impl<T: HttpTransport, R: Runtime> ReaderBuilder<T, R> {
    pub(crate) fn new(stream: DurableStream<T, R>) -> Self {
        let options = Options {
            live: LiveMode::Off,
            on_error: None,
            retry: stream.http().defaults().retry.clone(),
            max_chunk_bytes: 1024 * 1024,
            max_event_bytes: 16 * 1024 * 1024,
            idle_timeout: stream.http().defaults().idle_timeout,
            if_none_match: None,
            event_timeout: Duration::from_secs(120),
            connection_status: ConnectionStatus::new(),
        };
        Self {
            stream,
            start: Checkpoint::at(Offset::Beginning),
            headers: Vec::new(),
            if_none_match: None,
            store: None,
            prefetch: 0,
            options,
        }
    }

    /// The same builder with the default type parameters, for readers that are independent of the stack. See
    /// [`Client::to_any`](crate::Client::to_any).
    pub fn to_any(self) -> ReaderBuilder
    where
        T: Clone,
        R: Clone,
    {
        ReaderBuilder {
            stream: self.stream.to_any(),
            start: self.start,
            headers: self.headers,
            if_none_match: self.if_none_match,
            store: self.store,
            prefetch: self.prefetch,
            options: self.options,
        }
    }

    /// Where to start: an [`Offset`], or a saved [`Checkpoint`]. Default: the beginning.
    ///
    /// [`Offset::Now`] is resolved to the tail's offset by the first request, so that no later data is missed.
    pub fn offset(mut self, start: impl Into<Checkpoint>) -> Self {
        self.start = start.into();
        self
    }

    /// How to continue after the data that exists. Default: [`LiveMode::Off`].
    pub fn live(mut self, mode: LiveMode) -> Self {
        self.options.live = mode;
        self
    }

    /// Decides what to do after each failure of a request or a connection.
    ///
    /// Without a handler the reader retries if that may help
    /// ([`StreamError::is_retryable`](crate::StreamError::is_retryable)) and ends otherwise. The
    /// [retry policy](Self::retry_config) limits the retries that the handler asks for. Servers end an event stream now and
    /// then; that is not a failure.
    pub fn on_error<F>(mut self, handler: F) -> Self
    where
        F: Fn(&StreamError) -> ErrorAction + Send + Sync + 'static,
    {
        self.options.on_error = Some(Arc::new(handler));
        self
    }

    /// How failed requests are retried. Default: the client's policy.
    ///
    /// If it sets no limit, a live reader retries without end, and a catch-up read gives up 60 s after its last progress.
    pub fn retry_config(mut self, config: RetryConfig) -> Self {
        self.options.retry = config;
        self
    }

    /// The largest chunk. Default: 1 MiB. Not zero.
    ///
    /// Two kinds of chunk may exceed it: one message of a JSON stream, and text from server-sent events, which has no
    /// positions inside.
    pub fn max_chunk_bytes(mut self, bytes: usize) -> Self {
        self.options.max_chunk_bytes = bytes;
        self
    }

    /// The largest server-sent event, and the largest JSON message. Default: 16 MiB. Not zero.
    ///
    /// It bounds the reader's memory. The data of a larger event is fetched by plain requests instead. If these are refused,
    /// and for a larger message, the reader ends with [`StreamError::TooLarge`].
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.options.max_event_bytes = bytes;
        self
    }

    /// Longest silence within a response, and longest wait for the response to a long-poll. After it the connection counts as
    /// dead, and the reader opens another one. Default: the client's. Not zero.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// How long an event stream may bring comments and no event, before it is replaced. Default: 2 minutes. Not zero.
    ///
    /// Servers send a control event about once a minute. A gateway that sends comments of its own would otherwise hide that
    /// the server behind it is gone.
    pub fn event_timeout(mut self, timeout: Duration) -> Self {
        self.options.event_timeout = timeout;
        self
    }

    /// Where the reader says whether it reaches its server. Default: nowhere.
    pub fn connection_status(mut self, status: ConnectionStatus) -> Self {
        self.options.connection_status = status;
        self
    }

    /// A header for the reader's requests. It replaces the client's and the handle's headers of that name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Starts only if the content has changed since a response with this entity tag, an earlier
    /// [`ChunkIterator::etag`]. Otherwise the reader ends with [`StreamError::NotModified`]. Not with a live mode.
    ///
    /// The tag is that of the first response, which does not reach to the end of a long stream.
    pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
        self.if_none_match = Some(etag.into());
        self
    }

    /// Where the reader's checkpoint is kept. Default: none.
    ///
    /// The reader starts from the saved checkpoint, or from [`offset`](Self::offset) if none was saved. It saves a checkpoint
    /// only when the application [acknowledges](ChunkIterator::acknowledge) it.
    pub fn checkpoint_store(mut self, store: impl CheckpointStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// How many chunks a task on the client's runtime reads in advance. Default: 0, no task.
    ///
    /// The reader then holds up to this many times [`max_chunk_bytes`](Self::max_chunk_bytes). Its checkpoint is that of the
    /// chunks that it returned, not of those that were read.
    pub fn prefetch(mut self, chunks: usize) -> Self {
        self.prefetch = chunks;
        self
    }

    /// Starts the reader, without a view. The view may then depend on the stream's content type.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] for an option that cannot work, before a request is sent.
    /// [`StreamError::CheckpointStore`] if the saved checkpoint cannot be loaded. Failures that a retry cannot help, at once:
    /// [`StreamError::NotFound`], [`StreamError::OffsetGone`], [`StreamError::Unauthorized`] and the like. Other failures
    /// when the retry budget is spent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn response(mut self) -> Result<StreamResponse<T, R>, Error> {
        self.check()?;
        let (store, prefetch) = (self.store.take(), self.prefetch);
        if let Some(store) = &store
            && let Some(saved) = store.load().await.map_err(StreamError::store)?
        {
            saved.offset().validate()?;
            self.start = saved;
        }
        let (url, max_message_bytes) = (self.stream.shown_url()?.to_owned(), self.options.max_event_bytes);
        let mut driver = Box::new(self.driver()?);
        std::future::poll_fn(|cx| driver.poll_started(cx)).await?;
        driver.share_content_type();
        let chunks = match prefetch {
            0 => ChunkSource::Direct(driver),
            chunks => ChunkSource::Prefetched(Box::new(Prefetched::start(driver, chunks))),
        };
        Ok(StreamResponse::new(StartedReader::new(chunks, store, url, max_message_bytes)))
    }

    /// Starts the reader, as a sequence of chunks.
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn chunks(self) -> Result<ChunkIterator<T, R>, Error> {
        Ok(self.response().await?.chunks())
    }

    /// Starts the reader, as a sequence of byte strings.
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn bytes(self) -> Result<ByteStream<T, R>, Error> {
        Ok(self.response().await?.bytes())
    }

    /// Starts the reader, as a sequence of pieces of text.
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn text(self) -> Result<TextStream<T, R>, Error> {
        Ok(self.response().await?.text())
    }

    /// Starts the reader, as a sequence of values: a JSON stream's messages, or the JSON texts of another.
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    #[cfg(feature = "json")]
    pub async fn json<V: serde::de::DeserializeOwned>(self) -> Result<JsonStream<V, T, R>, Error> {
        Ok(self.response().await?.json())
    }

    /// Starts the reader and reads everything to the end: see [`StreamResponse::read_all`].
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response), and the failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    pub async fn read_all(self) -> Result<Bytes, Error> {
        self.response().await?.read_all().await
    }

    /// Starts the reader and reads everything to the end: see [`StreamResponse::read_text`].
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response), and the failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    pub async fn read_text(self) -> Result<String, Error> {
        self.response().await?.read_text().await
    }

    /// Starts the reader and reads everything to the end: see [`StreamResponse::read_json`].
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response), and the failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future discards the data that was read.
    #[cfg(feature = "json")]
    pub async fn read_json<V: serde::de::DeserializeOwned>(self) -> Result<Vec<V>, Error> {
        self.response().await?.read_json().await
    }

    /// Refuses options that cannot work.
    fn check(&self) -> Result<(), Error> {
        self.stream.url()?;
        self.start.offset().validate()?;
        for (name, value) in &self.headers {
            header(name, value)?;
        }
        self.options.validate(self.if_none_match.is_some())
    }

    fn driver(mut self) -> Result<Driver<T, R>, Error> {
        let mut template = self.stream.call(Operation::Read)?;
        template.had_stream = self.start.is_inside();
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
        let runtime = self.stream.client().runtime();
        let machine = Machine::new(
            self.options,
            template.shown_url().to_owned(),
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
        return Err(refuse("an entity tag is in quotes; give it as the server sent it"));
    }
    HeaderValue::try_from(text).map_err(|_| refuse("it has characters that a header cannot carry"))
}

impl<T, R> Clone for ReaderBuilder<T, R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            start: self.start.clone(),
            headers: self.headers.clone(),
            if_none_match: self.if_none_match.clone(),
            store: self.store.clone(),
            prefetch: self.prefetch,
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
