//! One attempt over the network: the request, and what its response means.

use crate::error::{Error, StreamError};
use crate::exchange::call::{AttemptError, Call, Response};
use crate::exchange::headers::replace;
use crate::exchange::http_client::is_connection_suspect;
use crate::offset::Offset;
use crate::producer::machine::{Attempt, AttemptResult, Fate};
use crate::protocol::head::Head;
use crate::protocol::operation::Operation;
use crate::protocol::{content_type, headers};
use crate::stream::handle::DurableStream;
use crate::sync::lock;
use durable_streams_contract::{HttpTransport, Runtime, Sent};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What all requests of a producer have in common.
pub(in crate::producer) struct Wire<T, R> {
    pub(in crate::producer) stream: DurableStream<T, R>,
    pub(in crate::producer) id: HeaderValue,
    pub(in crate::producer) content_type: Option<HeaderValue>,
    /// A success need not have the producer's epoch.
    accepts_missing_epoch: bool,
    /// The headers that the error handler returned last. Shared by all clones, so that a request that is retried inside
    /// its own future uses the latest ones, and none overwrites them with what it started with.
    extra_headers: Arc<Mutex<HeaderMap>>,
    /// The next request needs a new connection. Shared by all clones: whichever of them sends first asks for it, and then no
    /// connection that was open before serves the others either.
    fresh_connection: Arc<AtomicBool>,
}

impl<T, R> Clone for Wire<T, R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            id: self.id.clone(),
            content_type: self.content_type.clone(),
            accepts_missing_epoch: self.accepts_missing_epoch,
            extra_headers: self.extra_headers.clone(),
            fresh_connection: self.fresh_connection.clone(),
        }
    }
}

/// What a HEAD reports about the stream.
#[derive(Debug)]
pub(super) struct StreamMetadata {
    pub(super) content_type: String,
    pub(super) tail: Offset,
}

impl<T: HttpTransport, R: Runtime> Wire<T, R> {
    pub(in crate::producer) fn new(
        stream: DurableStream<T, R>,
        id: HeaderValue,
        content_type: Option<HeaderValue>,
        accepts_missing_epoch: bool,
    ) -> Self {
        Self {
            stream,
            id,
            content_type,
            accepts_missing_epoch,
            extra_headers: Arc::default(),
            fresh_connection: Arc::default(),
        }
    }

    /// Replaces the headers of the error handler for all later requests, if it returned any.
    pub(super) fn set_extra_headers(&self, headers: Option<HeaderMap>) {
        if let Some(headers) = headers {
            *lock(&self.extra_headers) = headers;
        }
    }

    fn call(&self, operation: Operation) -> Result<Call, Error> {
        let mut call = self.stream.call(operation)?;
        replace(&mut call.extra_headers, lock(&self.extra_headers).clone());
        Ok(call)
    }

    /// One attempt of a request. After a failure that may be the connection's, the next one gets a new connection.
    async fn send_once(&self, call: &Call) -> Result<Response, AttemptError> {
        let fresh_connection = self.fresh_connection.swap(false, Ordering::Relaxed);
        let attempt = self.stream.http().send_once(call, fresh_connection).await;
        if is_connection_suspect(&attempt) {
            self.fresh_connection.store(true, Ordering::Relaxed);
        }
        attempt
    }

    fn append(&self, attempt: &Attempt) -> Result<Call, Error> {
        let is_close_only = attempt.closing && attempt.body.is_empty();
        let mut call = self.call(if is_close_only { Operation::Close } else { Operation::Append })?;
        call.accepts_missing_epoch = self.accepts_missing_epoch;
        call.headers.insert(headers::PRODUCER_ID, self.id.clone());
        call.headers.insert(headers::PRODUCER_EPOCH, attempt.epoch.into());
        call.headers.insert(headers::PRODUCER_SEQ, attempt.seq.into());
        if attempt.closing {
            call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        }
        if let (false, Some(content_type)) = (is_close_only, &self.content_type) {
            call.headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        call.body = attempt.body.clone();
        call.patience = attempt.patience;
        Ok(call)
    }

    /// Sends the attempt. With `needs_tail`, a duplicate response without an offset is completed by a HEAD.
    pub(super) async fn send(self, attempt: Attempt, needs_tail: bool) -> AttemptResult {
        let call = match self.append(&attempt) {
            Ok(call) => call,
            Err(error) => return AttemptResult::Failed { error, fate: Fate::NoEffect, retry: false },
        };
        let response = match self.send_once(&call).await {
            Ok(response) => response,
            Err(error) => return without_response(error, &call),
        };
        let status = response.status;
        if !status.is_success() {
            let head = Head::for_refusal(&response.headers);
            let is_incomplete = response.is_request_incomplete;
            let (error, unapplied) = self.stream.http().refusal(&call, response).await;
            // A gateway that fails before it has the whole body may do so because of its size.
            if is_incomplete && matches!(status.as_u16(), 408 | 500..) && error.is_retryable() {
                return AttemptResult::CutOff(error);
            }
            return self.refused(&attempt, status, &head, error, unapplied).await;
        }
        let result = match self.stream.finish(&call, response).await {
            Ok(head) => check_success(status, head, &attempt, &call),
            Err(error) => Err(error),
        };
        match result {
            Ok(AttemptResult::Stored { offset: None, duplicate: true, highest }) if needs_tail => {
                match self.head().await {
                    Ok(metadata) => {
                        AttemptResult::Stored { offset: Some(metadata.tail), duplicate: true, highest }
                    }
                    // A duplicate has no effect, and is no reason to expect another one. The attempt is repeated for
                    // another HEAD.
                    Err(error) if error.is_retryable() => {
                        AttemptResult::Failed { error, fate: Fate::NoEffect, retry: true }
                    }
                    Err(error) if is_foreign_response(&error) => {
                        AttemptResult::Failed { error, fate: Fate::NoEffect, retry: false }
                    }
                    Err(_) => AttemptResult::Stored { offset: None, duplicate: true, highest },
                }
            }
            Ok(result) => result,
            Err(error) => AttemptResult::Failed { error, fate: Fate::Unknown, retry: false },
        }
    }

    async fn refused(
        &self,
        attempt: &Attempt,
        status: StatusCode,
        head: &Head,
        error: Error,
        unapplied: bool,
    ) -> AttemptResult {
        match (status.as_u16(), head.producer_epoch, head.expected_seq) {
            // Without an epoch a 403 is about credentials.
            (403, Some(server_epoch), _) => return AttemptResult::Stale { server_epoch },
            // Closure before the gap: a closed stream reports both.
            (409, ..) if head.closed => {
                return AttemptResult::Closed { error, final_offset: head.next_offset.clone() };
            }
            (409, _, Some(expected)) => {
                return AttemptResult::Gap { expected, received: head.received_seq.unwrap_or(attempt.seq) };
            }
            (413, ..) => return AttemptResult::TooLarge(error),
            _ => {}
        }
        let retry = error.is_retryable();
        // A server does not apply what it refuses (4xx, 501). It may have applied what it failed at.
        // 408: some servers begin to work before the request is complete.
        let failed = !unapplied
            && (status == StatusCode::REQUEST_TIMEOUT
                || !(status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED));
        let fate = if failed { Fate::Unknown } else { Fate::Refused };
        AttemptResult::Failed { error: self.explain(error).await, fate, retry }
    }

    /// The protocol has one status for several conflicts. A HEAD tells whether it is the content type.
    async fn explain(&self, error: Error) -> Error {
        if !matches!(error.kind(), StreamError::SeqConflict(_)) {
            return error;
        }
        // A configured type with parameters is compared without them.
        let sent = self.content_type.as_ref().and_then(|value| value.to_str().ok());
        match (self.head().await, sent) {
            (Ok(metadata), Some(sent)) if !content_type::same(&metadata.content_type, sent) => {
                let actual = sent.to_owned();
                error.with_kind(StreamError::ContentTypeMismatch { expected: metadata.content_type, actual })
            }
            _ => error,
        }
    }

    /// Asks for the stream's content type and tail, once.
    pub(super) async fn head(&self) -> Result<StreamMetadata, Error> {
        let mut call = self.call(Operation::Head)?;
        // A cached tail would be wrong.
        call.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let response = match self.send_once(&call).await {
            Ok(response) => response,
            Err(AttemptError::Transport(error) | AttemptError::CutOff(error)) => {
                return Err(call.transport_error(&error));
            }
            Err(AttemptError::Refused(error) | AttemptError::Intercepted(error)) => return Err(error),
        };
        if !response.status.is_success() {
            return Err(self.stream.http().refusal(&call, response).await.0);
        }
        let head = self.stream.finish(&call, response).await?;
        // Without it this is the response of some other server, not of one that does not report its tail.
        let tail = head.require_offset("head").map_err(|kind| call.error(kind))?;
        match head.content_type {
            Some(content_type) => Ok(StreamMetadata { content_type, tail }),
            None => Err(call.error(StreamError::protocol("the response to head has no Content-Type"))),
        }
    }
}

/// Whether a success came from something that is not a server of this protocol. It says nothing about the stream, while
/// a refusal says that the server does not report it.
pub(super) fn is_foreign_response(error: &Error) -> bool {
    matches!(error.kind(), StreamError::Protocol { .. } | StreamError::UnexpectedEncoding { .. })
}

fn without_response(error: AttemptError, call: &Call) -> AttemptResult {
    match error {
        AttemptError::Transport(error) => {
            let fate = if error.sent() == Sent::No { Fate::NoEffect } else { Fate::Unknown };
            let retry = error.is_retryable();
            AttemptResult::Failed { error: call.transport_error(&error), fate, retry }
        }
        AttemptError::CutOff(error) => AttemptResult::CutOff(call.transport_error(&error)),
        AttemptError::Intercepted(error) => AttemptResult::Failed { error, fate: Fate::Unknown, retry: true },
        // A refused redirect may come from a server that has applied the request.
        AttemptError::Refused(error) => {
            let is_own = matches!(error.kind(), StreamError::Config(_));
            // A configuration error is found before the request is sent.
            let fate = if is_own { Fate::NoEffect } else { Fate::Unknown };
            AttemptResult::Failed { error, fate, retry: false }
        }
    }
}

/// Checks that a success comes from a server of this protocol, and is for this attempt.
fn check_success(
    status: StatusCode,
    head: Head,
    attempt: &Attempt,
    call: &Call,
) -> Result<AttemptResult, Error> {
    let broken = |message: String| Err(call.error(StreamError::protocol(message)));
    // Protocol §5.2.1: 200 for a new batch, 204 for a duplicate.
    let duplicate = status == StatusCode::NO_CONTENT;
    if !duplicate && status != StatusCode::OK {
        return broken(format!("the response to an append has the unexpected status {status}"));
    }
    let has_no_header =
        head.next_offset.is_none() && head.producer_epoch.is_none() && head.producer_seq.is_none();
    if has_no_header || (head.next_offset.is_none() && !duplicate) {
        return broken(
            "the response to an append has none of the protocol's headers; check that the URL is of a Durable Streams \
             server, and that no proxy removes them"
                .into(),
        );
    }
    if head.producer_epoch.is_none() && !call.accepts_missing_epoch {
        return Err(call.missing_epoch());
    }
    // A success for another epoch or a lower number belongs to another request: a proxy may have mixed them up.
    if let Some(epoch) = head.producer_epoch
        && epoch != attempt.epoch
    {
        return broken(format!("an append with epoch {} was accepted with epoch {epoch}", attempt.epoch));
    }
    if let Some(highest) = head.producer_seq
        && highest < attempt.seq
    {
        return broken(format!(
            "an append with seq {} was accepted, but the server's highest is {highest}",
            attempt.seq
        ));
    }
    if attempt.closing && !head.closed {
        // Every success of a close without a record is 204.
        if duplicate && !attempt.body.is_empty() {
            return Ok(AttemptResult::NumberTaken);
        }
        return broken("the response to a closing append does not have Stream-Closed: true".into());
    }
    Ok(AttemptResult::Stored { offset: head.next_offset, duplicate, highest: head.producer_seq })
}
