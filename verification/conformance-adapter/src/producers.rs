//! The producers that live on between commands.

use crate::command::Idempotent;
use crate::stack::Stack;
use durable_streams::{IdempotentProducer, ProducerBuilder};
use std::collections::HashMap;

pub(crate) type Producer<S> = IdempotentProducer<<S as Stack>::Transport, <S as Stack>::Runtime>;
pub(crate) type Builder<S> = ProducerBuilder<<S as Stack>::Transport, <S as Stack>::Runtime>;

/// The producers that live on between commands, by path, id and epoch.
pub(crate) struct Producers<S: Stack>(pub(crate) HashMap<(String, String, u64), Producer<S>>);

impl<S: Stack> Default for Producers<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

pub(crate) fn key(command: &Idempotent) -> (String, String, u64) {
    (command.path.clone(), command.producer_id.clone(), command.epoch)
}
