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
//!   `transfer-encoding: chunked`, and in a response to HEAD or with the status 204 or 304. The fields behind the cut are missing, the
//!   value that was cut is shorter, and the body is empty. What the adapter does:
//!   - A cut behind any other `content-length` is an error.
//!   - A success without content to a GET or a HEAD that is chunked, or whose last field is `stream-next-offset`, is requested again on
//!     a connection of its own, and taken for whole if that connection then serves a HEAD as well. From a server that closes the
//!     connection after such a response it is an error.
//!   - Every other response without content is marked with
//!     [`HeadMayBeCut`](durable_streams_contract::HeadMayBeCut). The client takes a success without a header that the protocol demands for
//!     a lost connection.
//!
//!   So nothing is lost or repeated. What remains: in the response to an append, the offset that the append returns may be cut short.
//!   The scenarios `cut_head_loses_nothing` and `empty_chunked_page_is_read` show it.
//! - isahc does not pass on which TLS alert ended a handshake: each is a
//!   [`Connect`](durable_streams_contract::TransportErrorKind::Connect) error, which is retried. A certificate that libcurl itself
//!   refuses is not retried.
//! - Request headers have to be ASCII; others are an
//!   [`InvalidRequest`](durable_streams_contract::TransportErrorKind::InvalidRequest) error.
//! - libcurl sends `accept: */*`, `user-agent`, and a `content-type` for a body, where the request has none.

#[cfg(feature = "isahc")]
mod body;
#[cfg(feature = "isahc")]
mod classify;
#[cfg(feature = "isahc")]
mod clients;
#[cfg(feature = "isahc")]
mod exchange;
mod runtime;
#[cfg(feature = "isahc")]
mod transport;
#[cfg(feature = "isahc")]
mod whole_head;

pub use runtime::SmolRuntime;
#[cfg(feature = "isahc")]
pub use transport::IsahcTransport;
