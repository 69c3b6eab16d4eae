//! One append, as a future with options.

use super::handle::DurableStream;
use super::responses::{AppendResponse, ProducerPosition};
use super::values::{content_type_value, exact_value, producer_id_value, producer_number};
use crate::error::{Error, StreamError};
use crate::exchange::call::Call;
use crate::exchange::headers::header;
use crate::exchange::retry_loop::{OperationError, Resend};
use crate::protocol::head::Head;
use crate::protocol::operation::Operation;
use crate::protocol::{content_type, headers};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::{HeaderValue, StatusCode, header as http_header};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type AppendResult = Result<AppendResponse, Error>;

/// One append: a future that sends it when it is first polled, and methods that set its options.
///
/// # Panics
///
/// Like a future of an `async fn`, it panics if it is polled again after it has completed.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # async fn run(stream: durable_streams::tokio::DurableStream) -> Result<(), durable_streams::Error> {
/// let response = stream.append("a line\n").producer("importer-7", 0, 41).await?;
/// println!("stored before {}, duplicate: {}", response.next_offset, response.duplicate);
/// # Ok(()) }
/// ```
#[must_use = "an append is sent when it is awaited"]
pub struct Append<T = AnyTransport, R = AnyRuntime>(State<T, R>);

enum State<T, R> {
    /// Not polled yet: options may change.
    NotSent(Box<Request<T, R>>),
    InFlight(Pin<Box<dyn Future<Output = AppendResult> + Send>>),
    Completed,
}

struct Request<T, R> {
    stream: DurableStream<T, R>,
    data: Result<Bytes, Error>,
    /// The data is one JSON value. It is framed once the stream's type is known.
    is_value: bool,
    content_type: Option<String>,
    seq: Option<String>,
    producer: Option<(String, u64, u64)>,
    headers: Vec<(String, String)>,
    at_least_once: bool,
    closing: bool,
    accepts_missing_epoch: bool,
}

impl<T: HttpTransport, R: Runtime> Append<T, R> {
    pub(super) fn new(stream: DurableStream<T, R>, data: Result<Bytes, Error>) -> Self {
        Self(State::NotSent(Box::new(Request {
            stream,
            data,
            is_value: false,
            content_type: None,
            seq: None,
            producer: None,
            headers: Vec::new(),
            at_least_once: false,
            closing: false,
            accepts_missing_epoch: false,
        })))
    }

    #[cfg(feature = "json")]
    pub(super) fn json<V: serde::Serialize + ?Sized>(stream: DurableStream<T, R>, value: &V) -> Self {
        let data = serde_json::to_vec(value).map(Bytes::from).map_err(|e| StreamError::from(e).into());
        Self::new(stream, data).edit(|request| request.is_value = true)
    }

    fn edit(mut self, edit: impl FnOnce(&mut Request<T, R>)) -> Self {
        if let State::NotSent(request) = &mut self.0 {
            edit(request);
        }
        self
    }

    /// Sets `Stream-Seq`: the server refuses the append unless `seq` is greater, byte by byte, than the
    /// last one that it accepted. It keeps several writers in order. Default: none.
    pub fn seq(self, seq: impl Into<String>) -> Self {
        let seq = seq.into();
        self.edit(|request| request.seq = Some(seq))
    }

    /// Gives the append an identity (protocol §5.2.1): it is stored once, however often it is sent.
    ///
    /// `seq` starts at 0 in each epoch and increases by one; both are at most 2^53-1. If the server has a higher epoch
    /// for `id`, the append ends with [`StreamError::Forbidden`], and [`Error::server_epoch`] returns it.
    pub fn producer(self, id: impl Into<String>, epoch: u64, seq: u64) -> Self {
        let producer = (id.into(), epoch, seq);
        self.edit(|request| request.producer = Some(producer))
    }

    /// A header for this request. Headers that the protocol defines win over it.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = (name.into(), value.into());
        self.edit(|request| request.headers.push(header))
    }

    /// The content type to send. Default: the stream's.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        let content_type = content_type.into();
        self.edit(|request| request.content_type = Some(content_type))
    }

    /// Sends the append again after a failure that leaves its outcome unknown: it is stored at least once,
    /// and a second copy is possible. Default: off, and such a failure is [`StreamError::OutcomeUnknown`].
    pub fn at_least_once(self) -> Self {
        self.edit(|request| request.at_least_once = true)
    }

    /// Accepts a success without `Producer-Epoch` for an append with a [producer's identity](Self::producer). Default: off,
    /// and it is [`StreamError::NotSupported`]: a server that ignores the identity would store a repeated append twice.
    ///
    /// For servers that are known to keep the identity, and not to repeat it.
    pub fn accept_missing_epoch(self) -> Self {
        self.edit(|request| request.accepts_missing_epoch = true)
    }

    /// Appends the record and closes the stream, in one step.
    pub fn closing(self) -> Self {
        self.edit(|request| request.closing = true)
    }
}

impl<T: HttpTransport, R: Runtime> Future for Append<T, R> {
    type Output = AppendResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AppendResult> {
        loop {
            match &mut self.0 {
                // The state changes before the result is returned, so that a panic below cannot poll the future again.
                State::InFlight(future) => {
                    let result = std::task::ready!(future.as_mut().poll(cx));
                    self.0 = State::Completed;
                    return Poll::Ready(result);
                }
                State::NotSent(_) => {
                    if let State::NotSent(request) = std::mem::replace(&mut self.0, State::Completed) {
                        self.0 = State::InFlight(Box::pin(request.send()));
                    }
                }
                State::Completed => panic!("`Append` polled after it completed"),
            }
        }
    }
}

impl<T, R> Unpin for Append<T, R> {}

impl<T, R> fmt::Debug for Append<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::NotSent(_) => "Append(not sent)",
            State::InFlight(_) => "Append(in flight)",
            State::Completed => "Append(completed)",
        })
    }
}

impl<T: HttpTransport, R: Runtime> Request<T, R> {
    async fn send(mut self: Box<Self>) -> AppendResult {
        let call = self.call().await?;
        // A producer's identity makes it idempotent. The server refuses a second closing append: the stream is closed.
        let safe = self.producer.is_some() || self.at_least_once || self.closing;
        let resend = if safe { Resend::Always } else { Resend::IfUnapplied };
        match self.stream.http().send(&call, resend).await {
            Ok(response) => {
                let status = response.status;
                let head = self.stream.finish(&call, response).await?;
                self.response(&call, status, head).await
            }
            Err(failed) => Err(self.explain(failed, &call).await),
        }
    }

    async fn call(&mut self) -> Result<Call, Error> {
        let mut call = self.stream.call(Operation::Append)?;
        call.accepts_missing_epoch = self.accepts_missing_epoch;
        // An error of serialisation was kept until now, so that `append_json` need not return a `Result`.
        let data = std::mem::replace(&mut self.data, Ok(Bytes::new()))?;
        if data.is_empty() {
            let reason = "the protocol has no empty append; to close a stream use close()";
            return Err(StreamError::config("data", "(empty)", reason).into());
        }
        if let Some(seq) = &self.seq {
            call.headers.insert(headers::STREAM_SEQ, exact_value("seq", seq)?);
        }
        if let Some((id, epoch, seq)) = &self.producer {
            call.headers.insert(headers::PRODUCER_ID, producer_id_value(id)?);
            for (name, option, number) in [
                (headers::PRODUCER_EPOCH, "producer epoch", *epoch),
                (headers::PRODUCER_SEQ, "producer seq", *seq),
            ] {
                call.headers.insert(name, producer_number(option, number)?);
            }
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            call.extra_headers.insert(name, value);
        }
        if self.closing {
            call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        }
        // The last step, because it may send a HEAD: other errors are found without a request.
        let content_type: Arc<str> = match &self.content_type {
            Some(content_type) => content_type.as_str().into(),
            None => {
                let resolved = self.stream.resolve_content_type().await;
                resolved.map_err(|error| error.with_operation(Operation::Append.name()))?
            }
        };
        call.headers.insert(http_header::CONTENT_TYPE, content_type_value(&content_type)?);
        call.body =
            if self.is_value { frame_value(&data, content_type::is_json(&content_type)) } else { data };
        Ok(call)
    }

    async fn response(&self, call: &Call, status: StatusCode, head: Head) -> AppendResult {
        let is_foreign = head.next_offset.is_none() && head.producer_seq.is_none();
        if self.producer.is_some()
            && head.producer_epoch.is_none()
            && !self.accepts_missing_epoch
            && !is_foreign
        {
            return Err(call.missing_epoch());
        }
        let producer = match (&self.producer, head.producer_epoch, head.producer_seq) {
            (Some((_, epoch, seq)), server_epoch, server_seq) => Some(ProducerPosition {
                epoch: server_epoch.unwrap_or(*epoch),
                seq: server_seq.unwrap_or(*seq),
            }),
            (None, ..) => None,
        };
        // Protocol §5.2.1: 204 is a duplicate. Without a producer identity a server may respond 204 to any append.
        let duplicate = self.producer.is_some() && status == StatusCode::NO_CONTENT;
        let next_offset = match head.next_offset {
            Some(offset) => offset,
            // Some servers do not send it for a duplicate. The tail is at or after the record.
            None if duplicate => self.stream.head().await?.next_offset,
            None => head.require_offset("append").map_err(|kind| call.error(kind))?,
        };
        if self.closing && !head.closed {
            let message = "the response to a closing append does not have Stream-Closed: true";
            return Err(call.error(StreamError::protocol(message)));
        }
        Ok(AppendResponse { next_offset, duplicate, closed: head.closed, producer })
    }

    /// The most precise kind for a refusal.
    async fn explain(&self, failed: OperationError, call: &Call) -> Error {
        let OperationError { error, ambiguous } = failed;
        match error.kind() {
            // The attempt without a response may have closed the stream.
            // With a producer identity the server would have reported a duplicate.
            StreamError::StreamClosed { .. } if self.closing && self.producer.is_none() && ambiguous => {
                let reason = "an attempt had no response, and the stream is closed now".to_owned();
                error.with_kind(StreamError::OutcomeUnknown { reason })
            }
            // The protocol has one status for a wrong type and for a wrong sequence. A HEAD tells which.
            StreamError::SeqConflict(_) if self.producer.is_none() => {
                // With a producer identity, 409 is about its sequence, which the error names already.
                let sent = call.headers.get(http_header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                match (self.stream.head().await, sent) {
                    (Ok(head), Some(sent)) if !content_type::same(&head.content_type, sent) => error
                        .with_kind(StreamError::ContentTypeMismatch {
                            expected: head.content_type,
                            actual: sent.to_owned(),
                        }),
                    _ => error,
                }
            }
            _ => error,
        }
    }
}

/// Frames one JSON value for the stream's type.
fn frame_value(value: &[u8], is_json: bool) -> Bytes {
    let mut framed = Vec::with_capacity(value.len() + 2);
    // An array is one message for each element (protocol §9.1). In an array of one, a value that is an array stays one
    // message.
    if is_json {
        framed.push(b'[');
    }
    framed.extend_from_slice(value);
    framed.push(if is_json { b']' } else { b'\n' });
    framed.into()
}
