//! An HTTP/2 server that answers as a script says.

use super::tls_server::ServerTls;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// A request, and how to answer it.
pub(crate) struct Asked {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Answers with a head and a body.
    pub(crate) fn ok(&mut self, body: impl Into<Bytes>) {
        let mut stream = self.respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data(body.into(), true).unwrap();
    }

    /// Reads the request's body to its end, and tells its size.
    pub(crate) async fn drain(&mut self) -> usize {
        let mut size = 0;
        while let Some(data) = self.request.body_mut().data().await {
            let data = data.unwrap();
            size += data.len();
            self.request.body_mut().flow_control().release_capacity(data.len()).unwrap();
        }
        size
    }
}

/// What happens to the connection behind a request.
pub(crate) enum Then {
    Keep,
    /// GOAWAY with the last stream that was taken, and then the end.
    GoAway,
    /// The connection is dropped.
    Close,
}

type Script = Arc<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Then> + Send>> + Send + Sync>;

/// A server that stops when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) fn start<F, O>(max_streams: u32, script: F) -> Self
    where
        F: Fn(Asked) -> O + Send + Sync + 'static,
        O: Future<Output = Then> + Send + 'static,
    {
        Self::start_with(max_streams, None, script)
    }

    pub(crate) fn start_with<F, O>(max_streams: u32, tls: Option<ServerTls>, script: F) -> Self
    where
        F: Fn(Asked) -> O + Send + Sync + 'static,
        O: Future<Output = Then> + Send + 'static,
    {
        let script: Script = Arc::new(move |asked| Box::pin(script(asked)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let (counted, alive) = (Arc::clone(&connections), Arc::clone(&open));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = counted.fetch_add(1, Ordering::AcqRel);
                let (script, tls, alive) = (Arc::clone(&script), tls.clone(), Arc::clone(&alive));
                alive.fetch_add(1, Ordering::AcqRel);
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, max_streams, number, script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.acceptor().accept(stream).await {
                                serve(stream, max_streams, number, script).await;
                            }
                        }
                    }
                    alive.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        Self { port, connections, open, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    max_streams: u32,
    number: usize,
    script: Script,
) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(max_streams);
    let handshake: Result<Connection<S, Bytes>, _> = builder.handshake(stream).await;
    let Ok(mut connection) = handshake else { return };
    let (then, mut thens) = tokio::sync::mpsc::unbounded_channel();
    loop {
        tokio::select! {
            asked = connection.accept() => {
                let Some(Ok((request, respond))) = asked else { return };
                let answer = script(Asked { request, respond, connection: number });
                let then = then.clone();
                tokio::spawn(async move {
                    // The connection has ended otherwise.
                    let _ = then.send(answer.await);
                });
            }
            Some(then) = thens.recv() => match then {
                Then::Keep => {}
                Then::GoAway => connection.graceful_shutdown(),
                Then::Close => return,
            }
        }
    }
}
