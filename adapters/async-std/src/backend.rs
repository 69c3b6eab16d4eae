//! surf's interface for HTTP clients, implemented on hyper.

use crate::AsyncStdRuntime;
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{Body, HttpTransport, SendOptions, TransportError, TransportErrorKind};
use durable_streams_hyper::{AsyncIoConnect, HyperTransport};
use std::mem;
use std::sync::{Mutex, PoisonError};
use surf::http::{Error, Request, Response, StatusCode};

/// One exchange, as an extension of surf's request. surf's own types hold no header that is not ASCII, no status that is not
/// registered, and no body that is not `Sync`.
#[derive(Debug)]
pub(crate) struct Exchange(Mutex<State>);

#[derive(Debug)]
enum State {
    Request(Box<(http::Request<Bytes>, SendOptions)>),
    Response(Box<http::Response<Body>>),
    Taken,
}

impl Exchange {
    pub(crate) fn new(request: http::Request<Bytes>, options: SendOptions) -> Self {
        Self(Mutex::new(State::Request(Box::new((request, options)))))
    }

    fn replace(&self, state: State) -> State {
        mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), state)
    }

    pub(crate) fn take_response(&self) -> Option<http::Response<Body>> {
        match self.replace(State::Taken) {
            State::Response(response) => Some(*response),
            State::Request(_) | State::Taken => None,
        }
    }
}

/// hyper as surf's HTTP client.
#[derive(Debug)]
pub(crate) struct Backend(pub(crate) HyperTransport<AsyncIoConnect, AsyncStdRuntime>);

#[async_trait]
impl surf::HttpClient for Backend {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        // The transport takes the error out again.
        self.exchange(request).await.map_err(|error| Error::new(StatusCode::BadGateway, error))
    }
}

impl Backend {
    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let exchange = request.ext().get::<std::sync::Arc<Exchange>>();
        let Some((exchange, State::Request(sent))) =
            exchange.map(|exchange| (exchange, exchange.replace(State::Taken)))
        else {
            return Err(TransportError::new(TransportErrorKind::InvalidRequest)
                .with_message("surf sent the request twice, or without its extension"));
        };
        let (request, options) = *sent;
        let response = self.0.send(request, options).await?;
        // A status that surf does not know is in the extension alone.
        let status = StatusCode::try_from(response.status().as_u16()).unwrap_or(StatusCode::Ok);
        exchange.replace(State::Response(Box::new(response)));
        Ok(Response::new(status))
    }
}
