//! The client's end of the simulated network.

use crate::carrier::{carry, describe};
use crate::exchange::exchange;
use crate::net::Net;
use crate::tasks::NETWORK;
use bytes::Bytes;
use durable_streams_contract::{Body, HttpTransport, SendOptions, TransportError, async_trait};
use http::{Request, Response, StatusCode};
use std::fmt;
use std::sync::Arc;

/// A transport from a simulated process to the simulated server.
///
/// There is one server for all hosts. Streams are distinguished by their paths.
#[derive(Clone)]
pub struct SimTransport {
    net: Arc<Net>,
}

impl SimTransport {
    pub(crate) fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl fmt::Debug for SimTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimTransport")
    }
}

#[async_trait]
impl HttpTransport for SimTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        options: SendOptions,
    ) -> Result<Response<Body>, TransportError> {
        let connection = self.net.connect(&request, options.is_fresh_connection());
        let number = self.net.log(&request, connection);
        self.net.core.note(|| format!("request {number}: {}", describe(&request)));
        let (sending, receiving) = exchange();
        let upload = options.upload().filter(|_| self.net.options.counts_uploads).cloned();
        let carried = carry(self.net.clone(), number, request, connection, sending, upload);
        self.net.core.spawn(NETWORK, Box::pin(carried));
        let mut entry = Entry { net: &self.net, number, status: None };
        let result = receiving.response().await;
        entry.status = result.as_ref().ok().map(Response::status);
        drop(entry);
        self.net.core.note(|| match &result {
            Ok(response) => format!("request {number}: client has {}", response.status().as_u16()),
            Err(error) => format!("request {number}: client has an error: {error}"),
        });
        result
    }
}

/// Records how a request ended, also if its future is dropped.
struct Entry<'a> {
    net: &'a Net,
    number: u64,
    status: Option<StatusCode>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.net.log_answer(self.number, self.status);
    }
}
