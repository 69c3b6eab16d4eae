//! Exactly-once producers under faults: a real server in its `wal` mode that is killed by SIGKILL repeatedly,
//! behind a proxy that resets, refuses and delays, while several applications append to the same streams.
//!
//! At the end the streams are read from the server itself. Every record must be stored once, and the records of each
//! producer in the order in which it appended them.
//!
//! A killed server keeps the data that it acknowledged, but not the state of its producers. A producer notices, and halts
//! if the outcome of a request is not known any more. Then the application reads the stream to find out: `recover` does
//! that, and is written to be read.
//!
//! After a kill this server has the producer state that it saved last, possibly seconds ago. If that state is one batch
//! old, and that batch is in flight when the server is killed, the server stores the resent batch as a new one. It
//! documents this, and no client can detect it. By default the server therefore saves no producer state, which is harder
//! for the producers: every kill loses it. With [`Memory::Lagging`] it saves as usual, and the check distinguishes what
//! it stored twice under one number from what was sent under two numbers.

mod faults;
mod random;
mod record;
mod recover;
mod report;
mod request_log;
mod stack;
mod sync;
mod verify;
mod writer;

pub use report::Report;
pub use stack::Stack;

use durable_streams::Client;
use faults::{FaultInjector, Faults};
use record::Record;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_servers::{Durability, Proxy, RustServer, direct};
use writer::{Tally, Writer};

/// What went wrong, for a person to read.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// What may go wrong.
pub type Result<T> = std::result::Result<T, Error>;

/// What a run is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long the faults last.
    pub duration: Duration,
    /// What chance draws from. The requests of several producers race each other, so that a seed gives the same kind
    /// of similar faults, not exactly the same ones.
    pub seed: u64,
    /// What the producers run on.
    pub stack: Stack,
    /// How many producers there are.
    pub producers: u32,
    /// How many streams they share.
    pub streams: u32,
    /// What the server knows of its producers after a kill.
    pub memory: Memory,
    /// Whether the producers may claim an epoch by themselves where the stream's tail proves that nothing is in doubt.
    pub auto_claim: bool,
}

/// What the server knows of its producers after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing.
    Lost,
    /// What it knew at some moment of the last three seconds.
    Lagging,
}

impl Plan {
    /// Whether the server may come to take what is sent again for something new.
    fn may_repeat(&self) -> bool {
        self.memory == Memory::Lagging
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { duration, seed, stack, producers, streams, .. } = self;
        let in_flight = writer::IN_FLIGHT;
        write!(
            f,
            "{duration:?} on {stack}, seed {seed}: {producers} producers on {streams} streams, {in_flight} in flight"
        )?;
        f.write_str(match self.memory {
            Memory::Lost => ", the server forgets them when it is killed",
            Memory::Lagging => ", the server remembers them as they were up to 3 s before it was killed",
        })?;
        f.write_str(if self.auto_claim { ", auto_claim" } else { "" })
    }
}

/// How long the producers may take to end once the faults are over.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the plan and returns the result. Prints its progress on standard error.
///
/// # Errors
///
/// What kept the run from coming to its end: a server that does not start, a producer that halts for a reason that
/// chaos does not explain, or does not end at all. Violations are in the [`Report`] instead.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut server = RustServer::builder().durability(Durability::Wal);
    if plan.memory == Memory::Lost {
        // It writes down what it knows of producers at its checkpoints: there is to be none.
        server = server.argument("--wal-checkpoint-interval-ms").argument("86400000");
    }
    let server = Arc::new(server.start()?);
    let proxy = Arc::new(Proxy::start(server.url())?);
    let host = stack::Host::new(plan.stack, proxy.url())?;
    let paths = create_streams(plan, server.url())?;
    let over = Arc::new(AtomicBool::new(false));
    let told = start_writers(plan, host.client(), &paths, &over);

    let mut written = Vec::new();
    let mut take = |timeout| match told.recv_timeout(timeout) {
        Ok(tally) => tally.map(|tally| written.push(tally)).map_err(Error::from),
        Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("a producer's thread panicked".into()),
    };
    let injector = FaultInjector::start(server.clone(), proxy.clone(), plan.seed);
    let began = Instant::now();
    let mut minutes = 0;
    while let Some(left) = plan.duration.checked_sub(began.elapsed()) {
        // None of them ends by itself: this is for those that fail.
        take(left.min(Duration::from_secs(1)))?;
        if began.elapsed().as_secs() / 60 > minutes {
            minutes += 1;
            eprintln!("chaos: {minutes} min: {}", injector.faults());
        }
    }
    let faults = injector.end()?;
    over.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + END_TIMEOUT;
    for _ in 0..plan.producers {
        take(deadline.saturating_duration_since(Instant::now()))?;
    }
    if written.len() < plan.producers as usize {
        let ended = written.len();
        return Err(format!("{END_TIMEOUT:?} after the faults only {ended} producers have ended").into());
    }

    written.sort_by_key(|tally: &Tally| tally.writer);
    judge(plan, server.url(), &paths, faults, written)
}

/// Both ways in which records stand in a stream: as messages of a JSON array, and as lines.
const CONTENT_TYPES: [&str; 2] = ["application/json", "application/octet-stream"];

fn create_streams(plan: &Plan, url: &str) -> Result<Vec<String>> {
    let create = |(number, content_type)| {
        let path = format!("chaos-{number}");
        let answer = direct("PUT", &format!("{url}/{path}"), [("content-type", content_type)], "")?;
        match answer.status {
            201 => Ok(path),
            status => Err(format!("a stream was not created: {status} {}", answer.text()).into()),
        }
    };
    (0..plan.streams).zip(CONTENT_TYPES.into_iter().cycle()).map(create).collect()
}

/// Each in a thread of its own, as if it were a program of its own, until the faults are over.
fn start_writers(
    plan: &Plan,
    client: &Client,
    paths: &[String],
    over: &Arc<AtomicBool>,
) -> mpsc::Receiver<std::result::Result<Tally, String>> {
    let (tell, told) = mpsc::channel();
    for number in 0..plan.producers {
        let stream = client.stream(&paths[(number % plan.streams) as usize]);
        let random = random::Random::new(plan.seed ^ u64::from(number + 1));
        let writer = Writer::new(stream, number, plan.auto_claim, random);
        let (over, tell) = (over.clone(), tell.clone());
        thread::spawn(move || {
            let written = futures_lite::future::block_on(writer.write(&over));
            // Nobody listens any more where another one has failed.
            drop(tell.send(written.map_err(|error| format!("producer {number}: {error}"))));
        });
    }
    told
}

/// Compares what the server holds with what was made.
fn judge(
    plan: &Plan,
    url: &str,
    paths: &[String],
    faults: Arc<Faults>,
    written: Vec<Tally>,
) -> Result<Report> {
    let (mut violations, mut repeated) = (faults.request_log.two_under_one_number(), 0);
    for (path, number) in paths.iter().zip(0..) {
        let records = verify::stored(&format!("{url}/{path}"))?;
        let writers = written.iter().filter(|tally| tally.writer % plan.streams == number);
        for violation in verify::judge(&records, writers.map(|tally| (tally.writer, tally.made))) {
            match violation.twice {
                // The request was correct; whether its failure was expected is checked elsewhere.
                Some((writer, number))
                    if plan.may_repeat() && faults.request_log.has_one_number(writer, number) =>
                {
                    repeated += 1;
                }
                _ => violations.push(violation.text),
            }
        }
    }
    Ok(Report { faults, written, violations, repeated })
}
