//! A transport of your own, on plain hyper: without TLS, and with one connection for each request.
//!
//! Run it with `cargo run --example custom_transport`.
//!
//! A transport implements one method, `HttpTransport::send`. This one opens a connection for each request: dropping a
//! response then closes its connection, and no request is ever sent twice. A transport for production would reuse
//! connections. The contract's test suite (`durable-streams-contract`, feature `suite`) checks what it must do.

use bytes::Bytes;
use durable_streams::contract::{
    Body, HttpTransport, SendOptions, Sent, TransportError, TransportErrorKind, async_trait,
};
use durable_streams::tokio::TokioRuntime;
use durable_streams::{ClientBuilder, CreateOptions};
use futures_lite::stream::unfold;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

struct HyperTransport;

#[async_trait]
impl HttpTransport for HyperTransport {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        _: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        let uri = request.uri().clone();
        if uri.scheme_str() != Some("http") {
            return Err(TransportError::new(TransportErrorKind::Unsupported)
                .with_message("only http URLs are supported; this example has no TLS"));
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let address = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        let socket = tokio::net::TcpStream::connect(address).await.map_err(|e| {
            TransportError::new(TransportErrorKind::Connect).with_message(&*authority).with_source(e)
        })?;
        let _ = socket.set_nodelay(true); // An error costs speed only.
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|e| failed(e, Sent::No))?;

        // hyper transfers data while `connection` is polled, so it needs a task. The set moves into the body below:
        // dropping the body aborts the task, which closes the socket.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(
            |e: http::uri::InvalidUri| TransportError::new(TransportErrorKind::InvalidRequest).with_source(e),
        )?;
        *request.uri_mut() = path;
        let host = authority.parse().map_err(|e: http::header::InvalidHeaderValue| {
            TransportError::new(TransportErrorKind::InvalidRequest).with_source(e)
        })?;
        request.headers_mut().insert(http::header::HOST, host);
        let response =
            sender.send_request(request.map(Full::new)).await.map_err(|e| failed(e, Sent::Maybe))?;

        let (head, incoming) = response.into_parts();
        let body = unfold((incoming, connections), |(mut incoming, connections)| async {
            let chunk = next_chunk(&mut incoming).await?;
            Some((chunk, (incoming, connections)))
        });
        Ok(http::Response::from_parts(head, Body::from_stream(body)))
    }
}

/// The next data of the body. Trailers are skipped.
async fn next_chunk(incoming: &mut Incoming) -> Option<Result<Bytes, TransportError>> {
    loop {
        match incoming.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(e) => return Some(Err(failed(e, Sent::Maybe))),
        }
    }
}

/// `sent` says whether the server may have received the request: the client resends an append only if it has not.
fn failed(error: hyper::Error, sent: Sent) -> TransportError {
    let kind = if error.is_incomplete_message() || error.is_body_write_aborted() {
        TransportErrorKind::Closed
    } else {
        TransportErrorKind::Other
    };
    TransportError::new(kind).with_sent(sent).with_source(error)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = test_servers::RustServer::start()?;
    let client =
        ClientBuilder::new(HyperTransport, TokioRuntime::current()?).base_url(server.url()).build()?;
    let stream = client.stream("custom");
    stream.create(CreateOptions::new().content_type("text/plain")).await?;
    let stored = stream.append("sent over hyper").await?;
    println!("stored, next offset {}", stored.next_offset);
    println!("read back: {}", stream.reader().read_text().await?);
    Ok(())
}
