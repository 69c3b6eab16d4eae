//! [smol](https://docs.rs/smol) and [isahc](https://docs.rs/isahc) for the Durable Streams client.
//!
//! [`IsahcTransport`] sends the requests, [`SmolRuntime`] spawns and sleeps. isahc drives libcurl on threads of its
//! own, so the transport works under any executor.
//!
//! # Features
//!
//! - `isahc`: [`IsahcTransport`]. Without it the crate is [`SmolRuntime`] alone.
//! - `rustls`: TLS, off by default, because libcurl is built with it from source. Without it, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//!
//! # Limits
//!
//! - libcurl returns a response's head together with the first byte of its body. A server-sent event
//!   stream that is silent from the start has no head until something comes.
//! - Each request has a connection of its own: libcurl takes a response that waits on an idle connection for the answer to the
//!   next request. [`IsahcTransport::reuse_connections`] allows reuse.
//! - libcurl notices only at the next byte that a response was dropped. Live reads therefore have a client and a
//!   thread of their own, which dropping ends; see [`IsahcTransport`]. Another exchange that is dropped ends with the last
//!   exchange of its client, or after
//!   [`with_backstop`](durable_streams_contract::SendOptions::with_backstop).
//! - More than 1024 open file descriptors need a libcurl that is built for it; see [`IsahcTransport`].
//! - A body that is ended by closing the connection is an error: a response whose head was cut looks the same.
//! - A head that was cut behind its framing field is still taken for whole: behind `content-length: 0`, behind
//!   `transfer-encoding: chunked`, and in a response to HEAD or with the status 204 or 304. The fields behind the cut are missing, and
//!   the body is empty. A cut behind any other `content-length` is an error, and so is an empty chunked body of a read whose
//!   `stream-next-offset` is behind the offset asked for. Without `stream-next-offset` the client takes no response for a
//!   success. The scenario `cut_head_loses_nothing` reads from an offset of the server's.
//! - **Data can be lost** in one case: a read from the beginning of a stream (`offset=-1`), a chunked response, and a connection that ends
//!   behind the line with `stream-next-offset` and before the end of the head. It cannot be told from the response of an empty
//!   stream: the read ends without an error and without the content, or goes on behind it. Node's HTTP server writes
//!   `transfer-encoding` last, so its responses can be cut like this. The hyper stack does not have this fault.
//! - Request headers have to be ASCII; others are an
//!   [`InvalidRequest`](durable_streams_contract::TransportErrorKind::InvalidRequest) error.
//! - libcurl sends `accept: */*`, `user-agent`, and a `content-type` for a body, where the request has none.

#[cfg(feature = "isahc")]
mod body;
#[cfg(feature = "isahc")]
mod classify;
#[cfg(feature = "isahc")]
mod clients;
mod runtime;
#[cfg(feature = "isahc")]
mod transport;

pub use runtime::SmolRuntime;
#[cfg(feature = "isahc")]
pub use transport::IsahcTransport;
