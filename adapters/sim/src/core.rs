use crate::Rng;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The process of the network and of the code that runs the world. It cannot be killed.
pub(crate) const OUTSIDE: usize = 0;

/// 2025-01-01T00:00:00Z, when every world begins.
const DAWN: Duration = Duration::from_secs(1_735_689_600);

/// A sleep longer than this never ends.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64 * 100);

/// What all parts of a world share: its clock, its timers and who is ready to run.
pub(crate) struct Core {
    state: Mutex<State>,
    pub(crate) ready: Arc<Ready>,
}

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
        if process != OUTSIDE && std::mem::replace(&mut state.processes[process].alive, false) {
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

    /// Puts every process but the outside to sleep.
    pub(crate) fn freeze_all(&self, duration: Duration) {
        let processes = self.state().processes.len();
        (OUTSIDE + 1..processes).for_each(|process| self.freeze(process, duration));
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

/// The tasks that are ready to run, in the order in which they became so.
#[derive(Default)]
pub(crate) struct Ready(Mutex<Vec<usize>>);

impl Ready {
    /// Takes one of them, chosen by `rng`.
    pub(crate) fn take(&self, rng: &mut Rng) -> Option<usize> {
        let mut tasks = locked(&self.0);
        match tasks.len() {
            0 => None,
            1 => tasks.pop(),
            len => Some(tasks.swap_remove(rng.index(len))),
        }
    }
}

/// Makes one task ready.
pub(crate) struct TaskWaker {
    task: usize,
    ready: Arc<Ready>,
    queued: AtomicBool,
}

impl TaskWaker {
    pub(crate) fn new(task: usize, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { task, ready: ready.clone(), queued: AtomicBool::new(false) })
    }

    /// To be called before the task is polled: a wake from now on counts again.
    pub(crate) fn taken(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            locked(&self.ready.0).push(self.task);
        }
    }
}

/// Locks `mutex`. A world is one thread: a poisoned lock means that a task panicked, which the caller of
/// `run` is being told.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
