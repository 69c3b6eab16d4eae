//! Live readers with nothing to read: what each of them occupies, and what all of them cost.

use super::common::client;
use crate::args::{Args, Live};
use crate::content::{JsonChecker, Record};
use crate::meter::{Meter, peak_memory, reset_peak, resident_memory};
use crate::raw::{Raw, RawBody};
use crate::report::{Idle, Measured};
use crate::server::{JSON, Server};
use crate::stack::Stack;
use crate::{Error, Result};
use async_channel::{Receiver, Sender};
use durable_streams::contract::{DefaultRuntime, Executor, Task, Timer};
use std::future::Future;
use std::time::Duration;

/// How long nothing happens.
const SILENCE: Duration = Duration::from_secs(5);

/// What a reader has come to.
enum News {
    Open,
    /// With the one record there is.
    Done,
    Failed(Error),
}

pub(super) async fn run<S: Stack>(args: &Args, server: &Server) -> Result<Measured> {
    let stream = server.create(JSON)?;
    let runtime = S::Runtime::current()?;
    let (sender, news) = async_channel::unbounded();
    Record::at(0, args.size);
    let url = stream.url();
    let before;
    if args.raw {
        if args.live != Live::Sse {
            return Err("without the client readers listen to server-sent events only".into());
        }
        let http = S::Raw::new()?;
        http.get(&format!("{url}?offset=-1")).await?.0.whole().await?;
        before = start_of_memory();
        for _ in 0..args.count {
            let (http, size) = (http.clone(), args.size);
            let (url, sender) = (format!("{url}?live=sse&offset=-1"), sender.clone());
            spawn::<S>(&runtime, sender.clone(), async move {
                let mut body = http.get(&url).await?.0;
                sender.send(News::Open).await?;
                let mut events = Vec::new();
                while memchr::memmem::find(&events, b"data:[").is_none() || !events.ends_with(b"\n\n") {
                    if !body.advance().await? {
                        return Err("the server ended a stream of events".into());
                    }
                    events.extend_from_slice(body.piece());
                }
                let events = std::str::from_utf8(&events)?;
                let data = events.lines().find_map(|line| line.strip_prefix("data:[").map(|_| &line[5..]));
                JsonChecker::new(size).check_array(data.unwrap_or_default().as_bytes())
            });
        }
    } else {
        let handle = client::<S>()?.stream(url);
        handle.head().await?;
        let live = args.live.mode();
        before = start_of_memory();
        for _ in 0..args.count {
            let (handle, sender, size) = (handle.clone(), sender.clone(), args.size);
            spawn::<S>(&runtime, sender.clone(), async move {
                let mut records = handle.reader().live(live).json::<Record<String>>().await?;
                sender.send(News::Open).await?;
                let record = records.next().await.ok_or("a live reader came to an end")??;
                JsonChecker::new(size).check(&record)
            });
        }
    }
    let opening = Meter::start();
    wait_for(&news, args.count, |news| matches!(news, News::Open)).await?;
    let cost = opening.stop();
    runtime.sleep(Duration::from_millis(500)).await;
    let silence = Meter::start();
    runtime.sleep(SILENCE).await;
    let silence = silence.stop();
    let grown = resident_memory().zip(before).map(|(now, before)| now.saturating_sub(before));
    let peak = peak_memory();
    stream.append(JSON, &serde_json::to_vec(&Record::at(0, args.size))?)?;
    wait_for(&news, args.count, |news| matches!(news, News::Done)).await?;
    let idle = Idle {
        kb_per_reader: grown.ok_or("this system does not tell the resident memory")? as f64
            / 1024.0
            / args.count as f64,
        idle_cpu_percent: 100.0 * silence.cpu.as_secs_f64() / silence.wall.as_secs_f64(),
    };
    let bytes = args.count * args.size as u64;
    Ok(Measured { cost, count: args.count, bytes, latencies: None, peak, idle: Some(idle), road: None })
}

fn start_of_memory() -> Option<u64> {
    reset_peak();
    resident_memory()
}

fn spawn<S: Stack>(
    runtime: &S::Runtime,
    sender: Sender<News>,
    reader: impl Future<Output = Result<()>> + Send + 'static,
) {
    runtime.spawn(Task::new(async move {
        let last = match reader.await {
            Ok(()) => News::Done,
            Err(error) => News::Failed(error),
        };
        // If the scenario has failed, the receiver is gone.
        let _gone = sender.send(last).await;
    }));
}

async fn wait_for(news: &Receiver<News>, count: u64, expected: impl Fn(&News) -> bool) -> Result<()> {
    for _ in 0..count {
        match news.recv().await? {
            News::Failed(error) => return Err(error),
            news if expected(&news) => {}
            _ => return Err("a reader has what was not appended yet".into()),
        }
    }
    Ok(())
}
