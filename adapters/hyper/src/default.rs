//! Transports that a client builds itself, on the runtime of the code that does.

#[cfg(feature = "async-io")]
use crate::connect::AsyncIoConnect;
#[cfg(feature = "tokio")]
use crate::connect::TokioConnect;
use crate::transport::HyperTransport;
use durable_streams_contract::{
    DefaultRuntime, DefaultTransport, RuntimeError, Sent, TransportError, TransportErrorKind,
    TransportOptions,
};

#[cfg(feature = "async-io")]
impl<R: DefaultRuntime> DefaultTransport for HyperTransport<AsyncIoConnect, R> {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        Self::new(AsyncIoConnect::new(), current()?, options)
    }
}

#[cfg(feature = "tokio")]
impl<R: DefaultRuntime> DefaultTransport for HyperTransport<TokioConnect, R> {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        Self::new(TokioConnect::current().map_err(no_runtime)?, current()?, options)
    }
}

/// The runtime of the code that calls this.
fn current<R: DefaultRuntime>() -> Result<R, TransportError> {
    R::current().map_err(no_runtime)
}

fn no_runtime(error: RuntimeError) -> TransportError {
    TransportError::new(TransportErrorKind::Runtime).with_sent(Sent::No).with_message(error.to_string())
}
