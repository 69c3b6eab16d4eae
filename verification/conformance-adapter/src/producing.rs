//! The commands of the exactly-once producer.

use crate::answer::Failure;
use crate::command::Idempotent;
use crate::fields::{Fields, fields};
use crate::producers::{Builder, Producer, key};
use crate::session::Session;
use crate::stack::Stack;
use serde_json::json;

impl<S: Stack> Session<S> {
    fn builder(&self, command: &Idempotent) -> Result<Builder<S>, Failure> {
        let stream = self.stream(&command.path, &command.headers)?;
        Ok(stream.producer(&command.producer_id).epoch(command.epoch).auto_claim(command.auto_claim))
    }

    fn producer(&mut self, command: &Idempotent) -> Result<Producer<S>, Failure> {
        if let Some(producer) = self.producers.0.get(&key(command)) {
            return Ok(producer.clone());
        }
        let producer = self.builder(command)?.build();
        self.producers.0.insert(key(command), producer.clone());
        Ok(producer)
    }

    pub(crate) async fn idempotent_append(&mut self, command: Idempotent) -> Result<Fields, Failure> {
        let producer = self.producer(&command)?;
        let delivery = producer.append(command.data.clone().unwrap_or_default())?;
        let flushed = producer.flush().await;
        let outcome = match flushed {
            Ok(()) => delivery.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(ack) => {
                let offset = ack.offset.map(|offset| offset.to_string());
                Ok(fields(json!({ "status": 200, "offset": offset, "duplicate": ack.duplicate })))
            }
            Err(error) => {
                // A halted producer stays halted: the next command gets a new one.
                self.producers.0.remove(&key(&command));
                Err(error.into())
            }
        }
    }

    pub(crate) async fn idempotent_append_batch(&mut self, command: Idempotent) -> Result<Fields, Failure> {
        // A case repeats an id and epoch on purpose, from a fresh producer.
        let mut builder = self.builder(&command)?.accept_duplicates(!command.auto_claim);
        if let Some(in_flight) = command.max_in_flight {
            builder = builder.max_in_flight(in_flight);
            if in_flight > 1 {
                builder = builder.max_batch_items(1);
            }
        }
        let producer = builder.build();
        for item in command.items {
            producer.append(item)?;
        }
        producer.flush().await?;
        producer.close().await?;
        Ok(fields(json!({ "status": 200 })))
    }

    pub(crate) async fn idempotent_close(&mut self, command: Idempotent) -> Result<Fields, Failure> {
        let producer = self.producer(&command)?;
        let closed = match &command.data {
            Some(data) => producer.close_stream_with(data.clone()).await?,
            None => producer.close_stream().await?,
        };
        let offset = closed.offset.map(|offset| offset.to_string());
        Ok(fields(json!({ "status": 200, "finalOffset": offset })))
    }

    pub(crate) async fn idempotent_detach(&mut self, command: Idempotent) -> Result<Fields, Failure> {
        if let Some(producer) = self.producers.0.remove(&key(&command)) {
            producer.detach();
        }
        Ok(fields(json!({ "status": 200 })))
    }
}
