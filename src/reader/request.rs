use super::builder::ReaderBuilder;
use super::options::LiveMode;
use super::response::StreamResponse;
use crate::checkpoint::Checkpoint;
use crate::client::handle::Client;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::ErrorAction;
use crate::retry::RetryConfig;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use durable_streams_contract::{DefaultRuntime, DefaultTransport};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

/// One read of one stream, from the function `stream(url)` of a stack. Awaiting it starts the reader.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run() -> Result<(), durable_streams::Error> {
/// use durable_streams::tokio::stream;
///
/// let response = stream("https://streams.example.com/v1/greetings").header("Authorization", "Bearer token").await?;
/// println!("{}", response.read_text().await?);
/// # Ok(()) }
/// ```
#[must_use = "a read starts when it is awaited"]
pub struct StreamRequest<T = AnyTransport, R = AnyRuntime> {
    /// The reader, or why it cannot be built.
    reader: Result<ReaderBuilder<T, R>, Error>,
}

impl<T: DefaultTransport, R: DefaultRuntime> StreamRequest<T, R> {
    /// A read of the stream at `url`, with a client of its own. Each stack has a function for it, `stream(url)`.
    ///
    /// An invalid URL, or a missing runtime, is reported when the request is awaited.
    pub fn new(url: impl AsRef<str>) -> Self {
        let client = Client::<T, R>::builder().build();
        Self { reader: client.and_then(|client| Ok(client.try_stream(url)?.reader())) }
    }
}

impl<T: HttpTransport, R: Runtime> StreamRequest<T, R> {
    fn edit(self, edit: impl FnOnce(ReaderBuilder<T, R>) -> ReaderBuilder<T, R>) -> Self {
        Self { reader: self.reader.map(edit) }
    }

    /// The same read with the default type parameters. See [`Client::to_any`](crate::Client::to_any).
    pub fn to_any(self) -> StreamRequest
    where
        T: Clone,
        R: Clone,
    {
        StreamRequest { reader: self.reader.map(ReaderBuilder::to_any) }
    }

    /// Where to start: see [`ReaderBuilder::offset`]. Default: the beginning.
    pub fn offset(self, start: impl Into<Checkpoint>) -> Self {
        self.edit(|reader| reader.offset(start))
    }

    /// How to continue after the data that exists. Default: [`LiveMode::Off`].
    pub fn live(self, mode: LiveMode) -> Self {
        self.edit(|reader| reader.live(mode))
    }

    /// A header for all requests.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.edit(|reader| reader.header(name, value))
    }

    /// Decides what to do after a failure: see [`ReaderBuilder::on_error`].
    pub fn on_error<F>(self, handler: F) -> Self
    where
        F: Fn(&StreamError) -> ErrorAction + Send + Sync + 'static,
    {
        self.edit(|reader| reader.on_error(handler))
    }

    /// How failed requests are retried: see [`ReaderBuilder::retry_config`].
    pub fn retry_config(self, config: RetryConfig) -> Self {
        self.edit(|reader| reader.retry_config(config))
    }
}

impl<T: HttpTransport, R: Runtime> IntoFuture for StreamRequest<T, R> {
    type Output = Result<StreamResponse<T, R>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.reader?.response().await })
    }
}

impl<T, R> fmt::Debug for StreamRequest<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest").field("reader", &self.reader).finish()
    }
}
