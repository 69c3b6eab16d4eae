//! What goes wrong: one request after another, and the server itself.

use crate::Result;
use crate::random::Random;
use crate::request_log::RequestLog;
use crate::sync::lock;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use test_servers::{Action, Cut, End, Proxy, RustServer};

/// How often each fault came about.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    requests: AtomicU64,
    counts: [AtomicU64; KINDS.len()],
    kills: AtomicU64,
    /// The connections on which nothing succeeds any more, and how.
    lost: Mutex<HashMap<u64, &'static str>>,
    /// What the producers sent, whatever became of it.
    pub(crate) request_log: RequestLog,
}

/// The faults of requests, with their probability in thousandths.
const KINDS: [(&str, u64); 19] = [
    ("resets before the server", 15),
    ("resets after it", 15),
    ("5xx before", 15),
    ("5xx after", 15),
    ("429", 5),
    ("late requests", 20),
    ("late answers", 20),
    ("never answered, not sent", 1),
    ("never answered, sent", 1),
    ("heads cut", 10),
    ("stray responses", 10),
    ("closed after the response", 15),
    ("early hints", 10),
    ("pages of a portal", 5),
    ("421", 5),
    ("425", 5),
    ("bodies cut", 5),
    (BROKEN, 3),
    (DEAD, 1),
];

/// Every later request on the connection is answered 503.
const BROKEN: &str = "connections to a broken backend";

/// No later request on the connection is answered.
const DEAD: &str = "connections that lose their state";

fn action(kind: usize, random: &mut Random) -> Action {
    let statuses = [500, 502, 503, 504];
    let status = statuses[random.below(4) as usize];
    let while_ = Duration::from_millis(1 + random.below(200));
    let end = if random.below(2) == 0 { End::Fin } else { End::Reset };
    match kind {
        0 => Action::DropBefore,
        1 => Action::DropAfter,
        2 => Action::refuse(status, (), "by chance"),
        3 => Action::edit_response(move |head, body| {
            head.status = status;
            body.clear();
            head.headers.set("content-length", "0");
        }),
        4 => Action::refuse(429, [("retry-after", "0")], ""),
        5 => Action::Delay(while_),
        6 => Action::DelayResponse(while_),
        7 => Action::Hang,
        8 => Action::HangAfter,
        9 => Action::CutHead { bytes: random.below(300) as usize, end },
        10 => Action::StrayResponse,
        11 => Action::CloseAfter,
        12 => Action::EarlyHints,
        13 => Action::refuse(200, [("content-type", "text/html")], "<!doctype html>Please log in."),
        14 => Action::refuse(421, (), ""),
        15 => Action::refuse(425, (), ""),
        16 => Action::CutAfter { cut: Cut::Bytes(random.below(200)), end },
        _ => Action::Pass,
    }
}

impl Faults {
    fn decide(&self, connection: u64, random: &mut Random) -> Action {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut lost = lock(&self.lost);
        match lost.get(&connection) {
            Some(&BROKEN) => return Action::refuse(503, (), "broken backend"),
            Some(_) => return Action::Hang,
            None => {}
        }
        let mut drawn = random.below(1000);
        for (kind, (name, share)) in KINDS.iter().enumerate() {
            if drawn < *share {
                self.counts[kind].fetch_add(1, Ordering::Relaxed);
                if [BROKEN, DEAD].contains(name) {
                    lost.insert(connection, name);
                }
                return action(kind, random);
            }
            drawn -= share;
        }
        Action::Pass
    }

    /// How many of any kind.
    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        counts.sum::<u64>() + self.kills()
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} kills -9", self.requests.load(Ordering::Relaxed), self.kills())?;
        for ((name, _), count) in KINDS.iter().zip(&self.counts) {
            write!(f, ", {} {name}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// A storm that is on until it is ended.
pub(crate) struct FaultInjector {
    faults: Arc<Faults>,
    proxy: Arc<Proxy>,
    calm: mpsc::Sender<()>,
    killer: JoinHandle<std::io::Result<()>>,
}

impl FaultInjector {
    pub(crate) fn start(server: Arc<RustServer>, proxy: Arc<Proxy>, seed: u64) -> Self {
        let faults = Arc::new(Faults::default());
        let (counting, random) = (faults.clone(), Mutex::new(Random::new(seed)));
        proxy.rule(move |request, _| {
            counting.request_log.note(request);
            counting.decide(request.connection, &mut lock(&random))
        });
        let (calm, until) = mpsc::channel();
        let (counting, recording) = (faults.clone(), proxy.clone());
        let killer = thread::spawn(move || {
            let mut random = Random::new(!seed);
            // Some kills follow one another closely; mostly there is time for things to settle.
            while !is_calm(&until, 200 + random.below(5000)) {
                server.kill()?;
                counting.kills.fetch_add(1, Ordering::Relaxed);
                let _ends_soon = is_calm(&until, random.below(1000));
                server.restart()?;
                recording.forget_requests();
            }
            Ok(())
        });
        Self { faults, proxy, calm, killer }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// From here on nothing goes wrong, and the server is there.
    pub(crate) fn end(self) -> Result<Arc<Faults>> {
        drop(self.calm);
        self.killer.join().map_err(|_| "the thread that kills the server panicked")??;
        let noting = self.faults.clone();
        self.proxy.rule(move |request, _| {
            noting.request_log.note(request);
            Action::Pass
        });
        Ok(self.faults)
    }
}

/// Waits so many milliseconds, or until the faults are over; whether it is.
fn is_calm(until: &mpsc::Receiver<()>, millis: u64) -> bool {
    let waited = until.recv_timeout(Duration::from_millis(millis));
    !matches!(waited, Err(mpsc::RecvTimeoutError::Timeout))
}
