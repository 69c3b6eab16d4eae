//! [async-std](https://docs.rs/async-std) and [surf](https://docs.rs/surf) for the Durable Streams client.
//!
//! [`SurfTransport`] sends the requests, [`AsyncStdRuntime`] spawns and sleeps.
//!
//! Both crates are no longer maintained: async-std since 2025 (RUSTSEC-2025-0052), surf and what is below it
//! (RUSTSEC-2025-0036, RUSTSEC-2026-0169, RUSTSEC-2026-0174). This stack is for programs that are on async-std already.
//!
//! # How surf is used
//!
//! surf passes a request to a backend through its trait `HttpClient`. Here the backend is hyper, by the crate
//! `durable-streams-hyper`: connections, HTTP/1.1, HTTP/2, TLS and proxies are those of
//! `HyperTransport`. surf's own backend, async-h1, is not used: it hands connections with
//! unread bytes to the next request and misreads much of what servers and proxies send.
//!
//! # Features
//!
//! - `surf`: [`SurfTransport`]. Without it the crate is [`AsyncStdRuntime`] alone.
//! - `rustls`: TLS. Without it, an `https` URL is an
//!   [`Unsupported`](durable_streams_contract::TransportErrorKind::Unsupported) error.
//! - `http2`: HTTP/2 where a TLS server offers it.

#[cfg(feature = "surf")]
mod backend;
mod runtime;
#[cfg(feature = "surf")]
mod transport;

pub use runtime::AsyncStdRuntime;
#[cfg(feature = "surf")]
pub use transport::SurfTransport;
