//! An exchange over HTTP/1.1. It owns its connection and polls it; there is no task.

use crate::byte_stream::ByteStream;
use crate::classify::{Phase, classify};
use crate::upload::Upload;
use crate::wire::{Wire, Written};
use bytes::Bytes;
use durable_streams_contract::{Sent, TransportError, TransportErrorKind, UploadProgress};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The most header fields of a response.
const MAX_HEADERS: usize = 256;

/// An open connection without a request.
pub(crate) struct Connection {
    sender: http1::SendRequest<Upload>,
    driver: http1::Connection<Wire, Upload>,
    written: Arc<Written>,
    pub(crate) opened_at: Instant,
}

/// Why there is no response.
pub(crate) struct Failure {
    pub(crate) error: TransportError,
    /// The request, if hyper has not taken it and no byte of it has left.
    pub(crate) request: Option<Request<Upload>>,
}

impl Connection {
    pub(crate) async fn open(stream: ByteStream) -> Result<Box<Self>, TransportError> {
        let (wire, written) = Wire::new(stream);
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS);
        let (sender, driver) =
            builder.handshake(wire).await.map_err(|error| classify(error, Phase::Head, Sent::No))?;
        Ok(Box::new(Self { sender, driver, written, opened_at: Instant::now() }))
    }

    /// Whether it can take a request: nothing came while it was idle, neither its end nor bytes that were not asked for.
    pub(crate) fn is_idle(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.driver).poll(&mut cx).is_pending()
            && self.sender.is_ready()
            && self.written.refused().is_none()
    }

    /// Sends a request, until the response's head is there. Dropping the future closes the connection.
    pub(crate) async fn send(
        mut self: Box<Self>,
        request: Request<Upload>,
        progress: Option<UploadProgress>,
    ) -> Result<(Response<Incoming>, Exchange), Failure> {
        self.written.start(progress);
        let mut response = pin!(self.sender.try_send_request(request));
        let mut ended = false;
        let result = poll_fn(|cx| {
            // First the connection, which writes the request and reads the response.
            ended = ended || Pin::new(&mut self.driver).poll(cx).is_ready();
            response.as_mut().poll(cx)
        })
        .await;
        match result {
            Ok(response) => Ok((response, Exchange { connection: self, ended })),
            Err(mut failed) => {
                let unsent = self.written.is_nothing();
                let request = failed.take_message().filter(|_| unsent);
                let sent = if unsent { Sent::No } else { Sent::Maybe };
                let error = match self.written.refused() {
                    Some(kind) => TransportError::new(TransportErrorKind::Closed)
                        .with_message(format!("the server stopped reading the request: {kind}"))
                        .with_source(failed.into_error()),
                    None => classify(failed.into_error(), Phase::Head, sent),
                };
                Err(Failure { error, request })
            }
        }
    }
}

/// A connection whose response is being read.
pub(crate) struct Exchange {
    connection: Box<Connection>,
    /// The connection has ended, and is not polled again.
    ended: bool,
}

impl Exchange {
    /// The connection, if the exchange has left it good for another one.
    pub(crate) fn into_idle(mut self) -> Option<Box<Connection>> {
        (!self.ended && self.connection.is_idle()).then_some(self.connection)
    }

    /// The next data of the response's body. `None` is its end.
    pub(crate) fn poll_data(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportError>>> {
        let mut polled = self.ended;
        loop {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers say nothing to a client of this protocol.
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(classify(error, Phase::Body, Sent::Maybe))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if polled => return Poll::Pending,
                Poll::Pending => {}
            }
            self.ended = Pin::new(&mut self.connection.driver).poll(cx).is_ready();
            polled = true;
        }
    }
}
