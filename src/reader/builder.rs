use super::driver::Driver;
use super::machine::Machine;
use super::options::{LiveMode, Options};
use super::prefetch::Ahead;
use super::response::StreamResponse;
use super::started::{Feed, Source};
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
use crate::protocol::operation::Operation;
use crate::retry::RetryConfig;
use crate::stream::handle::DurableStream;
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
    store: Option<Arc<dyn CheckpointStore>>,
    prefetch: usize,
    options: Options,
}

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    /// A builder of a reader of this stream: the start, live or not, as chunks, bytes, text or JSON.
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

    /// Where the reader's checkpoint is kept. The reader starts from what is there (and from
    /// [`offset`](Self::offset) only where nothing is), and saves what the application
    /// [acknowledges](ChunkIterator::acknowledge), nothing more. Default: none.
    pub fn checkpoint_store(mut self, store: impl CheckpointStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// How many chunks may be read ahead, by a task of the client's runtime. Default: 0, nothing is.
    ///
    /// The reader then holds up to so many times [`max_chunk_bytes`](Self::max_chunk_bytes). Positions are
    /// those of what was handed out, not of what was read.
    pub fn prefetch(mut self, chunks: usize) -> Self {
        self.prefetch = chunks;
        self
    }

    /// Starts the reader, and leaves open how it is consumed: the stream's content type may decide.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] for an option that cannot work, before anything is sent. Otherwise whatever
    /// keeps the stream from answering: [`StreamError::NotFound`], [`StreamError::OffsetGone`],
    /// [`StreamError::Unauthorized`] and the like at once, failures that may pass when the retry policy
    /// gives up. [`StreamError::CheckpointStore`] where the saved position cannot be loaded.
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
        let (url, max_message_bytes) = (self.stream.url()?.to_owned(), self.options.max_event_bytes);
        let mut driver = Box::new(self.driver()?);
        std::future::poll_fn(|cx| driver.poll_started(cx)).await?;
        driver.share_content_type();
        let feed = match prefetch {
            0 => Feed::Direct(driver),
            chunks => Feed::Ahead(Box::new(Ahead::start(driver, chunks))),
        };
        Ok(StreamResponse::new(Source::new(feed, store, url, max_message_bytes)))
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
    /// As for [`response`](Self::response), and whatever ends the reader early.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
    pub async fn read_all(self) -> Result<Bytes, Error> {
        self.response().await?.read_all().await
    }

    /// Starts the reader and reads everything to the end: see [`StreamResponse::read_text`].
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response), and whatever ends the reader early.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
    pub async fn read_text(self) -> Result<String, Error> {
        self.response().await?.read_text().await
    }

    /// Starts the reader and reads everything to the end: see [`StreamResponse::read_json`].
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response), and whatever ends the reader early.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was read.
    #[cfg(feature = "json")]
    pub async fn read_json<V: serde::de::DeserializeOwned>(self) -> Result<Vec<V>, Error> {
        self.response().await?.read_json().await
    }

    /// Refuses what cannot work.
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
