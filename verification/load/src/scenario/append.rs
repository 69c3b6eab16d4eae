//! One append after the other, each waited for.

use super::common::{client, measured};
use crate::Result;
use crate::args::Args;
use crate::content::{Checker, bytes_at};
use crate::meter::{Latencies, Meter, reset_peak};
use crate::raw::Raw;
use crate::report::Measured;
use crate::server::{BINARY, Server};
use crate::stack::Stack;
use bytes::Bytes;
use std::time::Instant;

/// Appends before the clock starts: a connection is made, caches are warm.
const WARM_UP: u64 = 200;

pub(super) async fn run<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.create(BINARY)?;
    let total = args.count + WARM_UP;
    let mut latencies = Latencies::with_capacity(total);
    reset_peak();
    let record = |index: u64| Bytes::from_static(bytes_at(index * args.size as u64, args.size));
    let mut meter = Meter::start();
    if args.raw {
        let http = S::Raw::new()?;
        for index in 0..total {
            if index == WARM_UP {
                meter = Meter::start();
            }
            let start = Instant::now();
            http.post(stream.url(), BINARY, record(index)).await?;
            latencies.push(start.elapsed());
        }
    } else {
        let handle = client::<S>()?.stream(stream.url()).with_content_type(BINARY);
        for index in 0..total {
            if index == WARM_UP {
                meter = Meter::start();
            }
            let start = Instant::now();
            handle.append(record(index)).await?;
            latencies.push(start.elapsed());
        }
    }
    let measured = measured(args, &meter);
    latencies.forget_first(WARM_UP);
    let mut checker = Checker::default();
    checker.check(&stream.read()?)?;
    checker.finish(total * args.size as u64)?;
    Ok(Measured { latencies: Some(latencies), ..measured })
}
