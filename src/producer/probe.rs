//! Asking the server about the stream before the first batch: its content type, where nobody said it, and its tail, by
//! which a claim tells an earlier run from an echo of its own request.

use super::builder::Config;
use super::request::{Facts, Wire, is_no_answer};
use crate::error::{Error, StreamError};
use crate::protocol::operation::Operation;
use crate::retry::Backoff;
use durable_streams_contract::{HttpTransport, Runtime};
use http::HeaderMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Findings {
    pub(super) facts: Option<Facts>,
    /// What the error handler asked for on the way.
    pub(super) extra_headers: HeaderMap,
}

/// Asks until there is an answer, as long as the retry policy allows. Without `need_type` a refusal is no error, but
/// silence is.
pub(super) async fn probe<T: HttpTransport, R: Runtime>(
    mut wire: Wire<T, R>,
    config: Arc<Config>,
    need_type: bool,
) -> Result<Findings, Error> {
    let mut backoff = Backoff::new(config.machine.retry.clone());
    loop {
        let error = match wire.ask().await {
            Ok(facts) => return Ok(Findings { facts: Some(facts), extra_headers: wire.extra_headers }),
            // Nobody asked for this question but the append that waits for it.
            Err(error) => error.edit(|context| context.operation = Some(Operation::Append.name())),
        };
        let again = error.is_retryable() || need_type && config.consult(&error, &mut wire.extra_headers);
        let runtime = wire.stream.client().runtime();
        let wait = match again {
            true => backoff.next(runtime.now(), runtime.random(), error.retry_after()),
            false => None,
        };
        match wait {
            Some(wait) => runtime.sleep(wait).await,
            // Without its word on the tail an earlier run could be taken for our own.
            None if error.is_retryable() || is_no_answer(&error) => return Err(error),
            None if need_type => return Err(refused(error)),
            None => return Ok(Findings { facts: None, extra_headers: wire.extra_headers }),
        }
    }
}

/// A server that does not say the content type leaves it to the configuration.
fn refused(error: Error) -> Error {
    match error.kind() {
        StreamError::Forbidden | StreamError::NotSupported | StreamError::BadRequest { .. } => {
            let reason = format!("it has to be given, because the server does not tell it: {error}");
            StreamError::config("content_type", "unknown", reason).into()
        }
        _ => error,
    }
}
