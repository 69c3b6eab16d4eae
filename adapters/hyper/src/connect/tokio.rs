use super::connector::Connect;
use super::errors::{connect_error, dns_error};
use crate::byte_stream::ByteStream;
use crate::classify::RuntimeGone;
use durable_streams_contract::{RuntimeError, Sent, TransportError, TransportErrorKind, async_trait};
use futures_lite::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io::{Error, IoSlice, Result as IoResult};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Connections of [tokio](https://docs.rs/tokio).
///
/// It holds a [`Handle`], so it works wherever it is polled: in that runtime, in another one, or in none. The runtime needs
/// its I/O driver (`enable_all`, as `#[tokio::main]` does).
#[derive(Clone, Debug)]
pub struct TokioConnect {
    handle: Handle,
}

impl TokioConnect {
    /// Connections of the runtime of `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Connections of the runtime that the caller runs in.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] outside of any tokio runtime.
    pub fn current() -> Result<Self, RuntimeError> {
        Handle::try_current().map(Self::new).map_err(|_| {
            RuntimeError::new(
                "there is no tokio runtime here: call this inside `#[tokio::main]`, `Runtime::block_on` or a spawned \
                 task, or pass a handle: `TokioConnect::new(runtime.handle().clone())`",
            )
        })
    }

    /// Runs `future` in the runtime; dropping this aborts it.
    async fn run<X: Send + 'static>(
        &self,
        future: impl Future<Output = IoResult<X>> + Send + 'static,
    ) -> Result<IoResult<X>, TransportError> {
        let mut task = AbortOnDrop(self.handle.spawn(future));
        (&mut task.0).await.map_err(|error| {
            let message = if error.is_panic() {
                "the tokio runtime of this transport lacks a driver: build it with `enable_all`"
            } else {
                "the tokio runtime of this transport has shut down"
            };
            TransportError::new(TransportErrorKind::Runtime).with_sent(Sent::No).with_message(message)
        })
    }
}

struct AbortOnDrop<X>(JoinHandle<X>);

impl<X> Drop for AbortOnDrop<X> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Connect for TokioConnect {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError> {
        let host = host.to_owned();
        let lookup = async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
        self.run(lookup).await?.map_err(dns_error)
    }

    async fn connect(&self, address: SocketAddr) -> Result<ByteStream, TransportError> {
        let connect = async move {
            let stream = TcpStream::connect(address).await?;
            // Without it a write in two parts waits for an acknowledgement.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = self.run(connect).await?.map_err(|error| connect_error(address, error))?;
        Ok(ByteStream::new(TokioStream(stream)).with_vectored_writes(true))
    }
}

/// tokio's socket with the traits of futures.
struct TokioStream(TcpStream);

/// tokio's text for an operation after the shutdown of its runtime; there is no other sign.
const SHUTTING_DOWN: &str = "A Tokio 1.x context was found, but it is being shutdown.";

fn with_shutdown(error: Error) -> Error {
    if error.to_string() == SHUTTING_DOWN { Error::other(RuntimeGone) } else { error }
}

impl AsyncRead for TokioStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<IoResult<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let result = ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, &mut buffer));
        Poll::Ready(result.map(|()| buffer.filled().len()).map_err(with_shutdown))
    }
}

impl AsyncWrite for TokioStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, bytes).map_err(with_shutdown)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        tokio::io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.0), cx, buffers).map_err(with_shutdown)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx).map_err(with_shutdown)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx).map_err(with_shutdown)
    }
}
