//! Prefetching: a task reads chunks before the consumer asks for them.

use super::driver::Driver;
use super::machine::Machine;
use super::output::{Chunk, Status};
use super::position::Unit;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::offset::Offset;
use crate::sync::lock;
use durable_streams_contract::{HttpTransport, Runtime, Task, TransportError, TransportErrorKind};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::panicking;

/// The consumer's side. Its status is that of the chunks that were taken, not of those that were prefetched.
pub(super) struct Prefetched {
    queue: Arc<Mutex<Queue>>,
    checkpoint: Checkpoint,
    offset: Offset,
    cursor: Option<String>,
    up_to_date: bool,
    closed: bool,
    content_type: String,
    etag: Option<String>,
    unit: Unit,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Result<Chunk, Error>>,
    /// The content type, if it became known after the start and the consumer has not taken it.
    content_type: Option<String>,
    /// The task will add nothing more.
    ended: bool,
    /// The consumer is gone and will take nothing more.
    abandoned: bool,
    /// Wakes the consumer, which waits for a chunk.
    consumer: Option<Waker>,
    /// Wakes the task, which waits for room or for its response.
    task: Option<Waker>,
}

impl Prefetched {
    /// Spawns a task on the client's runtime that runs `driver`, up to `capacity` chunks ahead.
    pub(super) fn start<T: HttpTransport, R: Runtime>(
        mut driver: Box<Driver<T, R>>,
        capacity: usize,
    ) -> Self {
        let status = driver.machine.status();
        let prefetched = Self {
            queue: Arc::default(),
            checkpoint: status.checkpoint,
            offset: status.offset.clone(),
            cursor: status.cursor.map(str::to_owned),
            up_to_date: status.up_to_date,
            closed: status.closed,
            content_type: status.content_type.to_owned(),
            etag: status.etag.map(str::to_owned),
            unit: status.unit,
        };
        let client = driver.stream.client().clone();
        let task = PrefetchTask(prefetched.queue.clone());
        let mut is_type_known = driver.machine.content_type().is_some();
        client.runtime().spawn(Task::new(async move {
            std::future::poll_fn(|cx| task.fill(&mut driver, capacity, &mut is_type_known, cx)).await;
        }));
        prefetched
    }

    pub(super) fn status(&self) -> Status<'_> {
        Status {
            checkpoint: self.checkpoint.clone(),
            offset: &self.offset,
            cursor: self.cursor.as_deref(),
            up_to_date: self.up_to_date,
            closed: self.closed,
            content_type: &self.content_type,
            etag: self.etag.as_deref(),
            unit: self.unit,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        let (item, content_type, task) = {
            let mut queue = lock(&self.queue);
            let Some(item) = queue.chunks.pop_front() else {
                if queue.ended {
                    return Poll::Ready(None);
                }
                queue.consumer = Some(cx.waker().clone());
                return Poll::Pending;
            };
            (item, queue.content_type.take(), queue.task.take())
        };
        if let Some(content_type) = content_type {
            self.content_type = content_type;
        }
        // Wakers run outside of the lock: an executor may poll the other side at once.
        if let Some(task) = task {
            task.wake();
        }
        if let Ok(chunk) = &item {
            self.checkpoint = chunk.checkpoint.clone();
            self.offset = chunk.next_offset.clone();
            self.cursor.clone_from(&chunk.cursor);
            (self.up_to_date, self.closed) = (chunk.up_to_date, chunk.closed);
            self.unit = chunk.unit;
        }
        Poll::Ready(Some(item))
    }
}

impl Drop for Prefetched {
    fn drop(&mut self) {
        let task = {
            let mut queue = lock(&self.queue);
            queue.abandoned = true;
            queue.chunks.clear();
            queue.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// The task's side.
struct PrefetchTask(Arc<Mutex<Queue>>);

impl PrefetchTask {
    fn fill<T: HttpTransport, R: Runtime>(
        &self,
        driver: &mut Driver<T, R>,
        capacity: usize,
        is_type_known: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            {
                let mut queue = lock(&self.0);
                if queue.abandoned {
                    return Poll::Ready(());
                }
                // Set before the check for room: a chunk taken between the check and the wait must wake the task.
                queue.task = Some(cx.waker().clone());
                if queue.chunks.len() >= capacity {
                    return Poll::Pending;
                }
            }
            let Poll::Ready(item) = driver.poll(cx, Machine::take_chunk) else { return Poll::Pending };
            if !*is_type_known && let Some(content_type) = driver.machine.content_type() {
                *is_type_known = true;
                lock(&self.0).content_type = Some(content_type.to_owned());
                driver.share_content_type();
            }
            let is_last = !matches!(item, Some(Ok(_)));
            self.add(item, is_last);
            if is_last {
                return Poll::Ready(());
            }
        }
    }

    fn add(&self, item: Option<Result<Chunk, Error>>, is_last: bool) {
        let consumer = {
            let mut queue = lock(&self.0);
            queue.chunks.extend(item);
            queue.ended = is_last;
            queue.consumer.take()
        };
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }
}

impl Drop for PrefetchTask {
    fn drop(&mut self) {
        if !lock(&self.0).ended {
            // Without an end, the consumer would wait for ever.
            let error = TransportError::new(TransportErrorKind::Runtime).with_message(if panicking() {
                "the prefetch task panicked; check the application's error handler and header provider"
            } else {
                "the prefetch task was dropped because its runtime shut down; keep the runtime alive while reading"
            });
            self.add(Some(Err(error.into())), true);
        }
    }
}
