use crate::sync::locked;
use bytes::Bytes;
use durable_streams_contract::{Body, TransportError, TransportErrorKind};
use futures_lite::Stream;
use futures_lite::future::poll_fn;
use http::Response;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// How many bytes may be in flight before the server waits for a slow reader.
const WINDOW: usize = 64 << 10;

/// One request and its answer, between the client's side and the network's.
#[derive(Default)]
struct Exchange {
    head: Option<Result<Response<Option<Bytes>>, TransportError>>,
    /// The head was delivered, whether or not the client has taken it.
    answered: bool,
    pieces: VecDeque<Bytes>,
    under_way: usize,
    /// How the body ends, once it does.
    end: Option<Option<TransportError>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    dropped: bool,
}

type Shared = Arc<Mutex<Exchange>>;

pub(crate) fn exchange() -> (Sending, Receiving) {
    let shared = Shared::default();
    (Sending(shared.clone()), Receiving(Some(shared)))
}

/// The network's side.
pub(crate) struct Sending(Shared);

impl Sending {
    /// Delivers the head, and the whole body if it is given.
    pub(crate) fn head(&self, head: Response<Option<Bytes>>) {
        self.tell(|exchange| {
            exchange.head = Some(Ok(head));
            exchange.answered = true;
        });
    }

    pub(crate) fn piece(&self, piece: Bytes) {
        if !piece.is_empty() {
            self.tell(|exchange| {
                exchange.under_way += piece.len();
                exchange.pieces.push_back(piece);
            });
        }
    }

    pub(crate) fn end(&self) {
        self.tell(|exchange| exchange.end = Some(None));
    }

    /// Breaks the exchange, wherever it is.
    pub(crate) fn fail(&self, error: TransportError) {
        self.tell(|exchange| match exchange.answered {
            false => exchange.head = Some(Err(error)),
            true => exchange.end = Some(Some(error)),
        });
    }

    /// Whether the client has lost interest.
    pub(crate) fn is_dropped(&self) -> bool {
        locked(&self.0).dropped
    }

    /// Asks to be woken when the client has taken something, or has lost interest.
    pub(crate) fn watch(&self, waker: &Waker) {
        locked(&self.0).writer = Some(waker.clone());
    }

    /// Waits until there is room for more, or the reader is gone.
    pub(crate) async fn room(&self) {
        poll_fn(|cx| {
            let mut exchange = locked(&self.0);
            if exchange.dropped || exchange.under_way < WINDOW {
                return Poll::Ready(());
            }
            exchange.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn tell(&self, change: impl FnOnce(&mut Exchange)) {
        let mut exchange = locked(&self.0);
        change(&mut exchange);
        let waker = exchange.reader.take();
        drop(exchange);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let open = {
            let exchange = locked(&self.0);
            exchange.end.is_none() && !matches!(exchange.head, Some(Err(_)))
        };
        if open {
            self.fail(TransportError::new(TransportErrorKind::Closed).with_message("connection reset"));
        }
    }
}

/// The client's side: dropping it cancels the request.
pub(crate) struct Receiving(Option<Shared>);

impl Receiving {
    /// Waits for the head; the body is then what is left of the exchange.
    pub(crate) async fn response(mut self) -> Result<Response<Body>, TransportError> {
        let head = poll_fn(|cx| self.poll(cx, |exchange| exchange.head.take())).await?;
        let (parts, whole) = head.into_parts();
        let body = match whole {
            Some(bytes) => {
                self.0 = None;
                Body::full(bytes)
            }
            None => Body::from_stream(self),
        };
        Ok(Response::from_parts(parts, body))
    }

    fn poll<T>(&self, cx: &mut Context<'_>, mut take: impl FnMut(&mut Exchange) -> Option<T>) -> Poll<T> {
        let Some(shared) = &self.0 else { return Poll::Pending };
        let mut exchange = locked(shared);
        match take(&mut exchange) {
            Some(taken) => Poll::Ready(taken),
            None => {
                exchange.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for Receiving {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut writer = None;
        let item = self.poll(cx, |exchange| match exchange.pieces.pop_front() {
            Some(piece) => {
                exchange.under_way -= piece.len();
                writer = exchange.writer.take();
                Some(Some(Ok(piece)))
            }
            None => exchange.end.clone().map(|end| end.map(Err)),
        });
        if let Some(waker) = writer {
            waker.wake();
        }
        item
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        let mut exchange = locked(shared);
        exchange.dropped = true;
        let waker = exchange.writer.take();
        drop(exchange);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
