//! The operations that are one request each: create, append, head, close, delete.

use super::append::Append;
use super::create::CreateOptions;
use super::handle::DurableStream;
use super::responses::{CloseResponse, CreateResponse, HeadResponse};
use crate::error::{Error, StreamError};
use crate::exchange::retry_loop::{OperationError, Resend};
use crate::protocol::content_type::DEFAULT_CONTENT_TYPE;
use crate::protocol::headers;
use crate::protocol::operation::Operation;
use bytes::Bytes;
use durable_streams_contract::{HttpTransport, Runtime};
use http::{HeaderValue, StatusCode};

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    /// Creates the stream, or succeeds if it exists with the same configuration (protocol §5.1).
    ///
    /// The default options create an open, empty stream of `application/octet-stream` without expiry. See
    /// [`CreateOptions`] for content type, lifetime, first content, closure and forks. The client's policy retries
    /// a create: a second one has no further effect.
    ///
    /// # Errors
    ///
    /// [`StreamError::Conflict`] if a stream with another configuration exists,
    /// [`StreamError::NotFound`] for a fork of a stream that does not exist, and
    /// [`StreamError::Config`] for options that are not valid, before anything is sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request. The stream may have been created; to be sure, call it again.
    pub async fn create(&self, options: CreateOptions) -> Result<CreateResponse, Error> {
        let mut call = self.call(Operation::Create)?;
        // A server need not repeat the type that was sent. A fork has the type of its source, which only the server
        // knows.
        let sent_type = options.apply(&mut call)?;
        let response = self.http().send(&call, Resend::Always).await.map_err(|failed| failed.error)?;
        let created = response.status == StatusCode::CREATED;
        let head = self.finish(&call, response).await?;
        let next_offset = head.require_offset("create").map_err(|kind| call.error(kind))?;
        let content_type = head.content_type.or(sent_type);
        let content_type = content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned());
        self.learn_content_type(&content_type);
        Ok(CreateResponse { next_offset, content_type, created, closed: head.closed })
    }

    /// Appends `data` unchanged, and waits until it is stored (protocol §5.2).
    ///
    /// The returned [`Append`] is a future. Its methods add what the request needs besides the bytes: a
    /// sequence, a producer's identity, headers.
    ///
    /// On a JSON stream `data` is JSON text, and an array is one message for each of its elements
    /// (protocol §9.1). `append_json` stores any value as one message.
    ///
    /// An append is not idempotent. It is sent again only if the server cannot have applied it;
    /// otherwise it ends with [`StreamError::OutcomeUnknown`].
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
    /// Nothing is sent before the first poll. If the future is dropped after it, the outcome is not known.
    pub fn append(&self, data: impl Into<Bytes>) -> Append<T, R> {
        Append::new(self.clone(), Ok(data.into()))
    }

    /// Appends one value as JSON, and waits until it is stored.
    ///
    /// On a JSON stream it is one message, even if it is an array. On a stream of another type it is
    /// its JSON text and a line feed. Otherwise like [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), and [`StreamError::Json`] for a value that cannot be serialised.
    #[cfg(feature = "json")]
    pub fn append_json<V: serde::Serialize + ?Sized>(&self, value: &V) -> Append<T, R> {
        Append::json(self.clone(), value)
    }

    /// Requests the stream's metadata (protocol §5.5). No data is transferred, and the stream's time to live is not
    /// renewed.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`], or [`StreamError::Gone`] for a stream that is kept for its forks only.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request. Nothing is lost.
    pub async fn head(&self) -> Result<HeadResponse, Error> {
        let call = self.call(Operation::Head)?;
        let response = self.http().send(&call, Resend::Always).await.map_err(|failed| failed.error)?;
        let head = self.finish(&call, response).await?;
        let next_offset = head.require_offset("head").map_err(|kind| call.error(kind))?;
        let Some(content_type) = head.content_type else {
            return Err(call.error(StreamError::protocol("the response to head has no Content-Type")));
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

    /// Closes the stream (protocol §5.3): readers reach its end, and later appends are refused. To close a closed stream
    /// succeeds.
    ///
    /// To close it together with a last record use [`close_with`](Self::close_with), or [`Append::closing`]
    /// for all options of an append.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`], [`StreamError::NotSupported`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request. The stream may be closed; to be sure, call it again.
    pub async fn close(&self) -> Result<CloseResponse, Error> {
        let mut call = self.call(Operation::Close)?;
        // A POST without a body and with this header is a close.
        call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        let response = match self.http().send(&call, Resend::Always).await {
            Ok(response) => response,
            Err(OperationError { error, .. }) => return self.already_closed(error).await,
        };
        let head = self.finish(&call, response).await?;
        let final_offset = head.require_offset("close").map_err(|kind| call.error(kind))?;
        if !head.closed {
            let message = "the response to close does not have Stream-Closed: true";
            return Err(call.error(StreamError::protocol(message)));
        }
        Ok(CloseResponse { final_offset })
    }

    /// Turns the refusal of a server that does not close a closed stream again into success.
    async fn already_closed(&self, error: Error) -> Result<CloseResponse, Error> {
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

    /// Appends a last record and closes the stream, in one step.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append). [`StreamError::StreamClosed`] if it was closed before;
    /// [`StreamError::OutcomeUnknown`] if an attempt had no response and the stream is closed now,
    /// possibly by that attempt.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after its first poll, the outcome is not known.
    pub async fn close_with(&self, data: impl Into<Bytes>) -> Result<CloseResponse, Error> {
        let response = self.append(data).closing().await?;
        Ok(CloseResponse { final_offset: response.next_offset })
    }

    /// Deletes the stream and its data (protocol §5.4). Data that forks still read is kept for them.
    ///
    /// # Errors
    ///
    /// [`StreamError::NotFound`] if it does not exist; [`StreamError::Gone`] if it is kept for its forks only.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request. The stream may be deleted.
    pub async fn delete(&self) -> Result<(), Error> {
        let call = self.call(Operation::Delete)?;
        match self.http().send(&call, Resend::Always).await {
            Ok(response) => {
                self.http().drain(response.body).await;
                Ok(())
            }
            // An earlier attempt without a response deleted it.
            Err(OperationError { error, ambiguous: true })
                if matches!(error.kind(), StreamError::NotFound { .. } | StreamError::Gone { .. }) =>
            {
                Ok(())
            }
            Err(failed) => Err(failed.error),
        }
    }
}
