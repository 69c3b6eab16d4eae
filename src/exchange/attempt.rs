//! One attempt of one request: headers, redirects, and the deadline for the response's head.

use super::target::{Place, check_parameter, with_query};
use crate::client::builder::{HeaderProvider, check_framing};
use crate::client::{Client, Inner};
use crate::error::{Context, Error, StreamError, shown};
use crate::protocol::answer::Operation;
use bytes::Bytes;
use durable_streams_contract::{
    Body, HttpTransport, Runtime, SendOptions, Sent, TransportError, TransportErrorKind,
};
use http::{HeaderMap, Method, Request, StatusCode, header};
use std::borrow::{Borrow, Cow};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// How many redirects one attempt follows.
const MAX_REDIRECTS: usize = 10;

/// Each so many bytes of a body lengthen the deadline for the answer by a sixteenth.
const BODY_PIECE: usize = 64 * 1024;

/// How long a request waits for its answer's head, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The server answers at once.
    Head,
    /// The server answers at once, with a body that may be large.
    Page,
    /// The server answers when there is news: as long as silence may last.
    LongPoll(Duration),
    /// The server answers at once, with a body that stays open.
    Events,
}

/// A request in the protocol's terms, from which each attempt is made anew.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    place: Place,
    /// The protocol's query parameters.
    pub(crate) query: Vec<(&'static str, String)>,
    /// The caller's headers for this request alone; they win over the client's.
    pub(crate) extra_headers: HeaderMap,
    /// The protocol's headers, which win over all others and survive any redirect.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) wait: Wait,
}

impl Call {
    pub(crate) fn new(operation: Operation, place: &Place) -> Self {
        Self {
            operation,
            place: place.clone(),
            query: Vec::new(),
            extra_headers: HeaderMap::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            wait: Wait::Head,
        }
    }

    pub(crate) fn url(&self) -> &Url {
        self.place.url()
    }

    fn method(&self) -> Method {
        match self.operation {
            Operation::Create => Method::PUT,
            Operation::Append | Operation::Close => Method::POST,
            Operation::Head => Method::HEAD,
            Operation::Delete => Method::DELETE,
            Operation::Read => Method::GET,
        }
    }
}

/// A response whose head is there.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Who gave it, where redirects led to another origin than the call's.
    pub(crate) from: Option<Place>,
}

/// Why an attempt brought no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The transport's failure; its kind says whether it is worth another attempt.
    Transport(TransportError),
    /// Refused by the client itself; another attempt would end the same.
    Refused(Error),
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl<T: HttpTransport, R: Runtime> Client<T, R> {
    /// Sends `call` once, following redirects, until the response's head is there.
    ///
    /// Given the call itself, the future owns all it needs, so that a reader can keep it across polls.
    pub(crate) fn exchange<C: Borrow<Call> + Send>(
        &self,
        call: C,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + use<T, R, C> {
        let inner = self.inner.clone();
        async move {
            let call = call.borrow();
            let options = SendOptions::new();
            let head = with_upload(inner.header_timeout, call.body.len());
            let (deadline, options) = match call.wait {
                // It must never be the first to fire, nor cut a body that takes its time.
                Wait::Head => (head, options.backstop(head.saturating_mul(2))),
                Wait::Page => (head, options),
                Wait::LongPoll(idle) => (idle, options.live(true)),
                Wait::Events => (head, options.live(true)),
            };
            let handed_over = AtomicBool::new(false);
            let attempt = inner.follow(call, options, &handed_over);
            let answer = inner.alarms.within(&inner.runtime, deadline, attempt).await;
            answer.unwrap_or_else(|| {
                let error = TransportError::new(TransportErrorKind::Timeout);
                Err(Failure::Transport(if handed_over.load(Ordering::Relaxed) {
                    error.with_message(format!("no answer within {deadline:?}"))
                } else {
                    let message = format!("the header provider gave no headers within {deadline:?}");
                    error.with_sent(Sent::No).with_message(message)
                }))
            })
        }
    }
}

impl<T: HttpTransport, R: Runtime> Inner<T, R> {
    /// Says by `handed_over` when the transport gets the request: before that nothing can have left.
    async fn follow(
        &self,
        call: &Call,
        options: SendOptions,
        handed_over: &AtomicBool,
    ) -> Result<Answer, Failure> {
        let configured = self.configured_headers(&call.extra_headers).await?;
        configured.keys().try_for_each(check_framing).map_err(Failure::Refused)?;
        let mut place = self.place(call).map_err(Failure::Refused)?;
        let mut same_origin = true;
        for _ in 0..=MAX_REDIRECTS {
            let request = build(call, &place, same_origin.then_some(&configured));
            handed_over.store(true, Ordering::Relaxed);
            let response =
                self.transport.send(request, options).await.map_err(|error| match same_origin {
                    true => error,
                    false => elsewhere(&error, &place),
                })?;
            let (head, body) = response.into_parts();
            if !is_redirect(head.status) {
                let from = (!same_origin).then_some(place);
                return Ok(Answer { status: head.status, headers: head.headers, body, from });
            }
            place = redirected(call, place.url(), head.status, &head.headers)
                .and_then(Place::new)
                .map_err(Failure::Refused)?;
            same_origin &= place.url().origin() == call.url().origin();
        }
        let reason = format!(
            "more than {MAX_REDIRECTS} redirects in a row, the last to {}",
            shown(place.url().as_str())
        );
        Err(Failure::Refused(refused(call, None, reason)))
    }

    /// The client's headers and the caller's, each name from the strongest that has it.
    async fn configured_headers(&self, extra: &HeaderMap) -> Result<HeaderMap, TransportError> {
        let mut headers = self.headers.clone();
        match &self.providers.headers {
            None => {}
            Some(HeaderProvider::Sync(provide)) => replace(&mut headers, provide()),
            Some(HeaderProvider::Async(provide)) => {
                let provided = provide().await.map_err(|error| {
                    TransportError::new(TransportErrorKind::Other)
                        .with_sent(Sent::No)
                        .with_message(format!("the header provider failed: {error}"))
                        .with_source(error)
                })?;
                replace(&mut headers, provided);
            }
        }
        if !extra.is_empty() {
            replace(&mut headers, extra.clone());
        }
        Ok(headers)
    }

    fn place(&self, call: &Call) -> Result<Place, Error> {
        if call.query.is_empty() && self.providers.query.is_none() && call.url().query().is_none() {
            return Ok(call.place.clone());
        }
        let provided = self.providers.query.as_ref().map(|provide| provide()).unwrap_or_default();
        for (key, _) in &provided {
            check_parameter(key)?;
        }
        let provided = provided.into_iter().map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)));
        let own = call.query.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_str())));
        Place::new(with_query(call.url(), provided.chain(own)))
    }
}

/// The deadline for the answer to a request with a body of this size, which has to leave first.
fn with_upload(header_timeout: Duration, bytes: usize) -> Duration {
    let pieces = u32::try_from(bytes / BODY_PIECE).unwrap_or(u32::MAX);
    header_timeout.saturating_add((header_timeout / 16).saturating_mul(pieces))
}

/// Puts each name of `stronger` in place of what `headers` has under it.
pub(crate) fn replace(headers: &mut HeaderMap, stronger: HeaderMap) {
    // Within `HeaderMap`'s iteration, further values of a name come without it.
    let mut current = None;
    for (name, value) in stronger {
        match name {
            Some(name) => {
                headers.insert(name.clone(), value);
                current = Some(name);
            }
            None => {
                if let Some(name) = &current {
                    headers.append(name.clone(), value);
                }
            }
        }
    }
}

fn build(call: &Call, place: &Place, configured: Option<&HeaderMap>) -> Request<Bytes> {
    let mut headers = call.headers.clone();
    for (name, value) in configured.into_iter().flatten() {
        if !call.headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
    let mut request = Request::new(call.body.clone());
    *request.method_mut() = call.method();
    *request.uri_mut() = place.uri().clone();
    *request.headers_mut() = headers;
    request
}

/// The failure of a request that a redirect led to another origin: whoever reads of it knows only the call's own URL.
fn elsewhere(error: &TransportError, place: &Place) -> TransportError {
    let text = error.to_string();
    let kind = error.kind().to_string();
    let message = format!("{}{}", led_to(place), text.strip_prefix(&kind).unwrap_or_default());
    TransportError::new(error.kind()).with_sent(error.sent()).with_message(message).with_source(error.clone())
}

/// Names the origin that redirects led to. Not its path and query, which may hold what is secret there.
pub(crate) fn led_to(place: &Place) -> String {
    format!("redirected to {}", place.url().origin().ascii_serialization())
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads, if it may be followed there.
fn redirected(call: &Call, from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Url, Error> {
    let refuse = |reason: String| Err(refused(call, Some(status), reason));
    let Some(location) = headers.get(header::LOCATION).map(header::HeaderValue::as_bytes) else {
        return refuse("it has no Location".into());
    };
    let location = String::from_utf8_lossy(location);
    let Ok(mut to) = from.join(&location) else {
        return refuse(format!("its Location is no URL: {:?}", shown(&location)));
    };
    to.set_fragment(None);
    let shown = shown(to.as_str()).into_owned();
    let reads = matches!(call.operation, Operation::Read | Operation::Head);
    if !reads && !matches!(status.as_u16(), 307 | 308) {
        let method = call.method();
        return refuse(format!(
            "{status} to {shown} may turn a {method} into a GET; use the new URL for writes"
        ));
    }
    if !matches!(to.scheme(), "http" | "https") || to.host_str().is_none() {
        return refuse(format!("{shown} is neither http nor https"));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return refuse(format!("{shown} gives up the encryption"));
    }
    // A Location that forgets the query would send a reader back to the start of the stream.
    let present: Vec<String> = to.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let missing = call.query.iter().filter(|(key, _)| !present.iter().any(|p| p == key));
    Ok(with_query(&to, missing.map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_str())))))
}

fn refused(call: &Call, status: Option<StatusCode>, reason: String) -> Error {
    Error::with_context(
        StreamError::Redirect { reason },
        Context {
            operation: Some(call.operation.name()),
            url: Some(call.url().to_string()),
            status,
            ..Context::default()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(operation: Operation, from: &str, status: u16, location: &str) -> Result<String, Error> {
        let mut call = Call::new(operation, &Place::new(Url::parse(from).unwrap()).unwrap());
        call.query.push(("offset", "a+1".into()));
        let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
        let status = StatusCode::from_u16(status).unwrap();
        redirected(&call, call.url(), status, &headers).map(|url| url.to_string())
    }

    #[test]
    fn encryption_is_not_given_up() {
        let to = |location| redirect(Operation::Read, "https://h/s", 307, location);
        let error = to("http://h/s").unwrap_err();
        assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{error}");
        assert!(error.to_string().contains("gives up the encryption"), "{error}");
        assert_eq!(to("https://other/t").unwrap(), "https://other/t?offset=a%2B1");
        assert_eq!(to("//other/t").unwrap(), "https://other/t?offset=a%2B1");
        // The other way round is an upgrade.
        assert!(redirect(Operation::Read, "http://h/s", 301, "https://h/s").is_ok());
    }

    #[test]
    fn a_position_survives_a_location_that_forgets_it() {
        let to = |location| redirect(Operation::Read, "http://h/s", 302, location).unwrap();
        assert_eq!(to("/t#part"), "http://h/t?offset=a%2B1");
        assert_eq!(to("t?zone=1"), "http://h/t?offset=a%2B1&zone=1");
        assert_eq!(to("/t?offset=b"), "http://h/t?offset=b");
        assert!(redirect(Operation::Append, "http://h/s", 302, "/t").is_err());
    }
}
