//! The handle to one stream: its client, its URL, and what is known about it.

use crate::client::handle::Client;
use crate::error::Error;
use crate::exchange::call::{Call, Response};
use crate::exchange::http_client::HttpClient;
use crate::exchange::target::{Endpoint, Target};
use crate::protocol::head::Head;
use crate::protocol::operation::Operation;
use crate::sync::lock;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::HeaderMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use url::Url;

/// A handle to one stream. It holds no connection, sends nothing by itself, and is cheap to clone.
///
/// Its methods are the operations of the protocol: [`create`](Self::create), [`append`](Self::append),
/// [`head`](Self::head), [`close`](Self::close), [`delete`](Self::delete). [`reader`](Self::reader) reads the stream,
/// [`producer`](Self::producer) writes to it exactly once.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run(client: durable_streams::tokio::Client) -> Result<(), durable_streams::Error> {
/// use durable_streams::CreateOptions;
///
/// let stream = client.stream("https://streams.example.com/v1/greetings");
/// let created = stream.create(CreateOptions::new().content_type("text/plain")).await?;
/// let appended = stream.append("hello\n").await?;
/// assert!(appended.next_offset > created.next_offset);
/// # Ok(()) }
/// ```
pub struct DurableStream<T = AnyTransport, R = AnyRuntime> {
    client: Client<T, R>,
    target: Arc<Target>,
    /// Learned from the server by any clone, or set by the caller. [`with_content_type`](Self::with_content_type)
    /// gives the handle a cell of its own.
    content_type: Arc<Mutex<Option<Arc<str>>>>,
    /// Headers of every request of this handle.
    headers: HeaderMap,
}

impl<T, R> Clone for DurableStream<T, R> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            target: self.target.clone(),
            content_type: self.content_type.clone(),
            headers: self.headers.clone(),
        }
    }
}

impl<T, R> fmt::Debug for DurableStream<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.target.endpoint().map(|endpoint| endpoint.shown().to_owned());
        f.debug_struct("DurableStream").field("url", &url).finish_non_exhaustive()
    }
}

impl<T: HttpTransport, R: Runtime> Client<T, R> {
    /// A handle to the stream at `url`: an absolute URL, or a path below the client's base URL. Nothing is sent.
    ///
    /// If the URL is not valid, or is at another origin than the base URL and that origin is not
    /// [allowed](crate::ClientBuilder::allow_origin), every operation of the handle returns that error and sends nothing. [`try_stream`](Self::try_stream) returns it at once.
    pub fn stream(&self, url: impl AsRef<str>) -> DurableStream<T, R> {
        DurableStream::new(self.clone(), Target::resolve(self.base(), url.as_ref()))
    }

    /// A handle to the stream at `url`: an absolute URL, or a path below the client's base URL. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`](crate::StreamError::Config) with the URL and what is wrong with it.
    pub fn try_stream(&self, url: impl AsRef<str>) -> Result<DurableStream<T, R>, Error> {
        let target = Target::resolve(self.base(), url.as_ref());
        target.url()?;
        Ok(DurableStream::new(self.clone(), target))
    }
}

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    fn new(client: Client<T, R>, target: Target) -> Self {
        Self { client, target: Arc::new(target), content_type: Arc::default(), headers: HeaderMap::new() }
    }

    /// Sets the content type that this handle's appends send, which otherwise ask the server for it once.
    ///
    /// It applies to this handle and to clones made from it, not to the handle's earlier clones. A response that names
    /// the stream's content type replaces it.
    ///
    /// ```
    /// # fn example<T: durable_streams::contract::HttpTransport, R: durable_streams::contract::Runtime>(
    /// #     client: durable_streams::Client<T, R>) {
    /// let stream = client.stream("https://streams.example.com/v1/orders").with_content_type("application/json");
    /// # let _ = stream; }
    /// ```
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl AsRef<str>) -> Self {
        self.content_type = Arc::new(Mutex::new(Some(content_type.as_ref().into())));
        self
    }

    /// The same as [`with_content_type`](Self::with_content_type).
    #[deprecated(note = "renamed to `with_content_type`")]
    #[must_use]
    pub fn content_type(self, content_type: impl AsRef<str>) -> Self {
        self.with_content_type(content_type)
    }

    /// Headers for every request of this handle, including its readers' and producers'. They win over
    /// the client's headers, and replace headers that were set by an earlier call.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The stream's URL.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`](crate::StreamError::Config) if the handle was made from a URL that is not valid.
    pub fn url(&self) -> Result<&str, Error> {
        self.target.url().map(Url::as_str)
    }

    /// The client that made this handle.
    #[must_use]
    pub fn client(&self) -> &Client<T, R> {
        &self.client
    }

    /// The same handle with the default type parameters. See [`Client::to_any`].
    #[must_use]
    pub fn to_any(&self) -> DurableStream
    where
        T: Clone,
        R: Clone,
    {
        DurableStream {
            client: self.client.to_any(),
            target: self.target.clone(),
            content_type: self.content_type.clone(),
            headers: self.headers.clone(),
        }
    }

    /// The stream's URL as texts show it: without the query, which may hold credentials.
    pub(crate) fn shown_url(&self) -> Result<&str, Error> {
        self.target.endpoint().map(Endpoint::shown)
    }

    pub(crate) fn http(&self) -> &HttpClient<T, R> {
        self.client.http()
    }

    /// A request for this stream, with the handle's headers.
    pub(crate) fn call(&self, operation: Operation) -> Result<Call, Error> {
        let mut call = Call::new(operation, self.target.endpoint()?);
        call.extra_headers = self.headers.clone();
        Ok(call)
    }

    /// Parses the headers of a success, and reads its body to the end so that the connection can be used again.
    pub(crate) async fn finish(&self, call: &Call, response: Response) -> Result<Head, Error> {
        let head = Head::parse(&response.headers).map_err(|kind| call.error(kind));
        self.http().drain(response.body).await;
        head
    }

    /// The stream's content type, if it is known without a request.
    pub(crate) fn known_content_type(&self) -> Option<Arc<str>> {
        lock(&self.content_type).clone()
    }

    /// Remembers the content type that a response named.
    pub(crate) fn learn_content_type(&self, content_type: &str) {
        let mut known = lock(&self.content_type);
        if known.as_deref() != Some(content_type) {
            *known = Some(content_type.into());
        }
    }

    /// The stream's content type. Sends a HEAD if it is not known.
    pub(crate) async fn resolve_content_type(&self) -> Result<Arc<str>, Error> {
        match self.known_content_type() {
            Some(content_type) => Ok(content_type),
            None => Ok(self.head().await?.content_type.into()),
        }
    }
}
