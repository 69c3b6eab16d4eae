//! A response's body over HTTP/1.1, at whose end the connection goes back to the pool.

use crate::http1::Exchange;
use crate::origin::Origin;
use crate::pool::Pool;
use bytes::Bytes;
use durable_streams_contract::{Body, TransportError};
use futures_lite::Stream;
use http_body::Body as _;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Where a connection goes when its exchange is over.
pub(crate) struct Home {
    pub(crate) pool: Arc<Pool>,
    pub(crate) origin: Origin,
}

/// The body of the response that `exchange` reads.
pub(crate) fn body(exchange: Exchange, incoming: Incoming, home: Home) -> Body {
    let reading = Reading { incoming, exchange, home };
    if reading.incoming.is_end_stream() {
        reading.finish();
        return Body::empty();
    }
    Body::from_stream(Chunks(Some(reading)))
}

struct Reading {
    incoming: Incoming,
    exchange: Exchange,
    home: Home,
}

impl Reading {
    fn finish(self) {
        if let Some(connection) = self.exchange.into_idle() {
            self.home.pool.put(&self.home.origin, connection);
        }
    }
}

/// `None` after the end.
struct Chunks(Option<Reading>);

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(Reading { incoming, exchange, .. }) = &mut self.0 else { return Poll::Ready(None) };
        match ready!(exchange.poll_data(incoming, cx)) {
            Some(Ok(data)) => Poll::Ready(Some(Ok(data))),
            Some(Err(error)) => {
                self.0 = None;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                if let Some(reading) = self.0.take() {
                    reading.finish();
                }
                Poll::Ready(None)
            }
        }
    }
}
