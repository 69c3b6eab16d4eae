//! One operation: a request that is sent again as often as the policy allows and as far as that is safe.

use super::call::{AttemptError, Call, Response};
use super::http_client::{HttpClient, is_connection_suspect};
use super::redirect::redirected_to;
use crate::error::{Context, Error, StreamError};
use crate::offset::Offset;
use crate::outage::{FailedAttempt, OutageWatch};
use crate::protocol::refusal::Refusal;
use crate::retry::{Backoff, OPERATION_BUDGET};
use durable_streams_contract::{Body, HttpTransport, Runtime, Sent};
use http::StatusCode;
use std::time::Duration;

/// When a request may be sent again although an earlier attempt may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resend {
    /// Always: a second time changes nothing, or the caller accepts a second copy.
    Always,
    /// Only when no earlier attempt can have been applied: a second time could store a second copy.
    IfUnapplied,
}

/// How an operation failed.
#[derive(Debug)]
pub(crate) struct OperationError {
    pub(crate) error: Error,
    /// An attempt before the last one may have been applied.
    pub(crate) ambiguous: bool,
}

impl From<Error> for OperationError {
    fn from(error: Error) -> Self {
        Self { error, ambiguous: false }
    }
}

/// A longer body is not read to its end: a new connection costs less.
const MAX_DRAIN: usize = 64 * 1024;

/// Reading the rest of a body takes no longer than this. The result of the operation is known already.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

impl<T: HttpTransport, R: Runtime> HttpClient<T, R> {
    /// Sends `call` until it succeeds (2xx) or must not be sent again.
    ///
    /// What decides after a failure, in this order:
    ///
    /// | the failure | result |
    /// |---|---|
    /// | refused by the client | that error |
    /// | not retryable, and: a response, or not sent, or [`Resend::Always`] | that error |
    /// | possibly applied, and [`Resend::IfUnapplied`] | [`StreamError::OutcomeUnknown`] |
    /// | the policy's limit is reached | the last error |
    /// | any other | wait, and send again |
    pub(crate) async fn send(&self, call: &Call, resend: Resend) -> Result<Response, OperationError> {
        let mut backoff = Backoff::new(self.defaults().retry.bounded_by(OPERATION_BUDGET));
        let mut ambiguous = false;
        // For the log: the caller waits for the operation, and gets its error.
        let mut outage = OutageWatch::default();
        loop {
            let began = self.runtime().now();
            // Kept for the origin, not for this operation, which may end here: the next one must not use the connection either.
            let fresh_connection = self.memory().take_suspicion(call.uri());
            let attempt = self.send_once(call, fresh_connection).await;
            if is_connection_suspect(&attempt) {
                self.memory().suspect_connections(call.uri());
            }
            let (error, unapplied, has_response) = match attempt {
                Ok(response) if response.status.is_success() => {
                    outage.on_success(|| self.runtime().now());
                    return Ok(response);
                }
                Ok(response) => {
                    let (error, unapplied) = self.refusal(call, response).await;
                    (error, unapplied, true)
                }
                Err(AttemptError::Refused(error)) => return Err(OperationError { error, ambiguous }),
                Err(AttemptError::Intercepted(error)) => (error, false, false),
                Err(AttemptError::Transport(error) | AttemptError::CutOff(error)) => {
                    (call.transport_error(&error), error.sent() == Sent::No, false)
                }
            };
            // The first attempt is not a retry.
            let error = error.with_attempts(backoff.retries() + 1);
            // A response that another attempt would get again means that nothing was applied. A missing response
            // does not.
            if !error.is_retryable() && (has_response || unapplied || resend == Resend::Always) {
                return Err(OperationError { error, ambiguous });
            }
            if !unapplied && resend == Resend::IfUnapplied {
                let reason = match error.status_code() {
                    Some(status) if has_response => format!("the server responded with {status}"),
                    _ => error.kind().to_string(),
                };
                let error = error.with_kind(StreamError::OutcomeUnknown { reason });
                return Err(OperationError { error, ambiguous });
            }
            // An earlier attempt may be the one that was applied. It explains a later 404 of a delete, or 409 of a
            // close.
            ambiguous |= !unapplied;
            let runtime = self.runtime();
            let now = runtime.now();
            let delay = backoff.next(now, runtime.random(), error.retry_after());
            outage.on_failure(&FailedAttempt { began, now, cause: &error, delay });
            match delay {
                None => return Err(OperationError { error, ambiguous }),
                Some(delay) => runtime.sleep(delay).await,
            }
        }
    }

    /// The error of a response that is not a success, and whether it proves that nothing was applied.
    pub(crate) async fn refusal(&self, call: &Call, response: Response) -> (Error, bool) {
        let Response { status, headers, body, is_request_incomplete, redirected_to: origin } = response;
        let message = self.drain(body).await;
        let offset =
            call.query.iter().find(|(key, _)| *key == "offset").map(|(_, value)| Offset::parse(value));
        let now = self.runtime().wall_time();
        let refused = Refusal {
            operation: call.operation,
            url: call.shown_url(),
            offset: offset.as_ref(),
            status,
            headers: &headers,
            message: &message,
            size: call.body.len(),
        };
        let mut error = refused.into_error(now);
        if let Some(endpoint) = origin {
            let detail = format!("{}, which is not sent the configured headers", redirected_to(&endpoint));
            error = error.with_detail(detail);
        }
        // A request that was not received in full is not applied. These refuse one before it is applied: RFC 6585 section 4,
        // RFC 9110 section 15.5.20, RFC 8470 section 5.2.
        let unapplied = is_request_incomplete
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::MISDIRECTED_REQUEST | StatusCode::TOO_EARLY
            );
        (error, unapplied)
    }

    /// Reads a short body to its end, so that its connection can be used again, and returns the start of it.
    ///
    /// An error of the body is ignored: the result of the operation is known already.
    pub(crate) async fn drain(&self, mut body: Body) -> Vec<u8> {
        let mut start = Vec::new();
        let drained = async {
            let mut seen = 0;
            while let Some(Ok(chunk)) = body.next_chunk().await {
                seen += chunk.len();
                // Only the start is kept, for the error's text. The rest is read for the connection's sake.
                let room = Context::MAX_MESSAGE - start.len();
                start.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if seen > MAX_DRAIN {
                    break;
                }
            }
        };
        futures_lite::future::or(drained, self.runtime().sleep(DRAIN_TIMEOUT)).await;
        start
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Rig, poll_once};
    use std::future::IntoFuture;
    use std::pin::pin;
    use std::time::Duration;

    #[test]
    fn append_that_the_server_says_it_did_not_process_is_sent_again() {
        for status in [421, 425] {
            let rig = Rig::new();
            let stream = rig.stream().with_content_type("text/plain");
            let mut append = pin!(stream.append("a").into_future());
            assert!(poll_once(&mut append).is_none());
            rig.respond(0, status, &[]);
            assert!(poll_once(&mut append).is_none());
            rig.advance(Duration::from_secs(1));
            assert!(poll_once(&mut append).is_none());
            rig.respond(1, 204, &[("stream-next-offset", "0_1")]);
            assert!(poll_once(&mut append).unwrap().is_ok(), "{status}");
        }
    }

    #[test]
    fn operation_after_one_that_failed_without_a_retry_asks_for_a_new_connection() {
        let rig = Rig::new();
        let stream = rig.stream().with_content_type("text/plain");
        let mut append = pin!(stream.append("a").into_future());
        assert!(poll_once(&mut append).is_none());
        rig.respond(0, 503, &[]);
        assert!(poll_once(&mut append).unwrap().is_err());
        for fresh in [true, false] {
            let index = rig.sent();
            let mut append = pin!(stream.append("a").into_future());
            assert!(poll_once(&mut append).is_none());
            assert_eq!(rig.request(index, |sent| sent.is_fresh_connection), fresh);
            rig.respond(index, 204, &[("stream-next-offset", "0_1")]);
            assert!(poll_once(&mut append).unwrap().is_ok());
        }
    }

    #[test]
    fn attempt_after_a_path_failure_asks_for_a_new_connection() {
        let rig = Rig::new();
        let stream = rig.stream();
        let mut head = pin!(stream.head());
        let fail: [&dyn Fn(usize); 5] = [
            &|index| rig.respond(index, 503, &[]),
            &|index| rig.respond(index, 421, &[]),
            &|index| rig.break_connection(index),
            &|index| rig.respond(index, 429, &[]),
            &|index| {
                rig.respond(index, 200, &[("stream-next-offset", "0_0"), ("content-type", "text/plain")])
            },
        ];
        for (index, fail) in fail.iter().enumerate() {
            assert!(poll_once(&mut head).is_none());
            rig.advance(Duration::from_secs(1));
            assert!(index == 0 || poll_once(&mut head).is_none());
            fail(index);
        }
        let head = poll_once(&mut head).unwrap();
        assert!(head.is_ok(), "{head:?}");
        let fresh: Vec<bool> =
            (0..rig.sent()).map(|index| rig.request(index, |sent| sent.is_fresh_connection)).collect();
        assert_eq!(fresh, [false, true, true, true, false]);
    }
}
