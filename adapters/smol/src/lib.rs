//! [smol](https://docs.rs/smol) and [isahc](https://docs.rs/isahc) for the Durable Streams client.
//!
//! [`IsahcTransport`] sends the requests, [`SmolRuntime`] spawns and sleeps. isahc drives libcurl on threads of its
//! own, so the transport works under any executor.
//!
//! # Features
//!
//! - `rustls`: TLS, off by default, because libcurl is built with it from source. Without it, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//!
//! # Limits
//!
//! - libcurl returns a response's head together with the first byte of its body. A server-sent event
//!   stream that is silent from the start has no head until something comes.
//! - libcurl notices only at the next byte that a response was dropped. Live reads therefore have a client and a
//!   thread of their own, which dropping ends; see [`IsahcTransport`]. Another exchange that is dropped continues
//!   in the background until its server sends, or until
//!   [`with_backstop`](durable_streams_contract::SendOptions::with_backstop).
//! - More than 1024 open file descriptors need a libcurl that is built for it; see [`IsahcTransport`].
//! - A response that is truncated within its head is returned as if it were complete, with an empty body.
//! - libcurl looks whether an idle connection is still open once a second. A write on one that its server closed
//!   since then is an error of which it is not known whether it was sent, though it was not.
//! - Request headers have to be ASCII; others are an
//!   [`InvalidRequest`](durable_streams_contract::TransportErrorKind::InvalidRequest) error.
//! - libcurl sends `accept: */*`, `user-agent`, and a `content-type` for a body, where the request has none.

mod body;
mod classify;
mod clients;
mod runtime;
mod transport;

pub use runtime::SmolRuntime;
pub use transport::IsahcTransport;
