//! A simulated world for the Durable Streams client.
//!
//! A client that is given a [`World`]'s transport and runtime runs in virtual time, on one thread, against a
//! server in memory. Everything that is not determined by the code, the order of tasks, the length of a
//! retry's wait, the faults of the network, is chosen by one seed: the same seed gives the same
//! run. An hour of outages takes a millisecond, so an application can run thousands of fault scenarios in its
//! ordinary tests.
//!
//! ```
//! use durable_streams_contract::{HttpTransport, SendOptions};
//! use durable_streams_sim::{Fault, Schedule, World};
//!
//! // The first request is applied, but its response is lost.
//! let mut world = World::builder(7).schedule(Schedule::new().request(0, Fault::LoseResponse)).build();
//! let transport = world.transport();
//! let put = || http::Request::put("http://sim/orders").body(bytes::Bytes::new()).unwrap();
//! world.run(async {
//!     assert!(transport.send(put(), SendOptions::new()).await.is_err());
//!     let again = transport.send(put(), SendOptions::new()).await.unwrap();
//!     assert_eq!(again.status(), 200, "the first request created it");
//! });
//! assert!(world.server().stream("/orders").is_some());
//! ```
//!
//! # Testing an application
//!
//! An application that takes its client as a parameter (`durable_streams::Client`, independent of the stack) can take this
//! one:
//!
//! ```ignore
//! let app = world.process("app");
//! let client = ClientBuilder::new(world.transport(), app.runtime()).base_url("http://server").build()?.to_any();
//! let work = app.spawn(my_application(client));
//! ```
//!
//! Its own waits have to go through `client.runtime()`, or they would wait in real time. `examples/test_your_app.rs` of
//! `durable-streams-client` is a whole test: an application with a loop of its own around reconnecting, killed at any
//! point and restarted, under hundreds of random schedules; then an application with a bug, the schedule that shows it, the
//! faults of it that are needed, and the trace. Run it with `cargo run --example test_your_app`.
//!
//! # What there is
//!
//! - [`World`] runs a future with everything that it spawns, and reports a run that does not end.
//! - [`SimRuntime`] and [`SimTransport`] are the stack to give to a client:
//!   `ClientBuilder::new(world.transport(), world.runtime())`.
//! - [`Process`] is an application that can be killed at any step, or whose computer sleeps.
//! - [`Gateway`] is what may stand between: a captive portal, a proxy with a limit, a cache that is wrong.
//! - [`Schedule`] is the faults, as data: written by hand, or generated from a seed with [`Schedule::generate`]. It can
//!   be printed, and a failing one can be [shrunk](Schedule::shrink).
//! - [`SimServer`] shows what the server has stored. Behind it is a [`Model`](model::Model), which can also
//!   be used by itself.
//!
//! # How close it is
//!
//! The server is compared with the two public ones by running the same random operations on each and on the
//! model. They do not page, and only one limits its bodies, at 1 GiB: pages are checked to join to what a real server
//! sends at once, and refusals to be alike. Faults are compared with those that one of the servers can inject.
//! Behaviour that no public server shows (lost producer state, a last page without `Stream-Up-To-Date`) follows the
//! protocol's text.
//!
//! The transport keeps the contract of `HttpTransport`. It does not show the faults of a particular HTTP library.

mod carrier;
mod core;
mod exchange;
mod fault;
mod gateway;
pub mod model;
mod net;
mod pool;
mod rng;
mod runtime;
mod schedule;
mod server;
mod sync;
mod tasks;
mod transport;
mod world;

pub use fault::{Event, Fault, Gateway, Incident, Memory, RetryAfter};
pub use gateway::PORTAL;
pub use net::{NetworkOptions, RequestRecord};
pub use rng::Rng;
pub use runtime::{Killed, Process, SimRuntime, Spawned};
pub use schedule::{FaultPlan, REFUSALS, Schedule, shrink};
pub use server::SimServer;
pub use transport::SimTransport;
pub use world::{Spawner, Stalled, World, WorldBuilder};
