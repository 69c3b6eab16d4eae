//! A started reader, below any view of its content.

use super::driver::Driver;
use super::machine::Machine;
use super::output::{Chunk, Status};
use super::prefetch::Prefetched;
use super::store::CheckpointStore;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A save in progress. It borrows nothing, so that the reader need not be shared between threads for it.
type Save = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A started reader: where its chunks come from, and where its checkpoint goes.
pub(super) struct StartedReader<T, R> {
    pub(super) chunks: ChunkSource<T, R>,
    store: Option<Arc<dyn CheckpointStore>>,
    /// The stream's URL, for errors.
    pub(super) url: String,
    /// The largest JSON message.
    pub(super) max_message_bytes: usize,
}

pub(super) enum ChunkSource<T, R> {
    /// The consumer's own polls drive the reader.
    Direct(Box<Driver<T, R>>),
    /// A task drives the reader, some chunks prefetched.
    Prefetched(Box<Prefetched>),
}

impl<T, R> StartedReader<T, R> {
    pub(super) fn new(
        chunks: ChunkSource<T, R>,
        store: Option<Arc<dyn CheckpointStore>>,
        url: String,
        max_message_bytes: usize,
    ) -> Self {
        Self { chunks, store, url, max_message_bytes }
    }

    pub(super) fn status(&self) -> Status<'_> {
        match &self.chunks {
            ChunkSource::Direct(driver) => driver.machine.status(),
            ChunkSource::Prefetched(prefetched) => prefetched.status(),
        }
    }

    /// Saves `checkpoint` in the reader's store.
    pub(super) fn save(&self, checkpoint: Checkpoint) -> Save {
        let (store, url) = (self.store.clone(), self.url.clone());
        Box::pin(async move {
            let Some(store) = store else {
                let reason = "the reader has no store; set one with ReaderBuilder::checkpoint_store";
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

impl<T: HttpTransport + Clone, R: Runtime + Clone> StartedReader<T, R> {
    pub(super) fn into_any(self) -> StartedReader<AnyTransport, AnyRuntime> {
        StartedReader {
            chunks: match self.chunks {
                ChunkSource::Direct(driver) => ChunkSource::Direct(Box::new(driver.into_any())),
                ChunkSource::Prefetched(prefetched) => ChunkSource::Prefetched(prefetched),
            },
            store: self.store,
            url: self.url,
            max_message_bytes: self.max_message_bytes,
        }
    }
}

impl<T: HttpTransport, R: Runtime> StartedReader<T, R> {
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        match &mut self.chunks {
            ChunkSource::Direct(driver) => driver.poll(cx, Machine::take_chunk),
            ChunkSource::Prefetched(prefetched) => prefetched.poll(cx),
        }
    }
}
