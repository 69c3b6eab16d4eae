//! Sends requests: the transport, with the client's headers, deadlines and redirects.

use super::call::{AttemptError, Call, Response, Wait};
use super::headers::{HeaderProvider, check_framing, replace};
use super::query::{check_parameter, with_query};
use super::redirect::{MAX_REDIRECTS, is_redirect, redirect_target, refused, with_redirect_context};
use super::target::Endpoint;
use super::timers::TimerPool;
use crate::error::{Error, truncate_for_display};
use crate::retry::RetryConfig;
use bytes::Bytes;
use durable_streams_contract::{
    AnyRuntime, AnyTransport, HttpTransport, Runtime, SendOptions, Sent, TransportError, TransportErrorKind,
};
use http::{HeaderMap, Request, StatusCode};
use std::borrow::{Borrow, Cow};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Each 64 KiB of a request's body add a sixteenth of the header timeout to the deadline of its response.
const UPLOAD_UNIT: usize = 64 * 1024;

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
}

impl<T, R> Clone for HttpClient<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, R> HttpClient<T, R> {
    pub(crate) fn new(transport: T, runtime: R, defaults: RequestDefaults) -> Self {
        Self(Arc::new(Inner { transport, runtime, defaults, timers: TimerPool::default() }))
    }

    pub(crate) fn transport(&self) -> &T {
        &self.0.transport
    }

    pub(crate) fn runtime(&self) -> &R {
        &self.0.runtime
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
            let head = with_upload_time(inner.defaults.header_timeout, call.body.len());
            let (deadline, options) = match call.wait {
                // The backstop must neither fire before the deadline nor cut a slow body.
                Wait::Head => (head, options.with_backstop(head.saturating_mul(2))),
                Wait::Page => (head, options),
                Wait::LongPoll(idle) => (idle, options.with_live(true)),
                Wait::EventStream => (head, options.with_live(true)),
            };
            // A timeout of the provider alone is safe to retry, even for an append.
            let handed_over = AtomicBool::new(false);
            let attempt = inner.follow(call, options, &handed_over);
            // The deadline covers the header provider, redirects and the upload, up to the response's head. The body has
            // a deadline of its own, the idle timeout, which the reader keeps.
            let result = inner.timers.timeout(&inner.runtime, deadline, attempt).await;
            result.unwrap_or_else(|| {
                let error = TransportError::new(TransportErrorKind::Timeout);
                Err(AttemptError::Transport(if handed_over.load(Ordering::Relaxed) {
                    error.with_message(format!("no response within {deadline:?}"))
                } else {
                    let message = format!("the header provider returned nothing within {deadline:?}");
                    error.with_sent(Sent::No).with_message(message)
                }))
            })
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
        options: SendOptions,
        handed_over: &AtomicBool,
    ) -> Result<Response, AttemptError> {
        let configured = self.configured_headers(&call.extra_headers).await?;
        // Headers of a provider were not checked when the client was built.
        configured.keys().try_for_each(check_framing).map_err(AttemptError::Refused)?;
        let mut endpoint = self.endpoint(call).map_err(AttemptError::Refused)?;
        // Once a redirect has left the origin, the configured headers stay out, even if a later one leads back:
        // the other origin chose that URL.
        let mut same_origin = true;
        for _ in 0..=MAX_REDIRECTS {
            let request = build(call, &endpoint, same_origin.then_some(&configured));
            // Relaxed: the same future reads it.
            handed_over.store(true, Ordering::Relaxed);
            let response =
                self.transport.send(request, options.clone()).await.map_err(|error| match same_origin {
                    true => error,
                    false => with_redirect_context(&error, &endpoint),
                })?;
            let (head, body) = response.into_parts();
            if !is_redirect(head.status) {
                // Errors name the other origin: the caller knows only the stream's URL.
                let redirected_to = (!same_origin).then_some(endpoint);
                return Ok(Response { status: head.status, headers: head.headers, body, redirected_to });
            }
            endpoint = redirect_target(call, endpoint.url(), head.status, &head.headers)
                .and_then(Endpoint::new)
                .map_err(AttemptError::Refused)?;
            same_origin &= endpoint.url().origin() == call.url().origin();
        }
        let reason = format!(
            "more than {MAX_REDIRECTS} redirects in a row, the last to {}",
            truncate_for_display(endpoint.url().as_str())
        );
        Err(AttemptError::Refused(refused(call, None, reason)))
    }

    /// The client's headers, the provider's and the call's. The last of these that has a name wins.
    async fn configured_headers(&self, extra: &HeaderMap) -> Result<HeaderMap, TransportError> {
        // From the weakest to the strongest. Each replaces a whole name, so that a token is never sent twice.
        let mut headers = self.defaults.headers.clone();
        if let Some(provider) = &self.defaults.header_provider {
            replace(&mut headers, provider.headers().await?);
        }
        if !extra.is_empty() {
            replace(&mut headers, extra.clone());
        }
        Ok(headers)
    }

    /// The call's endpoint, with the query of this attempt.
    fn endpoint(&self, call: &Call) -> Result<Endpoint, Error> {
        // The usual append: no URL is built.
        if call.query.is_empty() && self.defaults.query_provider.is_none() && call.url().query().is_none() {
            return Ok(call.endpoint.clone());
        }
        let provided = self.defaults.query_provider.as_ref().map(|provide| provide()).unwrap_or_default();
        for (key, _) in &provided {
            check_parameter(key)?;
        }
        let provided = provided.into_iter().map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)));
        let own = call.query.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_str())));
        Endpoint::new(with_query(call.url(), provided.chain(own)))
    }
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
        Err(AttemptError::Transport(error)) => {
            error.is_retryable()
                && !matches!(error.kind(), TransportErrorKind::Dns | TransportErrorKind::Connect)
        }
    }
}

/// The deadline for the response to a request with a body of this size. The body has to be sent first.
fn with_upload_time(header_timeout: Duration, body_bytes: usize) -> Duration {
    // Saturating: a huge body has no deadline, rather than one that is too short.
    let units = u32::try_from(body_bytes / UPLOAD_UNIT).unwrap_or(u32::MAX);
    header_timeout.saturating_add((header_timeout / 16).saturating_mul(units))
}

fn build(call: &Call, endpoint: &Endpoint, configured: Option<&HeaderMap>) -> Request<Bytes> {
    // The protocol's headers come first, and no configured header replaces or repeats one of them.
    let mut headers = call.headers.clone();
    for (name, value) in configured.into_iter().flatten() {
        if !call.headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
    let mut request = Request::new(call.body.clone());
    *request.method_mut() = call.method();
    *request.uri_mut() = endpoint.uri().clone();
    *request.headers_mut() = headers;
    request
}
