//! A library that stores an audit trail, and leaves its users the choice of runtime and HTTP library.
//!
//! `cargo run --example library_author`
//!
//! Such a library depends on `durable-streams-client` with `default-features = false`: its tree has no
//! runtime and no HTTP library. It can be written in two ways, and this example has both.

use durable_streams::contract::{HttpTransport, Runtime};
use durable_streams::{CreateOptions, DurableStream, Error};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    who: String,
    what: String,
}

/// Generic over the stack: nothing is boxed that need not be, and the type says what it runs on.
struct AuditTrail<T, R> {
    stream: DurableStream<T, R>,
}

impl<T: HttpTransport, R: Runtime> AuditTrail<T, R> {
    async fn open(stream: DurableStream<T, R>) -> Result<Self, Error> {
        stream.create(CreateOptions::new().content_type("application/json")).await?;
        Ok(Self { stream })
    }

    async fn record(&self, who: &str, what: &str) -> Result<(), Error> {
        self.stream.append_json(&Entry { who: who.into(), what: what.into() }).await?;
        Ok(())
    }
}

/// Erased: one plain type, for the field of a struct, for a plugin, for quick builds. `DurableStream` without
/// parameters is the erased form; the application makes one from any stack's with `to_any()`.
struct Auditor {
    stream: DurableStream,
}

impl Auditor {
    async fn entries(&self) -> Result<Vec<Entry>, Error> {
        self.stream.reader().read_json().await
    }
}

/// The application, which chooses.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = test_servers::RustServer::start()?;
    let client = durable_streams::tokio::Client::builder().base_url(server.url()).build()?;
    let stream = client.stream("audit");

    let trail = AuditTrail::open(stream.clone()).await?;
    trail.record("ada", "opened the ledger").await?;
    trail.record("grace", "found the moth").await?;

    let auditor = Auditor { stream: stream.to_any() };
    for Entry { who, what } in auditor.entries().await? {
        println!("{who} {what}");
    }
    Ok(())
}
