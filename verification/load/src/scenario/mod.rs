//! What is measured, one file each: through the client, and through the HTTP library alone.

mod append;
mod backlog;
mod catch_up;
mod idle;
mod produce;
mod tail;

use crate::Result;
use crate::args::{Args, Scenario};
use crate::meter::{Meter, peak_memory};
use crate::report::Measured;
use crate::server::Server;
use crate::stack::Stack;
use durable_streams::Client;

type ClientOn<S> = Client<<S as Stack>::Transport, <S as Stack>::Runtime>;

pub(crate) async fn run<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    match args.scenario {
        Scenario::Produce => produce::bytes::<S>(args, server).await,
        Scenario::ProduceJson => produce::json::<S>(args, server).await,
        Scenario::CatchUp => catch_up::bytes::<S>(args, server).await,
        Scenario::CatchUpJson => catch_up::json::<S>(args, server).await,
        Scenario::SseBacklogJson => backlog::json::<S>(args, server).await,
        Scenario::Append => append::run::<S>(args, server).await,
        Scenario::Tail => tail::run::<S>(args, server).await,
        Scenario::IdleReaders => idle::run::<S>(args, server).await,
    }
}

/// A client as an application would build it.
fn client<S: Stack>() -> Result<ClientOn<S>> {
    Ok(ClientOn::<S>::builder().build()?)
}

/// All records were moved: what that cost so far.
fn after_the_clock(args: &Args, meter: &Meter) -> Measured {
    Measured {
        cost: meter.stop(),
        count: args.count,
        bytes: args.count * args.size as u64,
        latencies: None,
        peak: peak_memory(),
        idle: None,
        road: None,
    }
}
