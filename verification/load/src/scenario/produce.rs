//! Records as fast as the application can make them.

use super::common::{client, measured};
use crate::Result;
use crate::args::Args;
use crate::content::{Checker, JsonChecker, MAX_SIZE, Record, bytes_at};
use crate::meter::{Meter, reset_peak};
use crate::raw::Raw;
use crate::report::Measured;
use crate::server::{BINARY, JSON, Server};
use crate::stack::Stack;
use bytes::Bytes;

pub(super) async fn bytes<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.create(BINARY)?;
    let total = args.count * args.size as u64;
    // Made on first use, which is not to be measured.
    bytes_at(0, 0);
    reset_peak();
    let meter;
    if args.raw {
        let http = S::Raw::new()?;
        meter = Meter::start();
        let mut position = 0;
        while position < total {
            let length = (MAX_SIZE as u64).min(total - position) as usize;
            http.post(stream.url(), BINARY, Bytes::from_static(bytes_at(position, length))).await?;
            position += length as u64;
        }
    } else {
        let handle = client::<S>()?.stream(stream.url());
        meter = Meter::start();
        let producer = handle.producer("load").try_build()?;
        for index in 0..args.count {
            let record = bytes_at(index * args.size as u64, args.size);
            producer.append_wait(record).await?;
        }
        producer.flush().await?;
    }
    let measured = measured(args, &meter);
    let mut checker = Checker::default();
    checker.check(&stream.read()?)?;
    checker.finish(total)?;
    Ok(measured)
}

pub(super) async fn json<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.create(JSON)?;
    Record::at(0, args.size);
    reset_peak();
    let meter;
    if args.raw {
        let http = S::Raw::new()?;
        meter = Meter::start();
        let mut index = 0;
        while index < args.count {
            let mut body = Vec::with_capacity(MAX_SIZE);
            while index < args.count && body.len() + args.size + 2 <= MAX_SIZE {
                body.push(if body.is_empty() { b'[' } else { b',' });
                body.extend_from_slice(&serde_json::to_vec(&Record::at(index, args.size))?);
                index += 1;
            }
            body.push(b']');
            http.post(stream.url(), JSON, body.into()).await?;
        }
    } else {
        let handle = client::<S>()?.stream(stream.url());
        meter = Meter::start();
        let producer = handle.producer("load").try_build()?;
        for index in 0..args.count {
            producer.append_json_wait(&Record::at(index, args.size)).await?;
        }
        producer.flush().await?;
    }
    let measured = measured(args, &meter);
    let mut checker = JsonChecker::new(args.size);
    checker.check_array(&stream.read()?)?;
    checker.finish(args.count)?;
    Ok(measured)
}
