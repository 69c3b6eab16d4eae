use crate::core::Core;
use crate::model::{Model, ServerOptions};
use crate::net::Net;
use crate::tasks::{NETWORK, OUTSIDE, TaskWaker};
use crate::{
    Event, Incident, NetworkOptions, Process, RequestRecord, Rng, Schedule, SimRuntime, SimServer,
    SimTransport,
};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Builds a [`World`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct WorldBuilder {
    seed: u64,
    server: ServerOptions,
    network: NetworkOptions,
    schedule: Schedule,
    trace: bool,
    drift: u64,
    max_steps: u64,
    max_time: Duration,
}

impl WorldBuilder {
    /// How the server behaves. Default: [`ServerOptions::default`].
    pub fn server(mut self, options: ServerOptions) -> Self {
        self.server = options;
        self
    }

    /// The network without faults. Default: [`NetworkOptions::default`].
    pub fn network(mut self, options: NetworkOptions) -> Self {
        self.network = options;
        self
    }

    /// What goes wrong. Default: nothing.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Whether to keep a readable trace of what happens. Default: false.
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// At how many of a hundred readings of its clock a task finds that time has passed since the last one, and that the
    /// network has delivered what was due, as on a computer that does something else meanwhile. Default: 0.
    pub fn drift(mut self, percent: u64) -> Self {
        self.drift = percent;
        self
    }

    /// How often tasks may be polled in one run before it counts as a loop. Default: 10 million.
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.max_steps = steps;
        self
    }

    /// How long, in virtual time, one run may take before it counts as an endless wait. Default: 7 days.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// Builds it.
    #[must_use]
    pub fn build(self) -> World {
        let chance = Rng::new(self.seed);
        let core = Core::new(self.trace);
        core.add_process("world", chance.fork(0));
        core.add_process("network", chance.fork(5));
        core.set_drift(chance.fork(6), self.drift);
        let model = Model::new(self.server, chance.fork(1).next_u64());
        let net = Net::new(core.clone(), self.network, model, chance.fork(2), &self.schedule);
        let mut incidents: Vec<(Duration, Incident)> = Vec::new();
        for event in self.schedule.events() {
            if let Event::At(time, incident) = event {
                incidents.push((*time, incident.clone()));
            }
        }
        incidents.sort_by_key(|(time, _)| *time);
        if !incidents.is_empty() {
            core.spawn(NETWORK, Box::pin(play(net.clone(), incidents)));
        }
        World {
            order: chance.fork(3),
            processes: chance.fork(4),
            core,
            net,
            max_steps: self.max_steps,
            max_time: self.max_time,
        }
    }
}

async fn play(net: Arc<Net>, incidents: Vec<(Duration, Incident)>) {
    for (time, incident) in incidents {
        let left = time.saturating_sub(net.core.now());
        net.core.sleep(None, left).await;
        net.apply(&incident);
    }
}

/// A simulated world: one thread, virtual time, a server in memory, and chance by a seed.
///
/// The same seed, the same schedule and the same code give the same run, to the last step. Time passes only
/// when nothing is ready to run (see [`drift`](WorldBuilder::drift)), so an hour of retries takes microseconds.
pub struct World {
    core: Arc<Core>,
    net: Arc<Net>,
    /// The order among tasks that are ready.
    order: Rng,
    /// The chance of each process.
    processes: Rng,
    max_steps: u64,
    max_time: Duration,
}

/// The task number of the future that is being run.
const MAIN: usize = usize::MAX;

/// Why a run came to no end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stalled {
    /// No task is ready and no timer is set: nothing can happen any more.
    Deadlock {
        /// When, since the world's beginning.
        at: Duration,
        /// How many tasks wait, by process.
        waiting: Vec<(String, usize)>,
    },
    /// Tasks were polled this often in one run: a busy loop.
    Steps(u64),
    /// This much virtual time has passed in one run: an endless wait, or endless retries.
    Time(Duration),
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { at, waiting } => {
                write!(f, "deadlock after {at:?}: no task is ready and no timer is set; waiting:")?;
                if waiting.is_empty() {
                    f.write_str(" only what is being run")?;
                }
                waiting.iter().try_for_each(|(name, tasks)| write!(f, " {tasks} in {name}"))
            }
            Self::Steps(steps) => write!(f, "still running after {steps} steps"),
            Self::Time(time) => write!(f, "still running after {time:?} of virtual time"),
        }
    }
}

impl std::error::Error for Stalled {}

impl World {
    /// A world in which nothing goes wrong; the order of things is chosen by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::builder(seed).build()
    }

    /// Builds a world with other than default options.
    pub fn builder(seed: u64) -> WorldBuilder {
        WorldBuilder {
            seed,
            server: ServerOptions::default(),
            network: NetworkOptions::default(),
            schedule: Schedule::new(),
            trace: false,
            drift: 0,
            max_steps: 10_000_000,
            max_time: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// The runtime for a client that runs outside of any [`Process`].
    #[must_use]
    pub fn runtime(&self) -> SimRuntime {
        SimRuntime::new(self.core.clone(), OUTSIDE)
    }

    /// The way to the server.
    #[must_use]
    pub fn transport(&self) -> SimTransport {
        SimTransport::new(self.net.clone())
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> SimServer {
        SimServer::new(self.net.clone())
    }

    /// Starts a process: something that can crash, or be put to sleep.
    pub fn process(&mut self, name: &str) -> Process {
        let process = self.core.add_process(name, Rng::new(self.processes.next_u64()));
        Process::new(SimRuntime::new(self.core.clone(), process))
    }

    /// Starts processes from inside a run: the same as [`process`](Self::process).
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner { core: self.core.clone(), processes: self.processes.fork(1) }
    }

    /// Runs `future` to its end, with everything that it starts.
    ///
    /// # Panics
    ///
    /// When it comes to no end: see [`try_run`](Self::try_run).
    pub fn run<F: Future>(&mut self, future: F) -> F::Output {
        match self.try_run(future) {
            Ok(output) => output,
            Err(stalled) => panic!("{stalled}"),
        }
    }

    /// Runs `future` to its end, with everything that it starts. What is still running then goes on in the
    /// next run.
    ///
    /// # Errors
    ///
    /// [`Stalled`] when nothing can happen any more, or a limit is reached.
    pub fn try_run<F: Future>(&mut self, future: F) -> Result<F::Output, Stalled> {
        let mut future = pin!(future);
        let handle = TaskWaker::new(MAIN, &self.core.ready);
        let waker = Waker::from(handle.clone());
        waker.wake_by_ref();
        self.drive(|| {
            handle.taken();
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        })
    }

    /// Runs all tasks for `duration`. Returns how many tasks of any [`Process`] are left.
    ///
    /// # Errors
    ///
    /// [`Stalled::Steps`] when it reaches the limit of steps.
    pub fn settle(&mut self, duration: Duration) -> Result<usize, Stalled> {
        let sleep = self.core.sleep(None, duration);
        self.try_run(sleep)?;
        Ok(self.core.tasks.of_processes().len())
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.core.now()
    }

    /// Every request that was sent, in order: their numbers are those of a [`Schedule`].
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.net.requests()
    }

    /// Takes the trace so far; empty unless it is kept.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.core.take_trace()
    }

    fn drive<T>(&mut self, mut main: impl FnMut() -> Option<T>) -> Result<T, Stalled> {
        let deadline = self.core.now().saturating_add(self.max_time);
        let mut steps = 0;
        loop {
            self.adopt();
            match self.core.ready.take(&mut self.order) {
                Some(MAIN) => {
                    if let Some(output) = main() {
                        return Ok(output);
                    }
                }
                Some(task) => self.core.poll(task),
                None if !self.core.advance() => return Err(self.deadlock()),
                None if self.core.now() > deadline => return Err(Stalled::Time(self.max_time)),
                None => {}
            }
            steps += 1;
            if steps > self.max_steps {
                return Err(Stalled::Steps(self.max_steps));
            }
        }
    }

    /// Takes up what was spawned, then drops what was killed, which may have been spawned just before.
    fn adopt(&self) {
        self.core.tasks.adopt(self.core.arrivals(), &self.core.ready);
        for killed in self.core.kills() {
            self.core.tasks.kill(killed);
        }
    }

    fn deadlock(&self) -> Stalled {
        let mut waiting: Vec<(String, usize)> = Vec::new();
        for process in self.core.tasks.processes() {
            let name = self.core.process_name(process);
            match waiting.iter_mut().find(|(known, _)| *known == name) {
                Some((_, tasks)) => *tasks += 1,
                None => waiting.push((name, 1)),
            }
        }
        Stalled::Deadlock { at: self.core.now(), waiting }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is dropped may spawn once more; it is dropped too.
        drop(self.core.end());
        self.core.tasks.clear();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.core.tasks.processes().len())
            .finish_non_exhaustive()
    }
}

/// Starts processes from inside a run.
#[derive(Clone)]
pub struct Spawner {
    core: Arc<Core>,
    processes: Rng,
}

impl Spawner {
    /// Starts a process: something that can crash, or be put to sleep.
    pub fn process(&mut self, name: &str) -> Process {
        let process = self.core.add_process(name, Rng::new(self.processes.next_u64()));
        Process::new(SimRuntime::new(self.core.clone(), process))
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}
