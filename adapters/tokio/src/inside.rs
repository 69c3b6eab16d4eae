//! What reqwest makes, kept in the context of its runtime.

use crate::context::Context;
use durable_streams_contract::{TransportError, TransportErrorKind};
use std::future::Future;

impl Context {
    /// Drops `value` in the runtime's context: hyper may spawn when a connection goes back to its pool.
    pub(crate) fn discard<X>(&self, value: X) {
        let _guard = self.handle().enter();
        drop(value);
    }

    pub(crate) fn error(&self) -> TransportError {
        let message = if self.is_lost() {
            "the tokio runtime of this transport has shut down"
        } else {
            "the tokio runtime of this transport lacks a driver: build it with `enable_all`"
        };
        TransportError::new(TransportErrorKind::Runtime).with_message(message)
    }
}

/// A future or body that lives in a runtime's context, wherever it is polled and dropped.
pub(crate) struct Inside<X> {
    context: Context,
    value: Option<X>,
}

impl<X> Inside<X> {
    pub(crate) fn new(context: Context, value: X) -> Self {
        Self { context, value: Some(value) }
    }

    /// Runs `f` on the value in the context; an error where the runtime is not there.
    pub(crate) fn with<Y>(&mut self, f: impl FnOnce(&mut X) -> Y) -> Result<Y, TransportError> {
        let value = self.value.as_mut().ok_or_else(|| self.context.error())?;
        match self.context.run(|| f(value)) {
            Some(output) => Ok(output),
            None => {
                let error = self.context.error();
                self.release();
                Err(error)
            }
        }
    }

    fn release(&mut self) {
        if let Some(value) = self.value.take() {
            self.context.discard(value);
        }
    }
}

impl<X> Drop for Inside<X> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<F: Future + Unpin> Inside<F> {
    pub(crate) async fn run(mut self) -> Result<F::Output, TransportError> {
        std::future::poll_fn(|cx| match self.with(|future| std::pin::Pin::new(future).poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(error) => std::task::Poll::Ready(Err(error)),
        })
        .await
    }
}
