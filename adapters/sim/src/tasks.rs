//! The tasks of a world.

use crate::Rng;
use crate::sync::locked;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The process of the code that runs the world. It cannot be killed, and does not sleep.
pub(crate) const OUTSIDE: usize = 0;

/// The process of the network: the same holds.
pub(crate) const NETWORK: usize = 1;

/// The tasks of a world, by number.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<State>);

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// A place for a task.
enum Slot {
    Free,
    Waiting(Running),
    /// It is being polled; the process is known.
    Polled(usize),
}

/// A task that has not ended.
pub(crate) struct Running {
    pub(crate) work: Work,
    pub(crate) process: usize,
    pub(crate) waker: Waker,
    pub(crate) handle: Arc<TaskWaker>,
}

impl Slot {
    fn process(&self) -> Option<usize> {
        match self {
            Self::Free => None,
            Self::Waiting(running) => Some(running.process),
            Self::Polled(process) => Some(*process),
        }
    }
}

impl Tasks {
    /// Takes up what was spawned.
    pub(crate) fn adopt(&self, arrivals: Vec<(usize, Work)>, ready: &Arc<Ready>) {
        for (process, work) in arrivals {
            let mut state = locked(&self.0);
            let task = state.free.pop().unwrap_or(state.slots.len());
            let handle = TaskWaker::new(task, ready);
            let waker = Waker::from(handle.clone());
            waker.wake_by_ref();
            let slot = Slot::Waiting(Running { work, process, waker, handle });
            match state.slots.get_mut(task) {
                Some(free) => *free = slot,
                None => state.slots.push(slot),
            }
        }
    }

    /// Takes a task to poll it. `None` if it has ended, or is being polled: a waker may outlive its task, or wake the next one
    /// in its place, which does no harm.
    pub(crate) fn take(&self, task: usize) -> Option<Running> {
        let mut state = locked(&self.0);
        let slot = state.slots.get_mut(task)?;
        match std::mem::replace(slot, Slot::Free) {
            Slot::Waiting(running) => {
                *slot = Slot::Polled(running.process);
                Some(running)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// A task was polled, and has not ended.
    pub(crate) fn put_back(&self, task: usize, running: Running) {
        locked(&self.0).slots[task] = Slot::Waiting(running);
    }

    /// A task was polled, and has ended.
    pub(crate) fn free(&self, task: usize) {
        let mut state = locked(&self.0);
        state.slots[task] = Slot::Free;
        state.free.push(task);
    }

    /// Drops the tasks of a process.
    pub(crate) fn kill(&self, process: usize) {
        let mut killed = Vec::new();
        let mut state = locked(&self.0);
        let State { slots, free } = &mut *state;
        for (task, slot) in slots.iter_mut().enumerate() {
            if matches!(slot, Slot::Waiting(running) if running.process == process) {
                killed.push(std::mem::replace(slot, Slot::Free));
                free.push(task);
            }
        }
        // What is dropped may call back.
        drop(state);
        drop(killed);
    }

    /// Drops all tasks.
    pub(crate) fn clear(&self) {
        let slots = std::mem::take(&mut locked(&self.0).slots);
        drop(slots);
    }

    /// Whether a task belongs to the network.
    pub(crate) fn is_network(&self, task: usize) -> bool {
        locked(&self.0).slots.get(task).and_then(Slot::process) == Some(NETWORK)
    }

    /// The process of each task, without those of the network and of the code that runs the world.
    pub(crate) fn of_processes(&self) -> Vec<usize> {
        self.processes().into_iter().filter(|process| ![OUTSIDE, NETWORK].contains(process)).collect()
    }

    /// The process of each task.
    pub(crate) fn processes(&self) -> Vec<usize> {
        locked(&self.0).slots.iter().filter_map(Slot::process).collect()
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

    /// Takes the first of them for which `wanted` holds.
    pub(crate) fn take_first(&self, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let mut tasks = locked(&self.0);
        let place = tasks.iter().position(|task| wanted(*task))?;
        Some(tasks.swap_remove(place))
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
