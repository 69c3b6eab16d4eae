//! Sends requests: the transport, with the client's headers, deadlines and redirects.

use super::call::{AttemptError, Call, Response, Wait};
use super::headers::{HeaderProvider, check_framing, mark_secrets, replace};
use super::memory::Memory;
use super::query::{check_parameter, with_query};
use super::redirect::{
    MAX_REDIRECTS, is_redirect, leads_to_another_origin, redirect_target, refused, with_redirect_context,
};
use super::scrutiny::{has_protocol_header, is_in_terms, lacks_header};
use super::target::Endpoint;
use super::timers::TimerPool;
use super::upload::{Upload, with_upload_time};
use crate::error::{Error, StreamError, truncate_for_display};
use crate::protocol::operation::Operation;
use crate::retry::RetryConfig;
use bytes::Bytes;
use durable_streams_contract::{
    AnyRuntime, AnyTransport, HeadMayBeCut, HttpTransport, Runtime, SendOptions, Sent, TransportError,
    TransportErrorKind,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, response};
use std::borrow::{Borrow, Cow};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Some firewalls refuse requests that do not name their client.
const USER_AGENT: &str = concat!("durable-streams-client/", env!("CARGO_PKG_VERSION"));

type QueryProvider = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// What every request of a client has in common.
#[derive(Clone)]
pub(crate) struct RequestDefaults {
    pub(crate) headers: HeaderMap,
    pub(crate) header_provider: Option<HeaderProvider>,
    pub(crate) query_provider: Option<QueryProvider>,
    pub(crate) retry: RetryConfig,
    /// Longest wait for a response's head, without the time for a large upload.
    pub(crate) header_timeout: Duration,
    /// Longest silence within a response.
    pub(crate) idle_timeout: Duration,
}

/// A transport and a runtime, with what every request has in common. Cheap to clone.
pub(crate) struct HttpClient<T, R>(Arc<Inner<T, R>>);

struct Inner<T, R> {
    transport: T,
    runtime: R,
    defaults: RequestDefaults,
    timers: TimerPool,
    memory: Memory,
}

impl<T, R> Clone for HttpClient<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, R> HttpClient<T, R> {
    pub(crate) fn new(transport: T, runtime: R, defaults: RequestDefaults) -> Self {
        Self(Arc::new(Inner {
            transport,
            runtime,
            defaults,
            timers: TimerPool::default(),
            memory: Memory::default(),
        }))
    }

    pub(crate) fn transport(&self) -> &T {
        &self.0.transport
    }

    pub(crate) fn runtime(&self) -> &R {
        &self.0.runtime
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn defaults(&self) -> &RequestDefaults {
        &self.0.defaults
    }
}

impl<T: HttpTransport, R: Runtime> HttpClient<T, R> {
    pub(crate) fn to_any(&self) -> HttpClient<AnyTransport, AnyRuntime>
    where
        T: Clone,
        R: Clone,
    {
        HttpClient::new(
            AnyTransport::new(self.0.transport.clone()),
            AnyRuntime::new(self.0.runtime.clone()),
            self.0.defaults.clone(),
        )
    }

    /// Sends `call` once and follows redirects, until the response's head has arrived. With `fresh_connection`, on a new
    /// connection; [`is_connection_suspect`] says when the next attempt needs one.
    ///
    /// Given the call by value, the future owns all that it needs, so that a reader can keep it across polls.
    pub(crate) fn send_once<C: Borrow<Call> + Send>(
        &self,
        call: C,
        fresh_connection: bool,
    ) -> impl Future<Output = Result<Response, AttemptError>> + Send + use<T, R, C> {
        let inner = self.0.clone();
        async move {
            let call = call.borrow();
            let options = SendOptions::new().with_fresh_connection(fresh_connection);
            let mut upload = Upload::of(call);
            let options = match &upload {
                Some(upload) => options.with_upload(upload.progress()),
                None => options,
            };
            let head = with_upload_time(inner.defaults.header_timeout, call.body.len());
            let head = head.saturating_mul(call.patience);
            let (deadline, options) = match call.wait {
                // The backstop must neither fire before the deadline nor cut a slow body. A transport that needs it does not
                // count what it uploads.
                Wait::Head => (head, options.with_backstop(head.saturating_mul(2))),
                Wait::Page => (head, options),
                Wait::LongPoll(idle) => (idle, options.with_live(true)),
                Wait::EventStream => (head, options.with_live(true)),
            };
            // A timeout of the provider alone is safe to retry, even for an append.
            let handed_over = AtomicBool::new(false);
            let mut attempt = pin!(inner.follow(call, options, &handed_over));
            // The deadline covers the header provider, redirects and the upload, up to the response's head. The body has
            // a deadline of its own, the idle timeout, which the reader keeps.
            let mut limit = deadline;
            let result = loop {
                let result = inner.timers.timeout(&inner.runtime, limit, attempt.as_mut()).await;
                if result.is_some() || !upload.as_mut().is_some_and(Upload::has_gone_on) {
                    break result;
                }
                limit = inner.defaults.header_timeout;
            };
            let is_incomplete = upload.as_ref().is_some_and(Upload::is_incomplete);
            match result {
                Some(Ok(response)) => Ok(Response { is_request_incomplete: is_incomplete, ..response }),
                // The server cannot have applied what it did not get in full. An error that says itself that nothing was sent is
                // one of connecting: no upload was cut off, and another attempt may be of no use.
                Some(Err(AttemptError::Transport(error))) if is_incomplete && error.sent() == Sent::Maybe => {
                    Err(AttemptError::CutOff(error.with_sent(Sent::No)))
                }
                Some(Err(error)) => Err(error),
                None => {
                    let error = TransportError::new(TransportErrorKind::Timeout);
                    Err(if !handed_over.load(Ordering::Relaxed) {
                        let message = format!("the header provider returned nothing within {limit:?}");
                        AttemptError::Transport(error.with_sent(Sent::No).with_message(message))
                    } else if is_incomplete {
                        let message = format!("the upload of the request came to a halt, for {limit:?}");
                        AttemptError::CutOff(error.with_sent(Sent::No).with_message(message))
                    } else {
                        error.with_message(format!("no response within {limit:?}")).into()
                    })
                }
            }
        }
    }
}

impl<T: HttpTransport, R: Runtime> Inner<T, R> {
    /// Sends the request and follows redirects.
    ///
    /// Sets `handed_over` when the transport gets the request. Until then nothing can have been sent, which is what
    /// makes a timeout of the header provider safe to retry.
    async fn follow(
        &self,
        call: &Call,
        mut options: SendOptions,
        handed_over: &AtomicBool,
    ) -> Result<Response, AttemptError> {
        let configured = self.configured_headers(&call.extra_headers, call.endpoint.is_foreign()).await?;
        // Headers of a provider were not checked when the client was built.
        configured.keys().try_for_each(check_framing).map_err(AttemptError::Refused)?;
        let first = self.endpoint(call).map_err(AttemptError::Refused)?;
        let mut endpoint = first.clone();
        // Once a redirect has left the origin, the configured headers stay out, even if a later one leads back:
        // the other origin chose that URL.
        let mut same_origin = true;
        let mut bypass_cache = false;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = build(call, &endpoint, same_origin.then_some(&configured));
            let identity = HeaderValue::from_static("identity");
            if call.wait == Wait::EventStream {
                // Whatever the application asks for: what compresses an event stream also buffers it.
                request.headers_mut().insert(header::ACCEPT_ENCODING, identity);
            } else if !self.transport.offers_compression() {
                request.headers_mut().entry(header::ACCEPT_ENCODING).or_insert(identity);
            }
            if bypass_cache {
                request.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            }
            // Relaxed: the same future reads it.
            handed_over.store(true, Ordering::Relaxed);
            let response =
                self.transport.send(request, options.clone()).await.map_err(|error| match same_origin {
                    true => error,
                    false => with_redirect_context(&error, &endpoint),
                })?;
            let (head, body) = response.into_parts();
            self.check(call, &head)?;
            if !is_redirect(head.status) {
                if self.contradicts_memory(call, head.status) && !bypass_cache {
                    bypass_cache = true;
                    // A connection may lead to the server that lags behind, or have failed since.
                    options = options.with_fresh_connection(true);
                    (endpoint, same_origin) = (first.clone(), true);
                    continue;
                }
                self.note(call, head.status, &head.headers);
                // Errors name the other origin: the caller knows only the stream's URL.
                let redirected_to = (!same_origin).then_some(endpoint);
                let is_request_incomplete = false;
                let (status, headers) = (head.status, head.headers);
                return Ok(Response { status, headers, body, is_request_incomplete, redirected_to });
            }
            let target = redirect_target(call, endpoint.url(), head.status, &head.headers);
            endpoint = target.and_then(Endpoint::new).map_err(|error| {
                let is_foreign = leads_to_another_origin(endpoint.url(), &head.headers);
                match is_foreign && self.is_intercepted(call, &head.headers) {
                    true => AttemptError::Intercepted(intercepted(call, &head)),
                    false => AttemptError::Refused(error),
                }
            })?;
            same_origin &= endpoint.url().origin() == call.url().origin();
        }
        let reason = format!(
            "more than {MAX_REDIRECTS} redirects in a row, the last to {}",
            truncate_for_display(endpoint.shown())
        );
        Err(AttemptError::Refused(refused(call, None, reason)))
    }

    /// Refuses a success whose head was cut, or that is not the server's.
    fn check(&self, call: &Call, head: &response::Parts) -> Result<(), AttemptError> {
        if !head.status.is_success() {
            return Ok(());
        }
        let may_be_cut = head.extensions.get::<HeadMayBeCut>().is_some();
        let is_doubtful = may_be_cut && lacks_header(call, head.status, &head.headers);
        if !is_doubtful {
            self.memory.on_whole_head();
        // A request that is not repeated ends with this one, as unknown.
        } else if !call.is_repeatable() || self.memory.believes_cut_head() {
            let message = "the response's head was cut, or lacks a header of the protocol";
            return Err(TransportError::new(TransportErrorKind::Truncated).with_message(message).into());
        }
        if !is_in_terms(call.operation, &head.headers) && self.is_intercepted(call, &head.headers) {
            return Err(AttemptError::Intercepted(intercepted(call, head)));
        }
        Ok(())
    }

    /// Whether a response without a header of the protocol came from something else than the server, which has responded before.
    fn is_intercepted(&self, call: &Call, headers: &HeaderMap) -> bool {
        !has_protocol_header(headers) && self.memory.knows_server(call.endpoint.uri())
    }

    /// Whether the response says that the stream is gone, though it was there before: for this client, or for an earlier
    /// process that saved a checkpoint. A cache, or a server that lags behind, may have answered.
    fn contradicts_memory(&self, call: &Call, status: StatusCode) -> bool {
        matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
            && !matches!(call.operation, Operation::Create | Operation::Delete)
            && (call.had_stream || self.memory.knows_stream(call.endpoint.uri()))
    }

    /// Remembers what the response says of the stream.
    fn note(&self, call: &Call, status: StatusCode, headers: &HeaderMap) {
        let uri = call.endpoint.uri();
        match (call.operation, status) {
            (Operation::Delete, status) if status.is_success() => self.memory.forget(uri),
            // The data at this offset is gone, not the stream.
            (Operation::Read, StatusCode::GONE) => {}
            (_, StatusCode::NOT_FOUND | StatusCode::GONE) => self.memory.forget(uri),
            (_, status) if status.is_success() && has_protocol_header(headers) => self.memory.remember(uri),
            _ => {}
        }
    }

    /// The client's headers, the provider's and the call's. Another origin than the base URL's gets the call's alone. The last of these that has a name wins.
    async fn configured_headers(
        &self,
        extra: &HeaderMap,
        is_foreign: bool,
    ) -> Result<HeaderMap, TransportError> {
        // From the weakest to the strongest. Each replaces a whole name, so that a token is never sent twice.
        let mut headers = HeaderMap::new();
        if !is_foreign {
            headers = self.defaults.headers.clone();
            if let Some(provider) = &self.defaults.header_provider {
                replace(&mut headers, provider.headers().await?);
            }
        }
        if !extra.is_empty() {
            replace(&mut headers, extra.clone());
        }
        // Those of a provider, an error handler or a map were made by the application.
        mark_secrets(&mut headers);
        Ok(headers)
    }

    /// The call's endpoint, with the query of this attempt.
    fn endpoint(&self, call: &Call) -> Result<Endpoint, Error> {
        // The usual append: no URL is built.
        if call.query.is_empty() && self.defaults.query_provider.is_none() && call.url().query().is_none() {
            return Ok(call.endpoint.clone());
        }
        let provider = self.defaults.query_provider.as_ref().filter(|_| !call.endpoint.is_foreign());
        let provided = provider.map(|provide| provide()).unwrap_or_default();
        for (key, _) in &provided {
            check_parameter(key)?;
        }
        let provided = provided.into_iter().map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)));
        let own = call.query.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_str())));
        Endpoint::new(with_query(call.url(), provided.chain(own)))
    }
}

/// The error of a response that is not the server's.
fn intercepted(call: &Call, head: &response::Parts) -> Error {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.map(|text| truncate_for_display(text).into_owned());
    call.error(StreamError::Intercepted { content_type }).with_status(Some(head.status))
}

/// Whether the next attempt needs a new connection: this one may be the cause of the failure, or lead to a server that is.
///
/// A load balancer keeps all requests of a connection on one server, and a connection whose other end is gone is silent
/// until it times out.
pub(crate) fn is_connection_suspect(attempt: &Result<Response, AttemptError>) -> bool {
    match attempt {
        Ok(response) => {
            response.status.is_server_error() || response.status == StatusCode::MISDIRECTED_REQUEST
        }
        Err(AttemptError::Refused(_)) => false,
        Err(AttemptError::Intercepted(_)) => true,
        Err(AttemptError::CutOff(_)) => true,
        Err(AttemptError::Transport(error)) => {
            error.is_retryable()
                && !matches!(error.kind(), TransportErrorKind::Dns | TransportErrorKind::Connect)
        }
    }
}

fn build(call: &Call, endpoint: &Endpoint, configured: Option<&HeaderMap>) -> Request<Bytes> {
    // The protocol's headers come first, and no configured header replaces or repeats one of them.
    let mut headers = call.headers.clone();
    for (name, value) in configured.into_iter().flatten() {
        if !call.headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    let mut request = Request::new(call.body.clone());
    *request.method_mut() = call.method();
    *request.uri_mut() = endpoint.uri().clone();
    *request.headers_mut() = headers;
    request
}
