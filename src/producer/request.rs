//! One attempt on the wire: the request, and what its answer means.

use super::machine::{Answer, Attempt, Fate};
use crate::error::{Error, StreamError};
use crate::exchange::call::{AttemptError, Call};
use crate::exchange::headers::replace;
use crate::offset::Offset;
use crate::protocol::head::Head;
use crate::protocol::operation::Operation;
use crate::protocol::{content_type, headers};
use crate::stream::handle::DurableStream;
use durable_streams_contract::{HttpTransport, Runtime, Sent};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// What all requests of a producer share.
pub(super) struct Wire<T, R> {
    pub(super) stream: DurableStream<T, R>,
    pub(super) id: HeaderValue,
    pub(super) content_type: Option<HeaderValue>,
    /// What an error handler asked for.
    pub(super) extra_headers: HeaderMap,
}

impl<T, R> Clone for Wire<T, R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            id: self.id.clone(),
            content_type: self.content_type.clone(),
            extra_headers: self.extra_headers.clone(),
        }
    }
}

/// What the server says of the stream before anything is sent.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) content_type: String,
    pub(super) tail: Offset,
}

impl<T: HttpTransport, R: Runtime> Wire<T, R> {
    fn call(&self, operation: Operation) -> Result<Call, Error> {
        let mut call = self.stream.call(operation)?;
        replace(&mut call.extra_headers, self.extra_headers.clone());
        Ok(call)
    }

    fn append(&self, attempt: &Attempt) -> Result<Call, Error> {
        let bare_end = attempt.closing && attempt.body.is_empty();
        let mut call = self.call(if bare_end { Operation::Close } else { Operation::Append })?;
        call.headers.insert(headers::PRODUCER_ID, self.id.clone());
        call.headers.insert(headers::PRODUCER_EPOCH, attempt.epoch.into());
        call.headers.insert(headers::PRODUCER_SEQ, attempt.seq.into());
        if attempt.closing {
            call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        }
        if let (false, Some(content_type)) = (bare_end, &self.content_type) {
            call.headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        call.body = attempt.body.clone();
        Ok(call)
    }

    /// Makes the attempt. With `ask_tail`, a duplicate answer that does not say the tail is completed by asking.
    pub(super) async fn attempt(self, attempt: Attempt, ask_tail: bool) -> Answer {
        let call = match self.append(&attempt) {
            Ok(call) => call,
            Err(error) => return Answer::Failed { error, fate: Fate::NotSent, again: false },
        };
        let answer = match self.stream.http().send_once(&call).await {
            Ok(answer) => answer,
            Err(failure) => return failed(failure, &call),
        };
        let status = answer.status;
        if !status.is_success() {
            let head = Head::for_refusal(&answer.headers);
            let (error, _) = self.stream.http().refusal(&call, answer).await;
            return self.refused(status, &head, error).await;
        }
        let judged = match self.stream.finish(&call, answer).await {
            Ok(head) => judge(status, head, &attempt, &call),
            Err(error) => Err(error),
        };
        match judged {
            Ok(Answer::Stored { offset: None, duplicate: true, highest }) if ask_tail => {
                match self.ask().await {
                    Ok(facts) => Answer::Stored { offset: Some(facts.tail), duplicate: true, highest },
                    // A duplicate was not applied, and is no reason to expect the next: once more, and once more asked.
                    Err(error) if error.is_retryable() => {
                        Answer::Failed { error, fate: Fate::NotSent, again: true }
                    }
                    Err(error) if is_no_answer(&error) => {
                        Answer::Failed { error, fate: Fate::NotSent, again: false }
                    }
                    Err(_) => Answer::Stored { offset: None, duplicate: true, highest },
                }
            }
            Ok(answer) => answer,
            Err(error) => Answer::Failed { error, fate: Fate::Unknown, again: false },
        }
    }

    async fn refused(&self, status: StatusCode, head: &Head, error: Error) -> Answer {
        match (status.as_u16(), head.producer_epoch, head.expected_seq) {
            (403, Some(server_epoch), _) => return Answer::Stale { server_epoch },
            (409, ..) if head.closed => {
                return Answer::Closed { error, final_offset: head.next_offset.clone() };
            }
            (409, _, Some(expected)) => {
                return Answer::Gap { expected, received: head.received_seq.unwrap_or_default() };
            }
            (413, ..) => return Answer::TooLarge(error),
            _ => {}
        }
        let again = error.is_retryable();
        // What the server refuses it does not carry out; what it fails at it may have.
        let failed = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
            || !(status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED);
        let fate = if failed { Fate::Unknown } else { Fate::Refused };
        Answer::Failed { error: self.explain(error).await, fate, again }
    }

    /// The protocol has one status for several conflicts; a wrong content type can be told by asking.
    async fn explain(&self, error: Error) -> Error {
        if !matches!(error.kind(), StreamError::SeqConflict(_)) {
            return error;
        }
        let sent = self.content_type.as_ref().and_then(|value| value.to_str().ok());
        match (self.ask().await, sent) {
            (Ok(facts), Some(sent)) if !content_type::same(&facts.content_type, sent) => {
                let actual = sent.to_owned();
                error.with_kind(StreamError::ContentTypeMismatch { expected: facts.content_type, actual })
            }
            _ => error,
        }
    }

    /// Asks for the stream's content type and tail, once.
    pub(super) async fn ask(&self) -> Result<Facts, Error> {
        let mut call = self.call(Operation::Head)?;
        // What was so a moment ago would be worse than no answer.
        call.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let answer = match self.stream.http().send_once(&call).await {
            Ok(answer) => answer,
            Err(AttemptError::Transport(error)) => return Err(call.transport_error(&error)),
            Err(AttemptError::Refused(error)) => return Err(error),
        };
        if !answer.status.is_success() {
            return Err(self.stream.http().refusal(&call, answer).await.0);
        }
        let head = self.stream.finish(&call, answer).await?;
        // An answer from somewhere else must not pass for a server that does not say.
        let tail = head.require_offset("head").map_err(|kind| call.error(kind))?;
        match head.content_type {
            Some(content_type) => Ok(Facts { content_type, tail }),
            None => Err(call.error(StreamError::protocol("the answer to head has no Content-Type"))),
        }
    }
}

/// Whether what came back says nothing of the stream: a success that no server of this protocol has sent. A refusal
/// does: that it does not tell.
pub(super) fn is_no_answer(error: &Error) -> bool {
    matches!(error.kind(), StreamError::Protocol { .. } | StreamError::UnexpectedEncoding { .. })
}

fn failed(failure: AttemptError, call: &Call) -> Answer {
    match failure {
        AttemptError::Transport(error) => {
            let fate = if error.sent() == Sent::No { Fate::NotSent } else { Fate::Unknown };
            let again = error.is_retryable();
            Answer::Failed { error: call.transport_error(&error), fate, again }
        }
        // A redirect that leads nowhere may have come from a server that did what it was asked.
        AttemptError::Refused(error) => {
            let is_ours = matches!(error.kind(), StreamError::Config(_));
            let fate = if is_ours { Fate::NotSent } else { Fate::Unknown };
            Answer::Failed { error, fate, again: false }
        }
    }
}

/// What a success says, if it comes from a server that knows the protocol.
fn judge(status: StatusCode, head: Head, attempt: &Attempt, call: &Call) -> Result<Answer, Error> {
    let broken = |message: String| Err(call.error(StreamError::protocol(message)));
    let duplicate = status == StatusCode::NO_CONTENT;
    if !duplicate && status != StatusCode::OK {
        return broken(format!("the answer to an append has the unexpected status {status}"));
    }
    let says_nothing =
        head.next_offset.is_none() && head.producer_epoch.is_none() && head.producer_seq.is_none();
    if says_nothing || (head.next_offset.is_none() && !duplicate) {
        return broken(
            "the answer to an append has none of the protocol's headers: this is not a Durable Streams server, or something between strips them".into(),
        );
    }
    if let Some(epoch) = head.producer_epoch
        && epoch != attempt.epoch
    {
        return broken(format!("an append with epoch {} was accepted with epoch {epoch}", attempt.epoch));
    }
    if let Some(highest) = head.producer_seq
        && highest < attempt.seq
    {
        return broken(format!(
            "an append with seq {} was accepted, and the highest is {highest}",
            attempt.seq
        ));
    }
    if attempt.closing && !head.closed {
        return broken("the answer to a closing append does not say Stream-Closed: true".into());
    }
    Ok(Answer::Stored { offset: head.next_offset, duplicate, highest: head.producer_seq })
}
