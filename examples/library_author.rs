//! A library on top of this one that leaves the choice of runtime and HTTP library to its users.
//!
//! Run it with `cargo run --example library_author`.
//!
//! Such a library depends on `durable-streams-client` with `default-features = false`, so it pulls in neither a
//! runtime nor an HTTP library. Its types can be generic over the stack (`AuditTrail`) or hold a type-erased handle
//! (`Auditor`).

use durable_streams::contract::{HttpTransport, Runtime};
use durable_streams::{CreateOptions, DurableStream, Error};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    who: String,
    what: String,
}

/// Generic over the stack: without dynamic dispatch, but each type that holds it has the two parameters as well.
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

/// Type-erased: a plain type that any struct can hold. `DurableStream` without parameters is the erased form;
/// `erase()` makes one from the handle of any stack.
struct Auditor {
    stream: DurableStream,
}

impl Auditor {
    async fn entries(&self) -> Result<Vec<Entry>, Error> {
        self.stream.reader().read_json().await
    }
}

/// The application, which chooses the stack: here tokio.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = test_servers::RustServer::start()?;
    let client = durable_streams::tokio::Client::builder().base_url(server.url()).build()?;
    let stream = client.stream("audit");

    let trail = AuditTrail::open(stream.clone()).await?;
    trail.record("ada", "opened the ledger").await?;
    trail.record("grace", "corrected entry 7").await?;

    let auditor = Auditor { stream: stream.to_any() };
    for Entry { who, what } in auditor.entries().await? {
        println!("{who} {what}");
    }
    Ok(())
}
