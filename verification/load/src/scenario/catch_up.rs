//! A stream from its start to its tail.

use super::common::{client, measured};
use crate::Result;
use crate::args::Args;
use crate::content::{Checker, JsonChecker, Record};
use crate::meter::{Meter, reset_peak};
use crate::raw::{Raw, RawBody};
use crate::report::Measured;
use crate::server::Server;
use crate::stack::Stack;

/// Bytes are compared as they come.
pub(super) async fn bytes<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.filled(args.count, args.size)?;
    let mut checker = Checker::default();
    // Made on first use, which is not to be measured.
    checker.check(crate::content::bytes_at(0, 0))?;
    reset_peak();
    let meter;
    if args.raw {
        let http = S::Raw::new()?;
        meter = Meter::start();
        let (mut body, _) = http.get(&format!("{}?offset=-1", stream.url())).await?;
        while body.advance().await? {
            checker.check(body.piece())?;
        }
    } else {
        let handle = client::<S>()?.stream(stream.url());
        meter = Meter::start();
        let mut reader = handle.reader().chunks().await?;
        while let Some(chunk) = reader.next().await {
            checker.check(&chunk?.data)?;
        }
    }
    let measured = measured(args, &meter);
    checker.finish(measured.bytes)?;
    Ok(measured)
}

/// Records are compared as they come; without the client, when all are there: in one buffer and one vector.
pub(super) async fn json<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.filled_json(args.count, args.size)?;
    let mut checker = JsonChecker::new(args.size);
    reset_peak();
    let meter;
    if args.raw {
        let http = S::Raw::new()?;
        meter = Meter::start();
        let (body, _) = http.get(&format!("{}?offset=-1", stream.url())).await?;
        let records: Vec<Record<String>> = serde_json::from_slice(&body.whole().await?)?;
        for record in &records {
            checker.check(record)?;
        }
    } else {
        let handle = client::<S>()?.stream(stream.url());
        meter = Meter::start();
        let mut records = handle.reader().json::<Record<String>>().await?;
        while let Some(record) = records.next().await {
            checker.check(&record?)?;
        }
    }
    let measured = measured(args, &meter);
    checker.finish(args.count)?;
    Ok(measured)
}
