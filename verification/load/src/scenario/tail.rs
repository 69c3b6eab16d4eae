//! From an append to its delivery at a live reader, a thousand times a second.

use super::common::{client, measured};
use crate::args::{Args, Live};
use crate::content::{JsonChecker, Record};
use crate::meter::{Latencies, Meter, reset_peak};
use crate::raw::{Raw, RawBody};
use crate::report::Measured;
use crate::server::{JSON, Server};
use crate::stack::Stack;
use crate::{Error, Result};
use async_channel::{Receiver, Sender};
use bytes::Bytes;
use durable_streams::contract::{DefaultRuntime, Executor, Task, Timer};
use std::future::Future;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(1);

pub(super) async fn run<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.create(JSON)?;
    Record::at(0, args.size);
    reset_peak();
    let runtime = S::Runtime::current()?;
    let (started, starts) = async_channel::unbounded();
    let meter = Meter::start();
    let mut delivered = Delivered::new(args, starts);
    let url = stream.url().to_owned();
    if args.raw {
        let http = S::Raw::new()?;
        let tail = RawTail::open(&http, &url, args.live).await?;
        let append = {
            let (http, url) = (http.clone(), url.clone());
            move |record| {
                let (http, url) = (http.clone(), url.clone());
                async move { http.post(&url, JSON, record).await }
            }
        };
        runtime.spawn(Task::new(appends::<S, _>(args.clone(), started, append)));
        tail.run(&http, &url, &mut delivered).await?;
    } else {
        let handle = client::<S>()?.stream(&url).with_content_type(JSON);
        let mut records = handle.reader().live(args.live.mode()).json::<Record<String>>().await?;
        let append = move |record: Bytes| {
            let append = handle.append(record);
            async move { append.await.map(drop).map_err(Error::from) }
        };
        runtime.spawn(Task::new(appends::<S, _>(args.clone(), started, append)));
        while delivered.more() {
            let record = records.next().await.ok_or("a live reader came to an end")??;
            delivered.take(&record).await?;
        }
    }
    let measured = measured(args, &meter);
    Ok(Measured { latencies: Some(delivered.latencies), ..measured })
}

/// Appends one record in each period, and sends the start time of each before it. Ends at the first failure.
async fn appends<S: Stack, F: Future<Output = Result<()>>>(
    args: Args,
    started: Sender<Result<Instant>>,
    append: impl Fn(Bytes) -> F,
) {
    let Ok(runtime) = S::Runtime::current() else { return };
    let first = Instant::now();
    for index in 0..args.count {
        let due = first + PERIOD.saturating_mul(index as u32);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            runtime.sleep(early).await;
        }
        let record = serde_json::to_vec(&Record::at(index, args.size)).map_err(Error::from);
        // If the other side has failed, the receiver is gone.
        let done = match record {
            Ok(record) => {
                if started.send(Ok(Instant::now())).await.is_err() {
                    return;
                }
                append(record.into()).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            let _gone = started.send(Err(error)).await;
            return;
        }
    }
}

/// What came, and how long it took.
struct Delivered {
    checker: JsonChecker,
    left: u64,
    starts: Receiver<Result<Instant>>,
    latencies: Latencies,
}

impl Delivered {
    fn new(args: &Args, starts: Receiver<Result<Instant>>) -> Self {
        Self {
            checker: JsonChecker::new(args.size),
            left: args.count,
            starts,
            latencies: Latencies::with_capacity(args.count),
        }
    }

    fn more(&self) -> bool {
        self.left > 0
    }

    async fn take(&mut self, record: &Record<String>) -> Result<()> {
        let now = Instant::now();
        self.checker.check(record)?;
        let start = self.starts.recv().await??;
        self.latencies.push(now.saturating_duration_since(start));
        self.left -= 1;
        Ok(())
    }

    async fn take_array(&mut self, json: &[u8]) -> Result<()> {
        let records: Vec<Record<String>> = serde_json::from_slice(json)?;
        for record in &records {
            self.take(record).await?;
        }
        Ok(())
    }
}

/// A tail made of nothing but requests.
enum RawTail<B> {
    Events(B),
    Polls,
}

impl<B: RawBody> RawTail<B> {
    async fn open<H: Raw<Body = B>>(http: &H, url: &str, live: Live) -> Result<Self> {
        Ok(match live {
            Live::Sse => Self::Events(http.get(&format!("{url}?live=sse&offset=-1")).await?.0),
            Live::LongPoll => Self::Polls,
            Live::Auto => return Err("nobody chooses without the client".into()),
        })
    }

    async fn run<H: Raw<Body = B>>(self, http: &H, url: &str, delivered: &mut Delivered) -> Result<()> {
        match self {
            Self::Events(mut body) => {
                let mut unread = Vec::new();
                while delivered.more() {
                    if !body.advance().await? {
                        return Err("the server ended a stream of events".into());
                    }
                    unread.extend_from_slice(body.piece());
                    let mut start = 0;
                    for end in memchr::memchr_iter(b'\n', &unread) {
                        let line = &unread[start..end];
                        start = end + 1;
                        if let Some(data) = line.strip_prefix(b"data:").filter(|data| data.starts_with(b"["))
                        {
                            delivered.take_array(data).await?;
                        }
                    }
                    unread.drain(..start);
                }
            }
            Self::Polls => {
                let mut offset = "-1".to_owned();
                while delivered.more() {
                    let (body, next) = http.get(&format!("{url}?live=long-poll&offset={offset}")).await?;
                    let body = body.whole().await?;
                    if !body.is_empty() {
                        delivered.take_array(&body).await?;
                    }
                    offset = next.ok_or("an answer without an offset")?;
                }
            }
        }
        Ok(())
    }
}
