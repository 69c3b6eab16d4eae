//! A stream's handle and its operations.

mod append;
mod create;
mod responses;

pub use append::Append;
pub(crate) use append::{producer_id_value, producer_number};
pub use create::{CreateOptions, Fork};
pub use responses::{AppendResponse, CloseResponse, CreateResponse, HeadResponse, ProducerPosition};

use crate::client::Client;
use crate::error::{Error, StreamError};
use crate::exchange::{Answer, Call, Failed, Resend, Target};
use crate::producer::ProducerBuilder;
use crate::protocol::answer::{Head, Operation};
use crate::protocol::headers;
use crate::reader::ReaderBuilder;
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::{HeaderMap, HeaderValue, header};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// A handle to one stream. It holds no connection, sends nothing by itself, and is cheap to clone.
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
    /// Learned from the server, or told by the caller; shared by all clones.
    content_type: Arc<Mutex<Option<Arc<str>>>>,
    /// For every request of this handle.
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
        let url = self.target.url().map(Url::to_string);
        f.debug_struct("DurableStream").field("url", &url).finish_non_exhaustive()
    }
}

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    pub(crate) fn new(client: Client<T, R>, target: Target) -> Self {
        Self { client, target: Arc::new(target), content_type: Arc::default(), headers: HeaderMap::new() }
    }

    /// Says what the stream's content type is, for appends that would otherwise ask the server once.
    #[must_use]
    pub fn content_type(self, content_type: impl AsRef<str>) -> Self {
        self.learn_content_type(content_type.as_ref());
        self
    }

    /// Headers for every request of this handle, its readers' and producers' included. They win over
    /// the client's and replace those given before.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The stream's URL.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] where the handle was made from a URL that cannot work.
    pub fn url(&self) -> Result<&str, Error> {
        self.target.url().map(Url::as_str)
    }

    /// The client that this handle came from.
    #[must_use]
    pub fn client(&self) -> &Client<T, R> {
        &self.client
    }

    /// The same handle with its stack's type erased.
    #[must_use]
    pub fn erase(&self) -> DurableStream
    where
        T: Clone,
        R: Clone,
    {
        DurableStream {
            client: self.client.erase(),
            target: self.target.clone(),
            content_type: self.content_type.clone(),
            headers: self.headers.clone(),
        }
    }

    /// Creates the stream, or finds it there as asked for.
    ///
    /// Without options it is an open, empty stream of `application/octet-stream` without expiry. See
    /// [`CreateOptions`] for content type, lifetime, first content, closure and forks. Retried by the
    /// client's policy: creating twice is creating once.
    ///
    /// # Errors
    ///
    /// [`StreamError::Conflict`] where a stream with another configuration is there,
    /// [`StreamError::NotFound`] for a fork of a stream that is not there, and
    /// [`StreamError::Config`] for options that cannot work, before anything is sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; the stream may have been created. Call it again.
    pub async fn create(&self, options: CreateOptions) -> Result<CreateResponse, Error> {
        let mut call = self.call(Operation::Create)?;
        let sent_type = options.apply(&mut call)?;
        let answer = self.client.perform(&call, Resend::Always).await.map_err(|failed| failed.error)?;
        let created = answer.status == http::StatusCode::CREATED;
        let head = self.finish(&call, answer).await?;
        let next_offset = head.require_offset("create").map_err(|kind| locate(kind, &call))?;
        let content_type = head.content_type.or(sent_type);
        let content_type = content_type.unwrap_or_else(|| create::DEFAULT_CONTENT_TYPE.to_owned());
        self.learn_content_type(&content_type);
        Ok(CreateResponse { next_offset, content_type, created, closed: head.closed })
    }

    /// Appends `data` as it is, and waits until it is stored.
    ///
    /// The returned [`Append`] is a future; its methods add what the request needs beyond the bytes: a
    /// sequence, a producer's identity, headers.
    ///
    /// On a JSON stream `data` is JSON text, and an array is one message for each of its elements:
    /// that is the protocol's own rule. [`append_json`](Self::append_json) stores any value as one message.
    ///
    /// An append is not idempotent by itself. It is sent again only where the server cannot have
    /// carried it out; otherwise it ends with [`StreamError::OutcomeUnknown`].
    /// [`Append::producer`] makes it exactly-once, [`Append::at_least_once`] accepts copies. For more than a
    /// few records use [`producer`](Self::producer).
    ///
    /// # Errors
    ///
    /// From the future: [`StreamError::NotFound`], [`StreamError::StreamClosed`],
    /// [`StreamError::ContentTypeMismatch`], [`StreamError::SeqConflict`], [`StreamError::PayloadTooLarge`],
    /// [`StreamError::OutcomeUnknown`]; [`StreamError::Config`] for empty data, before anything is sent.
    ///
    /// # Cancel safety
    ///
    /// Nothing is sent before the first poll. Dropping the future after it leaves the outcome unknown.
    pub fn append(&self, data: impl Into<Bytes>) -> Append<T, R> {
        Append::new(self.clone(), Ok(data.into()))
    }

    /// Appends one value as JSON, and waits until it is stored.
    ///
    /// On a JSON stream it is one message, even where it is an array. On a stream of another type it is
    /// its JSON text and a line feed. Otherwise like [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), and [`StreamError::Json`] for a value that does not serialise.
    #[cfg(feature = "json")]
    pub fn append_json<V: serde::Serialize + ?Sized>(&self, value: &V) -> Append<T, R> {
        Append::json(self.clone(), value)
    }

    /// Starts to build a producer: appends that are batched, pipelined and stored exactly once.
    ///
    /// `id` names the writer across restarts, an instance of a service for instance. Two producers with the same id
    /// must not write to the stream at once.
    pub fn producer(&self, id: impl Into<String>) -> ProducerBuilder<T, R> {
        ProducerBuilder::new(self.clone(), id.into())
    }

    /// Asks for the stream's metadata. No data is transferred, and no time to live renewed.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`], or [`StreamError::Gone`] for a stream that is kept for its forks only.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; nothing is lost.
    pub async fn head(&self) -> Result<HeadResponse, Error> {
        let call = self.call(Operation::Head)?;
        let answer = self.client.perform(&call, Resend::Always).await.map_err(|failed| failed.error)?;
        let head = self.finish(&call, answer).await?;
        let next_offset = head.require_offset("head").map_err(|kind| locate(kind, &call))?;
        let Some(content_type) = head.content_type else {
            return Err(locate(StreamError::protocol("the answer to head has no Content-Type"), &call));
        };
        self.learn_content_type(&content_type);
        Ok(HeadResponse {
            next_offset,
            content_type,
            ttl: head.ttl,
            expires_at: head.expires_at,
            closed: head.closed,
            etag: head.etag,
        })
    }

    /// Closes the stream: readers come to an end, and later appends are refused. Closing a closed stream succeeds.
    ///
    /// To close it together with a last record use [`close_with`](Self::close_with), or [`Append::closing`]
    /// for all of an append's options.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`], [`StreamError::NotSupported`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; the stream may be closed. Call it again.
    pub async fn close(&self) -> Result<CloseResponse, Error> {
        let mut call = self.call(Operation::Close)?;
        call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        let answer = match self.client.perform(&call, Resend::Always).await {
            Ok(answer) => answer,
            Err(Failed { error, .. }) => return self.found_closed(error).await,
        };
        let head = self.finish(&call, answer).await?;
        let final_offset = head.require_offset("close").map_err(|kind| locate(kind, &call))?;
        if !head.closed {
            return Err(locate(
                StreamError::protocol("the answer to close does not say Stream-Closed: true"),
                &call,
            ));
        }
        Ok(CloseResponse { final_offset })
    }

    /// A server may refuse to close what is closed already, and what was wanted is so nevertheless.
    async fn found_closed(&self, error: Error) -> Result<CloseResponse, Error> {
        match error.kind() {
            StreamError::StreamClosed { final_offset: Some(offset) } => {
                Ok(CloseResponse { final_offset: offset.clone() })
            }
            StreamError::StreamClosed { final_offset: None } => {
                Ok(CloseResponse { final_offset: self.head().await?.next_offset })
            }
            _ => Err(error),
        }
    }

    /// Appends a last record and closes the stream, both or neither.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append). [`StreamError::StreamClosed`] where it was closed before;
    /// [`StreamError::OutcomeUnknown`] where an attempt went unanswered and the stream is found closed,
    /// perhaps by that attempt.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future after its first poll leaves the outcome unknown.
    pub async fn close_with(&self, data: impl Into<Bytes>) -> Result<CloseResponse, Error> {
        let response = self.append(data).closing().await?;
        Ok(CloseResponse { final_offset: response.next_offset })
    }

    /// Deletes the stream and its data. Data that forks still read is kept for them.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`] where there is none; [`StreamError::Gone`] where it is kept for its forks only.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request; the stream may be deleted.
    pub async fn delete(&self) -> Result<(), Error> {
        let call = self.call(Operation::Delete)?;
        match self.client.perform(&call, Resend::Always).await {
            Ok(answer) => {
                self.client.drain(answer.body).await;
                Ok(())
            }
            // An earlier attempt went unanswered, and did it.
            Err(Failed { error, ambiguous: true })
                if matches!(error.kind(), StreamError::NotFound { .. } | StreamError::Gone { .. }) =>
            {
                Ok(())
            }
            Err(failed) => Err(failed.error),
        }
    }

    /// Sets up a reader of this stream: from where, live or not, as chunks, bytes, text or JSON.
    pub fn reader(&self) -> ReaderBuilder<T, R> {
        ReaderBuilder::new(self.clone())
    }

    /// A request for this stream, with the handle's headers.
    pub(crate) fn call(&self, operation: Operation) -> Result<Call, Error> {
        let mut call = Call::new(operation, self.target.place()?);
        call.extra_headers = self.headers.clone();
        Ok(call)
    }

    /// Reads a success's headers, and its body to the end so that the connection can be used again.
    pub(crate) async fn finish(&self, call: &Call, answer: Answer) -> Result<Head, Error> {
        let head = Head::parse(&answer.headers).map_err(|kind| locate(kind, call));
        self.client.drain(answer.body).await;
        head
    }

    /// The stream's content type, as far as it is known here.
    pub(crate) fn known_content_type(&self) -> Option<Arc<str>> {
        self.content_type.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn learn_content_type(&self, content_type: &str) {
        let mut known = self.content_type.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(content_type) {
            *known = Some(content_type.into());
        }
    }

    /// The stream's content type; asked of the server where it is not known.
    pub(crate) async fn resolve_content_type(&self) -> Result<Arc<str>, Error> {
        match self.known_content_type() {
            Some(content_type) => Ok(content_type),
            None => Ok(self.head().await?.content_type.into()),
        }
    }
}

/// An error of the client's own about an answer to `call`.
pub(crate) fn locate(kind: StreamError, call: &Call) -> Error {
    Error::from(kind).edit(|context| {
        context.operation = Some(call.operation.name());
        context.url = Some(call.url().to_string());
    })
}

/// A header's value from text that came from the caller.
pub(crate) fn header_value(option: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|_| {
        StreamError::config(
            option,
            format!("{text:?}"),
            "a header cannot carry it: it has control characters",
        )
        .into()
    })
}

pub(crate) fn content_type_value(text: &str) -> Result<HeaderValue, Error> {
    let is_type =
        text.split_once('/').is_some_and(|(kind, rest)| !kind.trim().is_empty() && !rest.trim().is_empty());
    if !is_type {
        return Err(StreamError::config(
            header::CONTENT_TYPE.as_str(),
            format!("{text:?}"),
            "it is no type/subtype",
        )
        .into());
    }
    header_value("content_type", text)
}
