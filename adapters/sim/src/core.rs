use crate::Rng;
use crate::sync::locked;
use crate::tasks::{NETWORK, Ready, Tasks, Work};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// 2025-01-01T00:00:00Z, when every world begins.
const DAWN: Duration = Duration::from_secs(1_735_689_600);

/// A sleep longer than this never ends.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64 * 100);

/// What all parts of a world share: its clock, its timers, its tasks and which of them are ready to run.
pub(crate) struct Core {
    state: Mutex<State>,
    pub(crate) ready: Arc<Ready>,
    pub(crate) tasks: Tasks,
    /// Whether time passes while a task runs, and by how much.
    drift: Mutex<Option<Drift>>,
}

/// How time passes while a task runs.
struct Drift {
    rng: Rng,
    /// How many of a hundred readings of the clock.
    percent: u64,
}

/// Most of the steps by which time passes while a task runs are shorter than the first, all shorter than the second.
const SHORT_DRIFT: Duration = Duration::from_millis(5);
const LONG_DRIFT: Duration = Duration::from_millis(200);

struct State {
    now: Duration,
    timers: BTreeMap<TimerKey, SimTimer>,
    timers_made: u64,
    processes: Vec<ProcessState>,
    arrivals: Vec<(usize, Work)>,
    kills: Vec<usize>,
    /// How far the applications' wall clock is ahead of the server's.
    wall_ahead: Duration,
    trace: Option<Vec<String>>,
    over: bool,
}

struct ProcessState {
    name: String,
    alive: bool,
    frozen_until: Duration,
    random: Rng,
}

/// What a timer wakes.
struct SimTimer {
    waker: Waker,
    /// The process whose clock it is. A computer that is suspended has no timers: they fire when it resumes.
    owner: Option<usize>,
}

/// When a timer fires, and which of those that fire together it is.
type TimerKey = (Duration, u64);

impl Core {
    pub(crate) fn new(trace: bool) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now: Duration::ZERO,
                timers: BTreeMap::new(),
                timers_made: 0,
                processes: Vec::new(),
                arrivals: Vec::new(),
                kills: Vec::new(),
                wall_ahead: Duration::ZERO,
                trace: trace.then(Vec::new),
                over: false,
            }),
            ready: Arc::default(),
            tasks: Tasks::default(),
            drift: Mutex::new(None),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    /// The monotonic clock: one reading of the real one, taken once, plus virtual time.
    pub(crate) fn instant(&self) -> Instant {
        static BASE: OnceLock<Instant> = OnceLock::new();
        *BASE.get_or_init(Instant::now) + self.now()
    }

    /// From now on, time passes while tasks run: at `percent` of a hundred readings of a process's clock.
    pub(crate) fn set_drift(&self, rng: Rng, percent: u64) {
        *locked(&self.drift) = (percent > 0).then_some(Drift { rng, percent });
    }

    /// A task reads its clock. Some time may have passed since the last reading: timers have fired, and the network has
    /// delivered what was due.
    pub(crate) fn drift(&self) {
        let passed = locked(&self.drift).as_mut().and_then(|Drift { rng, percent }| {
            let longest = if rng.percent(80) { SHORT_DRIFT } else { LONG_DRIFT };
            rng.percent(*percent).then(|| rng.duration(Duration::ZERO, longest))
        });
        let Some(passed) = passed else { return };
        let until = self.now() + passed;
        loop {
            self.tasks.adopt(self.arrivals(), &self.ready);
            while let Some(task) = self.ready.take_first(|task| self.tasks.is_network(task)) {
                self.poll(task);
            }
            if self.next_timer().is_none_or(|at| at > until) || !self.advance() {
                break;
            }
        }
        let mut state = self.state();
        state.now = state.now.max(until);
    }

    /// Polls a task that is ready.
    pub(crate) fn poll(&self, task: usize) {
        let Some(mut running) = self.tasks.take(task) else { return };
        running.handle.taken();
        if self.frozen(running.process, &running.waker) {
            return self.tasks.put_back(task, running);
        }
        let waker = running.waker.clone();
        if running.work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            return self.tasks.put_back(task, running);
        }
        // What is dropped may spawn.
        drop(running);
        self.tasks.free(task);
    }

    fn next_timer(&self) -> Option<Duration> {
        self.state().timers.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn server_wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAWN + self.now()
    }

    pub(crate) fn wall(&self) -> SystemTime {
        let state = self.state();
        SystemTime::UNIX_EPOCH + DAWN + state.now + state.wall_ahead
    }

    pub(crate) fn shift_wall(&self, ahead: Duration) {
        self.state().wall_ahead += ahead;
    }

    pub(crate) fn sleep(self: &Arc<Self>, owner: Option<usize>, duration: Duration) -> SimSleep {
        let deadline = (duration < FOR_EVER).then(|| self.now() + duration);
        SimSleep { core: self.clone(), owner, deadline, timer: None }
    }

    pub(crate) fn spawn(&self, process: usize, work: Work) {
        let mut state = self.state();
        if !state.over && state.processes[process].alive {
            state.arrivals.push((process, work));
            return;
        }
        // What is dropped may call back.
        drop(state);
        drop(work);
    }

    pub(crate) fn arrivals(&self) -> Vec<(usize, Work)> {
        std::mem::take(&mut self.state().arrivals)
    }

    pub(crate) fn add_process(&self, name: &str, random: Rng) -> usize {
        let mut state = self.state();
        state.processes.push(ProcessState {
            name: name.to_owned(),
            alive: true,
            frozen_until: Duration::ZERO,
            random,
        });
        state.processes.len() - 1
    }

    pub(crate) fn process_name(&self, process: usize) -> String {
        self.state().processes[process].name.clone()
    }

    pub(crate) fn alive(&self, process: usize) -> bool {
        self.state().processes[process].alive
    }

    pub(crate) fn kill(&self, process: usize) {
        let mut state = self.state();
        if process > NETWORK && std::mem::replace(&mut state.processes[process].alive, false) {
            state.kills.push(process);
        }
    }

    pub(crate) fn kills(&self) -> Vec<usize> {
        std::mem::take(&mut self.state().kills)
    }

    pub(crate) fn freeze(&self, process: usize, duration: Duration) {
        let mut state = self.state();
        let until = state.now + duration;
        let frozen = &mut state.processes[process].frozen_until;
        *frozen = until.max(*frozen);
    }

    /// Puts every process to sleep that can.
    pub(crate) fn freeze_all(&self, duration: Duration) {
        let processes = self.state().processes.len();
        (NETWORK + 1..processes).for_each(|process| self.freeze(process, duration));
    }

    /// Whether `process` is asleep; if so `waker` is called when it wakes.
    pub(crate) fn frozen(&self, process: usize, waker: &Waker) -> bool {
        let mut state = self.state();
        let until = state.processes[process].frozen_until;
        let frozen = until > state.now;
        if frozen {
            state.add_timer(until, waker.clone(), None);
        }
        frozen
    }

    pub(crate) fn random(&self, process: usize) -> u64 {
        self.state().processes[process].random.next_u64()
    }

    /// Moves time to the next timer and fires all that are due. False if there is none.
    pub(crate) fn advance(&self) -> bool {
        let due = {
            let mut state = self.state();
            let Some(&(at, _)) = state.timers.keys().next() else { return false };
            state.now = state.now.max(at);
            let mut due = Vec::new();
            while let Some(entry) = state.timers.first_entry()
                && entry.key().0 <= at
            {
                let SimTimer { waker, owner } = entry.remove();
                match owner.map(|process| state.processes[process].frozen_until) {
                    Some(until) if until > state.now => drop(state.add_timer(until, waker, owner)),
                    _ => due.push(waker),
                }
            }
            due
        };
        // Without the lock: a waker may ask for the time.
        due.into_iter().for_each(Waker::wake);
        true
    }

    pub(crate) fn tracing(&self) -> bool {
        self.state().trace.is_some()
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if !self.tracing() {
            return;
        }
        // Made without the lock: it may ask for names and times.
        let line = line();
        let mut state = self.state();
        let now = state.now;
        if let Some(trace) = &mut state.trace {
            trace.push(format!("{:>12.6}s  {line}", now.as_secs_f64()));
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.state().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Ends the world: nothing is spawned any more. Returns what had been and never ran.
    pub(crate) fn end(&self) -> Vec<(usize, Work)> {
        let mut state = self.state();
        state.over = true;
        std::mem::take(&mut state.arrivals)
    }
}

impl State {
    fn add_timer(&mut self, at: Duration, waker: Waker, owner: Option<usize>) -> TimerKey {
        self.timers_made += 1;
        let key = (at, self.timers_made);
        self.timers.insert(key, SimTimer { waker, owner });
        key
    }
}

/// Ready when virtual time has come to its deadline.
pub(crate) struct SimSleep {
    core: Arc<Core>,
    owner: Option<usize>,
    /// `None`: never.
    deadline: Option<Duration>,
    timer: Option<TimerKey>,
}

impl Future for SimSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let core = self.core.clone();
        let mut state = core.state();
        if state.now >= deadline {
            return Poll::Ready(());
        }
        match self.timer.and_then(|key| state.timers.get_mut(&key)) {
            Some(timer) => timer.waker.clone_from(cx.waker()),
            None => self.timer = Some(state.add_timer(deadline, cx.waker().clone(), self.owner)),
        }
        Poll::Pending
    }
}

impl Drop for SimSleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            let waker = self.core.state().timers.remove(&key);
            drop(waker);
        }
    }
}
