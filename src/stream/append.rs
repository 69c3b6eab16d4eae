use super::{AppendResponse, DurableStream, ProducerPosition, content_type_value, header_value, locate};
use crate::error::{Error, StreamError};
use crate::exchange::{Call, Failed, Resend};
use crate::protocol::answer::{Head, Operation};
use crate::protocol::{content_type, headers};
use bytes::Bytes;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::{HeaderValue, StatusCode, header};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type Outcome = Result<AppendResponse, Error>;

/// One append: a future that sends it when it is first polled, and methods that say how.
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
    Ready(Box<Request<T, R>>),
    Running(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    Done,
}

struct Request<T, R> {
    stream: DurableStream<T, R>,
    data: Result<Bytes, Error>,
    /// The data is one JSON value, still to be framed for the stream's type.
    is_value: bool,
    content_type: Option<String>,
    seq: Option<String>,
    producer: Option<(String, u64, u64)>,
    headers: Vec<(String, String)>,
    at_least_once: bool,
    closing: bool,
}

impl<T: HttpTransport, R: Runtime> Append<T, R> {
    pub(super) fn new(stream: DurableStream<T, R>, data: Result<Bytes, Error>) -> Self {
        Self(State::Ready(Box::new(Request {
            stream,
            data,
            is_value: false,
            content_type: None,
            seq: None,
            producer: None,
            headers: Vec::new(),
            at_least_once: false,
            closing: false,
        })))
    }

    #[cfg(feature = "json")]
    pub(super) fn json<V: serde::Serialize + ?Sized>(stream: DurableStream<T, R>, value: &V) -> Self {
        let data = serde_json::to_vec(value).map(Bytes::from).map_err(|e| StreamError::from(e).into());
        Self::new(stream, data).edit(|request| request.is_value = true)
    }

    fn edit(mut self, edit: impl FnOnce(&mut Request<T, R>)) -> Self {
        if let State::Ready(request) = &mut self.0 {
            edit(request);
        }
        self
    }

    /// `Stream-Seq`: the server refuses the append unless `seq` is greater, byte by byte, than the
    /// last one it saw. For several writers that must not overtake one another.
    pub fn seq(self, seq: impl Into<String>) -> Self {
        let seq = seq.into();
        self.edit(|request| request.seq = Some(seq))
    }

    /// Gives the append an identity: stored once, however often it is sent. `seq` starts at 0 in each
    /// epoch and grows by one; both are at most 2^53-1. Where the server has a higher epoch for `id`, the append
    /// ends with [`StreamError::Forbidden`], and [`Error::server_epoch`] says it.
    pub fn producer(self, id: impl Into<String>, epoch: u64, seq: u64) -> Self {
        let producer = (id.into(), epoch, seq);
        self.edit(|request| request.producer = Some(producer))
    }

    /// A header for this request. The protocol's own win over it.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = (name.into(), value.into());
        self.edit(|request| request.headers.push(header))
    }

    /// The content type to send, instead of the stream's.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        let content_type = content_type.into();
        self.edit(|request| request.content_type = Some(content_type))
    }

    /// Sends the append again after a failure that leaves its fate open: it is stored at least once,
    /// and a second copy is possible. Default: off, and such a failure is [`StreamError::OutcomeUnknown`].
    pub fn at_least_once(self) -> Self {
        self.edit(|request| request.at_least_once = true)
    }

    /// Closes the stream with this record, both or neither.
    pub fn closing(self) -> Self {
        self.edit(|request| request.closing = true)
    }
}

impl<T: HttpTransport, R: Runtime> Future for Append<T, R> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            match &mut self.0 {
                State::Running(future) => {
                    let outcome = std::task::ready!(future.as_mut().poll(cx));
                    self.0 = State::Done;
                    return Poll::Ready(outcome);
                }
                State::Ready(_) => {
                    if let State::Ready(request) = std::mem::replace(&mut self.0, State::Done) {
                        self.0 = State::Running(Box::pin(request.send()));
                    }
                }
                // Like any future that has returned, this one has nothing more to say.
                State::Done => return Poll::Pending,
            }
        }
    }
}

impl<T, R> Unpin for Append<T, R> {}

impl<T, R> fmt::Debug for Append<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Append(not sent)",
            State::Running(_) => "Append(under way)",
            State::Done => "Append(done)",
        })
    }
}

impl<T: HttpTransport, R: Runtime> Request<T, R> {
    async fn send(mut self: Box<Self>) -> Outcome {
        let call = self.call().await?;
        // A producer's identity makes it idempotent. A close answers a second attempt with "closed".
        let safe = self.producer.is_some() || self.at_least_once || self.closing;
        let resend = if safe { Resend::Always } else { Resend::IfUnapplied };
        match self.stream.client.perform(&call, resend).await {
            Ok(answer) => {
                let status = answer.status;
                let head = self.stream.finish(&call, answer).await?;
                self.response(&call, status, head).await
            }
            Err(failed) => Err(self.explain(failed, &call).await),
        }
    }

    async fn call(&mut self) -> Result<Call, Error> {
        let mut call = self.stream.call(Operation::Append)?;
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
            let (name, value) = crate::client::header(name, value)?;
            call.extra_headers.insert(name, value);
        }
        if self.closing {
            call.headers.insert(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        }
        let content_type: Arc<str> = match &self.content_type {
            Some(content_type) => content_type.as_str().into(),
            None => {
                let asked = self.stream.resolve_content_type().await;
                asked.map_err(|error| {
                    error.edit(|context| context.operation = Some(Operation::Append.name()))
                })?
            }
        };
        call.headers.insert(header::CONTENT_TYPE, content_type_value(&content_type)?);
        call.body =
            if self.is_value { frame_value(&data, content_type::is_json(&content_type)) } else { data };
        Ok(call)
    }

    async fn response(&self, call: &Call, status: StatusCode, head: Head) -> Outcome {
        let producer = match (&self.producer, head.producer_epoch, head.producer_seq) {
            (Some((_, epoch, seq)), said_epoch, said_seq) => {
                Some(ProducerPosition { epoch: said_epoch.unwrap_or(*epoch), seq: said_seq.unwrap_or(*seq) })
            }
            (None, ..) => None,
        };
        let duplicate = self.producer.is_some() && status == StatusCode::NO_CONTENT;
        let next_offset = match head.next_offset {
            Some(offset) => offset,
            // Some servers do not say it for a duplicate; the tail is at or after the record.
            None if duplicate => self.stream.head().await?.next_offset,
            None => head.require_offset("append").map_err(|kind| locate(kind, call))?,
        };
        if self.closing && !head.closed {
            return Err(locate(
                StreamError::protocol("the answer to a closing append does not say Stream-Closed: true"),
                call,
            ));
        }
        Ok(AppendResponse { next_offset, duplicate, closed: head.closed, producer })
    }

    /// Says more precisely what a refusal means.
    async fn explain(&self, Failed { error, ambiguous }: Failed, call: &Call) -> Error {
        match error.kind() {
            // Perhaps it was the unanswered attempt that closed the stream.
            StreamError::StreamClosed { .. } if self.closing && self.producer.is_none() && ambiguous => {
                let reason = "an attempt went unanswered, and now the stream is closed".to_owned();
                error.with_kind(StreamError::OutcomeUnknown { reason })
            }
            // The protocol has one status for a wrong type and a wrong sequence; only the type can be looked up.
            StreamError::SeqConflict(_) if self.producer.is_none() => {
                let sent = call.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
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

/// One JSON value as the stream's type stores it.
pub(crate) fn frame_value(value: &[u8], is_json: bool) -> Bytes {
    let mut framed = Vec::with_capacity(value.len() + 2);
    // In an array of one, so that a value that is an array stays one message.
    if is_json {
        framed.push(b'[');
    }
    framed.extend_from_slice(value);
    framed.push(if is_json { b']' } else { b'\n' });
    framed.into()
}

/// A producer's id as a header's value.
pub(crate) fn producer_id_value(id: &str) -> Result<HeaderValue, Error> {
    if id.trim().is_empty() {
        return Err(StreamError::config("producer_id", format!("{id:?}"), "it must not be empty").into());
    }
    exact_value("producer_id", id)
}

/// A header's value that has to arrive as it is: what white space is around it gets lost on the way.
fn exact_value(option: &str, text: &str) -> Result<HeaderValue, Error> {
    if text.trim() != text {
        let reason = "a header loses the white space at its ends";
        return Err(StreamError::config(option, format!("{text:?}"), reason).into());
    }
    header_value(option, text)
}

/// A producer's epoch or sequence number as a header's value.
pub(crate) fn producer_number(option: &str, number: u64) -> Result<HeaderValue, Error> {
    if number > headers::MAX_NUMBER {
        return Err(StreamError::config(option, number.to_string(), "it must be at most 2^53-1").into());
    }
    Ok(HeaderValue::from(number))
}
