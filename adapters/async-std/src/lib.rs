//! [async-std](https://docs.rs/async-std) and [surf](https://docs.rs/surf) for the Durable Streams client.
//!
//! [`SurfTransport`] sends the requests, [`AsyncStdRuntime`] spawns and sleeps.
//!
//! Both crates are no longer maintained: async-std since 2025 (RUSTSEC-2025-0052), surf and what is below it
//! (RUSTSEC-2025-0036, RUSTSEC-2026-0169, RUSTSEC-2026-0174). This stack is for programs that are on async-std already.
//!
//! # How surf is used
//!
//! surf's own client hands connections with unread bytes to the next request and has no connect timeout, and its
//! decoder, async-h1, refuses or misreads much of what servers and proxies send. Here surf runs over a backend of this
//! crate, which keeps the connections, reads the responses' heads and takes the framing off their bodies; surf and
//! async-h1 are left with writing the requests and handing on the bytes. So dropping a response closes its connection,
//! and any status, any header, early responses, and every way to end a body come out right.
//!
//! # Features
//!
//! - `native-tls`: TLS. Without it, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//!
//! # Limits
//!
//! - Request headers have to be ASCII; others are an
//!   [`InvalidRequest`](durable_streams_contract::TransportErrorKind::InvalidRequest) error.
//! - HTTP/1.1 only, and no proxy: `environment_proxy` has no effect.

mod chunked;
mod connect;
mod connections;
mod head;
mod runtime;
mod transport;
mod wire;

pub use runtime::AsyncStdRuntime;
pub use transport::SurfTransport;
