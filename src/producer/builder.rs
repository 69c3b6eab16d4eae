//! The producer's builder.

use super::config::Config;
use super::driver::task::Driver;
use super::driver::wire::Wire;
use super::handle::IdempotentProducer;
use super::host::{Handles, Host};
use super::machine::Settings;
use super::queue::batch::BatchFraming;
use super::queue::buffer::{Limits, Queue};
use super::shared::{Life, Shared};
use crate::error::{Error, StreamError};
use crate::exchange::error_action::{ErrorAction, ErrorHandler};
use crate::outage::ConnectionStatus;
use crate::retry::RetryConfig;
use crate::stream::handle::DurableStream;
use crate::stream::values::{content_type_value, producer_id_value, producer_number};
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime, Sleep, Task};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest value of `max_batch_bytes`: positions in a batch are kept in 32 bits.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Builds an [`IdempotentProducer`]. Nothing is checked, started or sent before [`build`](Self::build).
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # fn run(stream: durable_streams::tokio::DurableStream) {
/// use durable_streams::RetryConfig;
/// use std::time::Duration;
///
/// // Halts after ten minutes without an acknowledgement.
/// let retry = RetryConfig { max_elapsed: Some(Duration::from_secs(600)), ..RetryConfig::default() };
/// let producer = stream
///     .producer("order-service-1")
///     .auto_claim(true)
///     .linger(Duration::from_millis(20))
///     .max_buffered_bytes(8_000_000)
///     .retry_config(retry)
///     .build();
/// # let _ = producer; }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ProducerBuilder<T = AnyTransport, R = AnyRuntime> {
    stream: DurableStream<T, R>,
    id: String,
    epoch: u64,
    auto_claim: bool,
    accept_duplicates: bool,
    accept_missing_epoch: bool,
    connection_status: ConnectionStatus,
    max_in_flight: usize,
    limits: Limits,
    retry: Option<RetryConfig>,
    content_type: Option<String>,
    drain_timeout: Duration,
    on_error: Option<Box<ErrorHandler>>,
}

impl<T: HttpTransport, R: Runtime> DurableStream<T, R> {
    /// A builder of a producer for this stream: appends that are batched, pipelined and stored exactly once.
    ///
    /// `id` names the writer across restarts, for instance one instance of a service. Two producers with the same id
    /// must not write to the stream at the same time.
    pub fn producer(&self, id: impl Into<String>) -> ProducerBuilder<T, R> {
        ProducerBuilder::new(self.clone(), id.into())
    }
}

impl<T: HttpTransport, R: Runtime> ProducerBuilder<T, R> {
    pub(crate) fn new(stream: DurableStream<T, R>, id: String) -> Self {
        Self {
            stream,
            id,
            epoch: 0,
            auto_claim: false,
            accept_duplicates: false,
            accept_missing_epoch: false,
            connection_status: ConnectionStatus::new(),
            max_in_flight: 5,
            limits: Limits {
                batch_bytes: 1_000_000,
                batch_items: usize::MAX,
                buffered_bytes: 32_000_000,
                buffered_records: usize::MAX,
                linger: Duration::from_millis(5),
            },
            retry: None,
            content_type: None,
            drain_timeout: Duration::from_secs(30),
            on_error: None,
        }
    }

    /// The same builder with the default type parameters, for an [`IdempotentProducer`] that is independent of the stack.
    ///
    /// See [`Client::to_any`](crate::Client::to_any).
    pub fn to_any(self) -> ProducerBuilder
    where
        T: Clone,
        R: Clone,
    {
        ProducerBuilder {
            stream: self.stream.to_any(),
            id: self.id,
            epoch: self.epoch,
            auto_claim: self.auto_claim,
            accept_duplicates: self.accept_duplicates,
            accept_missing_epoch: self.accept_missing_epoch,
            connection_status: self.connection_status,
            max_in_flight: self.max_in_flight,
            limits: self.limits,
            retry: self.retry,
            content_type: self.content_type,
            drain_timeout: self.drain_timeout,
            on_error: self.on_error,
        }
    }

    /// The epoch to start with, at most 2^53-1. Default: 0.
    ///
    /// A producer with a higher epoch takes over from one with a lower epoch and the same id. Give each run of a
    /// program a higher epoch, or let [`auto_claim`](Self::auto_claim) find it.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Takes over the id with the next higher epoch if the server has a higher epoch for it, or batches of an
    /// earlier run (protocol §5.2.1). Default: false.
    ///
    /// For programs that do not keep their epoch. Only one producer at a time may use the id: two that claim it from
    /// one another end, after a few claims, with [`StaleEpoch`](crate::ProducerError::StaleEpoch). Before the
    /// first batch, one HEAD asks for the stream's tail.
    pub fn auto_claim(mut self, enabled: bool) -> Self {
        self.auto_claim = enabled;
        self
    }

    /// The largest body of a request, in bytes. Default: 1,000,000. From 1 to 2^30. A larger record is sent
    /// alone.
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes;
        self
    }

    /// The most records in one request. Default: no limit. Not zero.
    pub fn max_batch_items(mut self, records: usize) -> Self {
        self.limits.batch_items = records;
        self
    }

    /// How long a batch that is not full waits for more records. Default: 5 ms. Zero sends at once, as does a full queue.
    pub fn linger(mut self, duration: Duration) -> Self {
        self.limits.linger = duration;
        self
    }

    /// The most batches in flight. Default: 5. Not zero.
    ///
    /// It is an upper limit: fewer are sent at once on paths where they overtake one another, because the server then
    /// refuses the ones that arrive too early.
    pub fn max_in_flight(mut self, batches: usize) -> Self {
        self.max_in_flight = batches;
        self
    }

    /// How many bytes the queue holds, including batches in flight. Default: 32,000,000. Not zero. A record
    /// counts with its bytes and up to five more.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.limits.buffered_bytes = bytes;
        self
    }

    /// How many records the queue holds, including those in flight. Default: no limit. Not zero.
    pub fn max_buffered_records(mut self, records: usize) -> Self {
        self.limits.buffered_records = records;
        self
    }

    /// How failed requests are retried. Default: the client's policy, without end if it has no limit.
    ///
    /// When the budget is spent the producer halts. Every acknowledgement restores it.
    pub fn retry_config(mut self, config: RetryConfig) -> Self {
        self.retry = Some(config);
        self
    }

    /// Accepts as success that the server reports a batch as a duplicate that was sent for the first time.
    /// Default: false; it is [`UnexpectedDuplicate`](crate::ProducerError::UnexpectedDuplicate).
    ///
    /// For deliberate replays: the same records, in the same batches, under the same id and epoch.
    pub fn accept_duplicates(mut self, enabled: bool) -> Self {
        self.accept_duplicates = enabled;
        self
    }

    /// Accepts a success that does not repeat the producer's epoch (`Producer-Epoch`). Default: false; the producer halts with
    /// [`StreamError::NotSupported`] at the first one, since a server that ignores the producer's headers stores a
    /// repeated batch twice.
    ///
    /// For servers that are known to keep the producer's identity, and not to repeat it.
    pub fn accept_missing_epoch(mut self, enabled: bool) -> Self {
        self.accept_missing_epoch = enabled;
        self
    }

    /// Where the producer says whether it reaches its server. Default: nowhere.
    pub fn connection_status(mut self, status: ConnectionStatus) -> Self {
        self.connection_status = status;
        self
    }

    /// A function that decides about a response that would halt the producer, a 401 for instance: to retry, possibly with
    /// other headers, or to stop. Default: stop. It is not called for failures that are retried anyway, for a closed
    /// stream or for a stale epoch. Its retries count against the [policy](Self::retry_config).
    pub fn on_error<F>(mut self, handler: F) -> Self
    where
        F: Fn(&StreamError) -> ErrorAction + Send + Sync + 'static,
    {
        self.on_error = Some(Box::new(handler));
        self
    }

    /// The stream's content type. Default: the one that the handle knows, from a create for instance; otherwise one HEAD
    /// asks the server before the first batch.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// How long a producer without handles continues to deliver its records. Default: 30 s. Not zero.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Builds the producer. Nothing is sent, and its task starts with the first record.
    ///
    /// If an option is not valid, every operation of the producer returns that error and
    /// sends nothing; [`try_build`](Self::try_build) returns it at once.
    pub fn build(self) -> IdempotentProducer<T, R> {
        let (epoch, limits) = (self.epoch, self.limits);
        self.try_build().unwrap_or_else(|error| {
            let shared =
                Shared::new(Queue::new(limits, Some(BatchFraming::Bytes)), Life::Failed(error.into()), epoch);
            IdempotentProducer::new(Arc::new(Handles { shared: Arc::new(shared), host: Box::new(NoHost) }))
        })
    }

    /// Builds the producer. Nothing is sent, and its task starts with the first record.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] with the option, its value and the reason; also for a stream whose URL is not valid.
    pub fn try_build(self) -> Result<IdempotentProducer<T, R>, Error> {
        self.stream.url()?;
        let id = producer_id_value(&self.id)?;
        producer_number("epoch", self.epoch)?;
        let limits = self.limits;
        for (option, size) in [
            ("max_batch_bytes", limits.batch_bytes),
            ("max_batch_items", limits.batch_items),
            ("max_in_flight", self.max_in_flight),
            ("max_buffered_bytes", limits.buffered_bytes),
            ("max_buffered_records", limits.buffered_records),
        ] {
            if size == 0 {
                return Err(StreamError::config(option, "0", "it must be above zero").into());
            }
        }
        if limits.batch_bytes > MAX_BATCH_BYTES {
            let value = limits.batch_bytes.to_string();
            return Err(StreamError::config("max_batch_bytes", value, "it must be at most 2^30").into());
        }
        if self.drain_timeout.is_zero() {
            return Err(StreamError::config("drain_timeout", "0s", "it must be above zero").into());
        }
        // Without a limit of its own a producer retries without end, so the client's policy is not bounded here.
        let retry = self.retry.unwrap_or_else(|| self.stream.http().defaults().retry.clone());
        retry.validate()?;
        // A configured type wins over the one that the handle knows. Without either, the driver asks the server.
        let content_type = match &self.content_type {
            Some(given) => Some(content_type_value(given)?),
            None => match self.stream.known_content_type() {
                Some(known) => Some(content_type_value(&known)?),
                None => None,
            },
        };
        let framing =
            content_type.as_ref().map(|value| value.to_str().map_or(BatchFraming::Bytes, BatchFraming::of));
        let config = Config {
            machine: Settings {
                epoch: self.epoch,
                auto_claim: self.auto_claim,
                accept_duplicates: self.accept_duplicates,
                max_in_flight: self.max_in_flight,
                max_batch_bytes: limits.batch_bytes,
                retry,
                connection_status: self.connection_status,
            },
            drain_timeout: self.drain_timeout,
            on_error: self.on_error,
        };
        let shared = Shared::new(Queue::new(limits, framing), Life::Open, self.epoch);
        let wire = Wire::new(self.stream, id, content_type, self.accept_missing_epoch);
        let host = Start { wire, config: Arc::new(config) };
        Ok(IdempotentProducer::new(Arc::new(Handles { shared: Arc::new(shared), host: Box::new(host) })))
    }
}

impl<T, R> fmt::Debug for ProducerBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("id", &self.id)
            .field("epoch", &self.epoch)
            .field("auto_claim", &self.auto_claim)
            .field("max_in_flight", &self.max_in_flight)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Starts the driver on the stream's runtime.
struct Start<T, R> {
    wire: Wire<T, R>,
    config: Arc<Config>,
}

impl<T: HttpTransport, R: Runtime> Host for Start<T, R> {
    fn now(&self) -> Instant {
        self.wire.stream.client().runtime().now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.wire.stream.client().runtime().sleep(duration)
    }

    fn start(&self, shared: Arc<Shared>) {
        let driver = Driver::new(shared, self.wire.clone(), self.config.clone());
        self.wire.stream.client().runtime().spawn(Task::new(driver));
    }
}

/// For a producer with an option that is not valid: it never starts, and never waits.
struct NoHost;

impl Host for NoHost {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::pending())
    }

    fn start(&self, _: Arc<Shared>) {}
}
