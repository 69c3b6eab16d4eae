//! [hyper](https://docs.rs/hyper) for the Durable Streams client, on any runtime.
//!
//! [`HyperTransport`] sends the requests. It is generic over what opens its connections and over the runtime, so one engine
//! serves tokio, smol, async-std and every executor of your own: HTTP/2 needs an [`Executor`](durable_streams_contract::Executor),
//! and the connect timeout a [`Timer`](durable_streams_contract::Timer).
//!
//! # Features
//!
//! - `async-io`: [`AsyncIoConnect`], for smol, async-std and every other executor.
//! - `tokio`: [`TokioConnect`]. Without this feature no reactor of tokio is pulled in.
//! - `rustls`: TLS, with aws-lc-rs as its cryptography, passed explicitly. Without it, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//! - `http2`: HTTP/2 where a TLS server offers it, or by prior knowledge.
//!
//! # Addresses
//!
//! A name is resolved again for each new connection. The addresses are tried as RFC 8305 says: the families in turn, the next
//! attempt 250 ms after the last or as soon as it fails, and the first connection wins.
//!
//! # Proxies
//!
//! With `environment_proxy`, the variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read once, when the
//! transport is built. Proxies are HTTP or HTTPS, with basic authentication from their URL; `https` origins are reached by
//! `CONNECT`. A SOCKS proxy is an [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//!
//! # Limits
//!
//! - A response has at most 256 header fields, and a head of about 400 KB; more is
//!   [`Malformed`](durable_streams_contract::TransportErrorKind::Malformed).
//! - A connection that its server closed while it was idle keeps its descriptor, in the state `CLOSE_WAIT`, until the next
//!   request to its origin, or until another connection comes back after its [`idle_time`](PoolLimits::idle_time): there is no
//!   task that looks after idle connections.

mod byte_stream;
mod classify;
mod connect;
#[cfg(any(feature = "async-io", feature = "tokio"))]
mod default;
mod dial;
mod exchange;
mod http1;
mod http1_body;
#[cfg(feature = "http2")]
mod http2;
mod origin;
mod pool;
mod proxy;
mod race;
mod request;
mod sync;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod upload;
mod wire;

pub use byte_stream::ByteStream;
#[cfg(feature = "async-io")]
pub use connect::AsyncIoConnect;
pub use connect::Connect;
#[cfg(feature = "tokio")]
pub use connect::TokioConnect;
pub use pool::PoolLimits;
#[cfg(feature = "rustls")]
pub use tls::TlsOptions;
pub use transport::{HyperTransport, HyperTransportBuilder};
