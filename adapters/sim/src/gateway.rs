//! What stands between client and server, and answers in its place or changes what passes.

use crate::{Gateway, RetryAfter};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use std::time::{Duration, SystemTime};

/// The host that [`Gateway::Redirect`] leads to. It has no streams.
pub const PORTAL: &str = "portal.invalid";

/// The page of a captive portal.
pub(crate) fn portal() -> Response<Bytes> {
    let page = Bytes::from_static(b"<!doctype html><title>Welcome</title>Please log in.");
    let mut answer = Response::new(page);
    set(&mut answer, header::CONTENT_TYPE, "text/html");
    answer
}

/// Whether the request goes to a portal's own host.
pub(crate) fn is_for_portal(request: &Request<Bytes>) -> bool {
    request.uri().host() == Some(PORTAL)
}

/// An error of something between client and server. `wall` is the client's time.
pub(crate) fn refusal(status: u16, retry_after: Option<RetryAfter>, wall: SystemTime) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"something between is not well"));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    match retry_after {
        None => {}
        Some(RetryAfter::Seconds(seconds)) => set(&mut answer, header::RETRY_AFTER, &seconds.to_string()),
        Some(RetryAfter::Date(seconds)) => {
            // The date is read on the client's clock, so it is that time or a bit later.
            let time = wall + Duration::from_secs(u64::from(seconds));
            set(&mut answer, header::RETRY_AFTER, &http_date(time));
        }
    }
    answer
}

/// Whether the request lets a cache answer.
pub(crate) fn allows_cache(request: &Request<Bytes>) -> bool {
    *request.method() == Method::GET
        && request.headers().get(header::CACHE_CONTROL).is_none_or(|value| value != "no-cache")
}

fn set(answer: &mut Response<Bytes>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn http_date(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl Gateway {
    /// The answer that it gives in place of the server. `last_page` is the last one that this client got from this path.
    pub(crate) fn intercept(
        &self,
        request: &Request<Bytes>,
        last_page: impl FnOnce() -> Option<Response<Bytes>>,
        wall: SystemTime,
    ) -> Option<Response<Bytes>> {
        match self {
            Self::Portal => Some(portal()),
            Self::Redirect => {
                let mut answer = portal();
                *answer.status_mut() = StatusCode::FOUND;
                set(&mut answer, header::LOCATION, &format!("http://{PORTAL}/login"));
                Some(answer)
            }
            Self::Status { status, retry_after } => Some(refusal(*status, *retry_after, wall)),
            Self::BodyLimit { bytes, status } => {
                (request.body().len() > *bytes).then(|| refusal(*status, None, wall))
            }
            Self::IgnoreQuery => {
                // A cache keeps no event stream, and answers no request for one.
                let is_sse = request.uri().query().is_some_and(|query| query.contains("live=sse"));
                if allows_cache(request) && !is_sse { last_page() } else { None }
            }
            Self::StaleNotFound => allows_cache(request).then(|| refusal(404, None, wall)),
            Self::DropBody => None,
        }
    }

    /// Removes the body of the server's answer, where it does that.
    pub(crate) fn drops_body(&self) -> bool {
        *self == Self::DropBody
    }
}
