//! A request in the protocol's terms, and what came back for one attempt of it.

use super::target::Endpoint;
use crate::error::{Error, StreamError};
use crate::protocol::headers::PRODUCER_ID;
use crate::protocol::operation::Operation;
use bytes::Bytes;
use durable_streams_contract::{Body, TransportError};
use http::{HeaderMap, Method, StatusCode, Uri};
use std::time::Duration;
use url::Url;

/// When the response to a request is expected, which decides the attempt's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The server responds at once, with a short body.
    Head,
    /// The server responds at once, with a body that may be large.
    Page,
    /// The server responds when it has new data. The field is the longest silence that is allowed.
    LongPoll(Duration),
    /// The server responds at once, with an event stream that stays open.
    EventStream,
}

/// A request in the protocol's terms. Each attempt builds its HTTP request from it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(super) endpoint: Endpoint,
    /// The protocol's query parameters.
    pub(crate) query: Vec<(&'static str, String)>,
    /// The caller's headers for this request. They win over the client's headers.
    pub(crate) extra_headers: HeaderMap,
    /// The protocol's headers. They win over all other headers, and are sent to every redirect target.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) wait: Wait,
    /// How many times the usual time the response may take.
    pub(crate) patience: u32,
    /// A success for a request with a producer's identity need not have the producer's epoch.
    pub(crate) accepts_missing_epoch: bool,
    /// The stream was there before: the caller has a checkpoint in it.
    pub(crate) had_stream: bool,
}

impl Call {
    pub(crate) fn new(operation: Operation, endpoint: &Endpoint) -> Self {
        Self {
            operation,
            endpoint: endpoint.clone(),
            query: Vec::new(),
            extra_headers: HeaderMap::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            wait: Wait::Head,
            patience: 1,
            accepts_missing_epoch: false,
            had_stream: false,
        }
    }

    pub(crate) fn url(&self) -> &Url {
        self.endpoint.url()
    }

    /// A second copy of the request does no harm.
    pub(super) fn is_repeatable(&self) -> bool {
        self.operation != Operation::Append || self.headers.contains_key(PRODUCER_ID)
    }

    /// The stream's URL, without the protocol's query.
    pub(super) fn uri(&self) -> &Uri {
        self.endpoint.uri()
    }

    /// The URL as texts show it: without the query, which may hold credentials.
    pub(crate) fn shown_url(&self) -> &str {
        self.endpoint.shown()
    }

    pub(super) fn method(&self) -> Method {
        match self.operation {
            Operation::Create => Method::PUT,
            Operation::Append | Operation::Close => Method::POST,
            Operation::Head => Method::HEAD,
            Operation::Delete => Method::DELETE,
            Operation::Read => Method::GET,
        }
    }

    /// The error of `kind`, with this call's operation and URL.
    pub(crate) fn error(&self, kind: StreamError) -> Error {
        self.locate(kind.into())
    }

    /// The transport's error, with this call's operation and URL.
    pub(crate) fn transport_error(&self, error: &TransportError) -> Error {
        self.locate(error.clone().into())
    }

    /// The error of a success that does not repeat the producer's epoch.
    pub(crate) fn missing_epoch(&self) -> Error {
        let detail = "the response has no Producer-Epoch, so that the server seems to have ignored the producer's identity: a \
                      repeated request would store its records twice. If the server is known to keep the identity, set \
                      `accept_missing_epoch`";
        self.error(StreamError::NotSupported).with_detail(detail.to_owned())
    }

    fn locate(&self, error: Error) -> Error {
        error.with_request(self.operation.name(), self.endpoint.shown())
    }
}

/// A response whose head has arrived and whose body has not been read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The response came before the request's body was sent in full, so that the server cannot have applied it.
    pub(crate) is_request_incomplete: bool,
    /// The endpoint that responded, if redirects led to another origin than the call's.
    pub(crate) redirected_to: Option<Endpoint>,
}

/// Why an attempt has no response.
#[derive(Clone, Debug)]
pub(crate) enum AttemptError {
    /// The transport failed. The kind of the error says whether another attempt may succeed.
    Transport(TransportError),
    /// The transport failed before the request was sent in full, so that the server cannot have applied it.
    CutOff(TransportError),
    /// The client refused the request or a redirect. Another attempt would end the same way.
    Refused(Error),
    /// Something other than the server responded, where a server of the protocol has responded before. The request may have
    /// been applied, and another attempt may succeed.
    Intercepted(Error),
}

impl From<TransportError> for AttemptError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
