//! Where chunks come from: the driver itself, or a task that reads ahead.

use super::driver::Driver;
use super::machine::Machine;
use super::output::{Chunk, Status};
use super::prefetch::Ahead;
use super::store::CheckpointStore;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type Saving = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A started reader, below any view of its content.
pub(super) struct Source<T, R> {
    pub(super) feed: Feed<T, R>,
    store: Option<Arc<dyn CheckpointStore>>,
    /// The stream's, for errors.
    pub(super) url: String,
    /// The largest JSON message.
    pub(super) max_message_bytes: usize,
}

pub(super) enum Feed<T, R> {
    Direct(Box<Driver<T, R>>),
    Ahead(Box<Ahead>),
}

impl<T, R> Source<T, R> {
    pub(super) fn new(
        feed: Feed<T, R>,
        store: Option<Arc<dyn CheckpointStore>>,
        url: String,
        max_message_bytes: usize,
    ) -> Self {
        Self { feed, store, url, max_message_bytes }
    }

    pub(super) fn status(&self) -> Status<'_> {
        match &self.feed {
            Feed::Direct(driver) => driver.machine.status(),
            Feed::Ahead(ahead) => ahead.status(),
        }
    }

    /// Saves `checkpoint`. The future borrows nothing: a reader need not be shared between threads for it.
    pub(super) fn save(&self, checkpoint: Checkpoint) -> Saving {
        let (store, url) = (self.store.clone(), self.url.clone());
        Box::pin(async move {
            let Some(store) = store else {
                let reason = "the reader has none: give it one by ReaderBuilder::checkpoint_store";
                return Err(StreamError::config("checkpoint_store", "none", reason).into());
            };
            store.save(&checkpoint).await.map_err(|error| {
                Error::from(StreamError::store(error))
                    .with_request("acknowledge", &url)
                    .edit(|context| context.offset = Some(checkpoint.offset().clone()))
            })
        })
    }
}

impl<T: HttpTransport + Clone, R: Runtime + Clone> Source<T, R> {
    pub(super) fn into_any(self) -> Source<AnyTransport, AnyRuntime> {
        Source {
            feed: match self.feed {
                Feed::Direct(driver) => Feed::Direct(Box::new(driver.into_any())),
                Feed::Ahead(ahead) => Feed::Ahead(ahead),
            },
            store: self.store,
            url: self.url,
            max_message_bytes: self.max_message_bytes,
        }
    }
}

impl<T: HttpTransport, R: Runtime> Source<T, R> {
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        match &mut self.feed {
            Feed::Direct(driver) => driver.poll(cx, Machine::take_chunk),
            Feed::Ahead(ahead) => ahead.poll(cx),
        }
    }
}
