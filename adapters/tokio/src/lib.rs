//! [tokio](https://docs.rs/tokio) and [reqwest](https://docs.rs/reqwest) for the Durable Streams client.
//!
//! [`ReqwestTransport`] sends the requests, [`TokioRuntime`] spawns and sleeps. Both hold a tokio
//! [`Handle`](tokio::runtime::Handle), so they work wherever they are polled: in that runtime, in
//! another one, or in none at all. The runtime has to be built with its I/O and time drivers
//! (`enable_all`, as `#[tokio::main]` does). A current-thread runtime makes progress only while
//! a thread is in its `block_on`.
//!
//! # Features
//!
//! - `reqwest` (default): [`ReqwestTransport`]. Without it the crate is [`TokioRuntime`] alone.
//! - `rustls` (default) and `native-tls`: TLS. With neither, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//! - `compression`: asks for gzip and brotli, and decodes them.
//! - `http2`: HTTP/2 where a TLS server offers it.
//!
//! # Limits
//!
//! - reqwest sends `accept: */*` with a request that has no `accept` of its own.
//! - A response of more than 100 header fields is refused, as
//!   [`Malformed`](durable_streams_contract::TransportErrorKind::Malformed).
//! - A name's second address is tried 300 ms after the first if one is IPv6 and the other IPv4, or if both are IPv4. Any further one, and the
//!   second of IPv6 addresses alone, waits until those before it have failed; each has an equal part of the connect timeout. After a failure,
//!   a request for a fresh connection resolves the name again and begins with the next address. A client of your own has the resolver
//!   that you gave it.
//! - A transport made from a client of your own cannot discard idle connections, see `ReqwestTransport::from_client`; one made by
//!   `ReqwestTransport::from_builder` can.
//! - Where a server answers before it has read a body, and resets the connection, hyper may see only that: the answer (a
//!   413 for instance) is then lost, and it is not known whether the request was sent. One that closes in good order
//!   is heard.

#[cfg(feature = "reqwest")]
mod classify;
#[cfg(feature = "reqwest")]
mod clients;
mod context;
#[cfg(feature = "reqwest")]
mod inside;
#[cfg(feature = "reqwest")]
mod resolve;
mod runtime;
mod sync;
#[cfg(feature = "reqwest")]
mod transport;

pub use runtime::TokioRuntime;
#[cfg(feature = "reqwest")]
pub use transport::ReqwestTransport;
