//! The scenario that the arguments name.

use super::{append, backlog, catch_up, idle, produce, tail};
use crate::Result;
use crate::args::{Args, Scenario};
use crate::report::Measured;
use crate::server::Server;
use crate::stack::Stack;

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
