//! A stream from its start to its tail.

use super::{after_the_clock, client};
use crate::Result;
use crate::args::Args;
use crate::content::Checker;
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
    let measured = after_the_clock(args, &meter);
    checker.finish(measured.bytes)?;
    Ok(measured)
}
