//! In which order do jobs run that can hardly run beside each other?
//!
//! By turns, as [`Pace`] says: one worker takes them one after the other, until one lasts.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::Pace;

type Job = Box<dyn FnOnce() + Send>;
/// Has [`Turns::work`] run on a thread of the pool.
type Hire = dyn Fn(Arc<Turns>) + Send + Sync;

/// Jobs that take turns.
pub(super) struct Turns {
    state: Mutex<State>,
    /// Rings when a job waits for one that may last.
    waits: Condvar,
    hire: Box<Hire>,
}

struct State {
    waiting: VecDeque<Job>,
    /// Workers there may be.
    most: usize,
    pace: Pace,
    /// Whether the thread that looks for long jobs has been started.
    looks: bool,
}

impl State {
    /// Whether another worker is needed; it is counted then.
    fn needs_worker(&mut self) -> bool {
        !self.waiting.is_empty() && self.pace.hires(self.most)
    }
}

impl Turns {
    /// No jobs yet; at most `most` workers.
    pub(super) fn new(most: usize, hire: Box<Hire>) -> Arc<Self> {
        let state = State { waiting: VecDeque::new(), most, pace: Pace::default(), looks: false };
        Arc::new(Self { state: Mutex::new(state), waits: Condvar::new(), hire })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the number of workers.
    pub(super) fn resize(&self, most: usize) {
        self.state().most = most;
    }

    /// Queues a job.
    pub(super) fn push(self: &Arc<Self>, job: Job) {
        let (hire, look) = {
            let mut state = self.state();
            state.waiting.push_back(job);
            let hire = state.needs_worker();
            (hire, !hire && !std::mem::replace(&mut state.looks, true))
        };
        if hire {
            (self.hire)(Arc::clone(self));
        } else if look {
            self.start_looking();
        } else {
            self.waits.notify_one();
        }
    }

    /// Runs jobs while some wait, and no other worker is at the short ones.
    pub(super) fn work(&self) {
        loop {
            let job = {
                let mut state = self.state();
                let job = if state.pace.has_other() { None } else { state.waiting.pop_front() };
                match job {
                    Some(job) => {
                        state.pace.begins(Instant::now());
                        job
                    }
                    None => {
                        state.pace.leaves();
                        return;
                    }
                }
            };
            job();
        }
    }

    /// Starts the thread that hires workers where jobs wait for one that lasts.
    fn start_looking(self: &Arc<Self>) {
        let turns = Arc::clone(self);
        let look = move || loop {
            let hire = {
                let mut state = turns.state();
                while state.waiting.is_empty() {
                    state = turns.waits.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                drop(state);
                thread::sleep(Pace::LOOK_EVERY);
                turns.state().needs_worker()
            };
            if hire {
                (turns.hire)(Arc::clone(&turns));
            }
        };
        let started = thread::Builder::new().name("il-turns".to_owned()).stack_size(128 << 10).spawn(look);
        self.state().looks = started.is_ok();
    }
}
