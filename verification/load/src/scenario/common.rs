//! What the scenarios share.

use crate::Result;
use crate::args::Args;
use crate::meter::{Meter, peak_memory};
use crate::report::Measured;
use crate::stack::Stack;
use durable_streams::Client;

pub(super) type ClientOn<S> = Client<<S as Stack>::Transport, <S as Stack>::Runtime>;

/// A client as an application would build it.
pub(super) fn client<S: Stack>() -> Result<ClientOn<S>> {
    Ok(ClientOn::<S>::builder().build()?)
}

/// The cost so far, after all records were moved.
pub(super) fn measured(args: &Args, meter: &Meter) -> Measured {
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
