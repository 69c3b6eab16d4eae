//! A single operation: one request, tried again as far as that is safe.

use super::attempt::led_to;
use super::{Answer, Call, Failure};
use crate::client::{Client, OPERATION_BUDGET};
use crate::error::{Context, Error, StreamError};
use crate::protocol::answer;
use crate::retry::Backoff;
use durable_streams_contract::{Body, HttpTransport, Runtime, Sent, TransportError};
use http::StatusCode;
use std::time::Duration;

/// When a request may be sent again though an earlier attempt may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resend {
    /// Always: a second time changes nothing, or the caller accepts it.
    Always,
    /// Never: a second time could store a second copy.
    IfUnapplied,
}

/// How a single operation failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// An attempt before the last may have been carried out.
    pub(crate) ambiguous: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, ambiguous: false }
    }
}

/// More of a body than this is not read just to keep its connection.
const MAX_DRAIN: usize = 64 * 1024;

/// Nor is it waited for longer than this: the answer is known already.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

impl<T: HttpTransport, R: Runtime> Client<T, R> {
    /// Sends `call` until it succeeds (2xx) or may not be sent again.
    pub(crate) async fn perform(&self, call: &Call, resend: Resend) -> Result<Answer, Failed> {
        let mut backoff = Backoff::new(self.inner.retry.bounded_by(OPERATION_BUDGET));
        let mut ambiguous = false;
        loop {
            let (error, unapplied, answered) = match self.exchange(call).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => {
                    let (error, unapplied) = self.refusal(call, answer).await;
                    (error, unapplied, true)
                }
                Err(Failure::Refused(error)) => return Err(Failed { error, ambiguous }),
                Err(Failure::Transport(error)) => (located(&error, call), error.sent() == Sent::No, false),
            };
            let attempts = backoff.retries() + 1;
            let error = error.edit(|context| context.attempts = attempts);
            // A refusal that will be the same next time says that nothing was done. Silence says nothing of it.
            if !error.is_retryable() && (answered || unapplied || resend == Resend::Always) {
                return Err(Failed { error, ambiguous });
            }
            if !unapplied && resend == Resend::IfUnapplied {
                let reason = match error.status_code() {
                    Some(status) => format!("the server answered {status}"),
                    None => error.kind().to_string(),
                };
                let error = error.with_kind(StreamError::OutcomeUnknown { reason });
                return Err(Failed { error, ambiguous });
            }
            ambiguous |= !unapplied;
            let runtime = self.runtime();
            match backoff.next(runtime.now(), runtime.random(), error.retry_after()) {
                None => return Err(Failed { error, ambiguous }),
                Some(wait) => {
                    #[cfg(feature = "tracing")]
                    tracing::debug!(operation = call.operation.name(), ?wait, %error, "retrying");
                    runtime.sleep(wait).await;
                }
            }
        }
    }

    /// The error behind an answer that is no success, and whether it says that nothing was applied.
    pub(crate) async fn refusal(&self, call: &Call, answer: Answer) -> (Error, bool) {
        let Answer { status, headers, body, from } = answer;
        let message = self.drain(body).await;
        let offset =
            call.query.iter().find(|(key, _)| *key == "offset").map(|(_, value)| value.as_str().into());
        let now = self.runtime().wall_time();
        let refused = answer::Refused {
            operation: call.operation,
            url: call.url().as_str(),
            offset: offset.as_ref(),
            status,
            headers: &headers,
            message: &message,
            size: call.body.len(),
        };
        let mut error = refused.into_error(now);
        if let Some(place) = from {
            let detail = format!("{}, which is not sent the configured headers", led_to(&place));
            error = error.edit(|context| context.detail = Some(detail));
        }
        (error, status == StatusCode::TOO_MANY_REQUESTS)
    }

    /// Reads a short body to its end, so that its connection can be used again, and returns the start of it.
    ///
    /// What goes wrong here does not matter: the answer is known already.
    pub(crate) async fn drain(&self, mut body: Body) -> Vec<u8> {
        let mut start = Vec::new();
        let drained = async {
            let mut seen = 0;
            while let Some(Ok(chunk)) = body.next_chunk().await {
                seen += chunk.len();
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

/// A transport's failure, and where it happened.
pub(crate) fn located(error: &TransportError, call: &Call) -> Error {
    Error::from(error.clone()).edit(|context| {
        context.operation = Some(call.operation.name());
        context.url = Some(call.url().to_string());
    })
}
