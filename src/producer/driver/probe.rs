//! HEAD requests of the driver, with retries.
//!
//! The metadata probe asks for the content type, if it is not configured, and for the tail before the first batch, by
//! which a claim distinguishes an earlier run from a duplicate of its own request. The tail check asks for the tail after
//! a state loss.

use super::wire::{StreamMetadata, Wire, is_foreign_response};
use crate::error::{Error, StreamError};
use crate::outage::{FailedAttempt, OutageWatch};
use crate::producer::config::{Config, Decision};
use crate::protocol::operation::Operation;
use crate::retry::Backoff;
use durable_streams_contract::{HttpTransport, Runtime};
use std::sync::Arc;

/// Sends HEAD until there is a result, within the retry policy.
///
/// With `needs_content_type`, a refusal is an error. Without it, a refusal is `None`: the server does not report its
/// metadata. A missing response is always an error: without the tail, an earlier run could be taken for this one.
pub(super) async fn probe<T: HttpTransport, R: Runtime>(
    wire: Wire<T, R>,
    config: Arc<Config>,
    needs_content_type: bool,
) -> Result<Option<StreamMetadata>, Error> {
    let mut backoff = Backoff::new(config.machine.retry.clone());
    let mut outage = OutageWatch::new(config.machine.connection_status.clone());
    let runtime = wire.stream.client().runtime();
    loop {
        let began = runtime.now();
        let error = match wire.head().await {
            Ok(metadata) => {
                outage.on_success(|| runtime.now());
                return Ok(Some(metadata));
            }
            // To the application, the append that waits for the probe is what failed.
            Err(error) => error.with_operation(Operation::Append.name()),
        };
        let mut retry = error.is_retryable();
        // The application decides about a refusal only if the probe cannot do without its result.
        if !retry
            && needs_content_type
            && let Decision::Retry { headers } = config.decide(&error)
        {
            wire.set_extra_headers(headers);
            retry = true;
        }
        let now = runtime.now();
        let wait = match retry {
            true => backoff.next(now, runtime.random(), error.retry_after()),
            false => None,
        };
        // A refusal is an answer.
        if retry {
            outage.on_failure(&FailedAttempt { began, now, cause: &error, delay: wait });
        }
        match wait {
            Some(wait) => runtime.sleep(wait).await,
            None if error.is_retryable() || is_foreign_response(&error) => return Err(error),
            // A configured content type needs no metadata: the batches are sent without a tail to compare with.
            None if needs_content_type => return Err(refused(error)),
            None => return Ok(None),
        }
    }
}

/// A server that does not report the content type: it has to be configured.
fn refused(error: Error) -> Error {
    match error.kind() {
        StreamError::Forbidden
        | StreamError::NotSupported
        | StreamError::BadRequest { .. }
        | StreamError::ClientError { .. } => {
            let reason = format!("the server does not report it; set it on the builder: {error}");
            StreamError::config("content_type", "unknown", reason).into()
        }
        _ => error,
    }
}
