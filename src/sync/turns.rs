//! In which order do jobs run that can hardly run beside each other?
//!
//! Where all workers need one thing for most of a job (the GIL that interpreters share), two workers with short jobs only
//! take it from each other. So one worker takes the jobs, one after the other; as soon as a job lasts, another worker
//! begins beside it, so that no long job holds up the short ones.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A job that lasts so long gets another worker beside it, when the next one comes ...
const LASTS: Duration = Duration::from_millis(1);
/// ... or after this time, if none comes.
const LOOK_EVERY: Duration = Duration::from_millis(5);

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
    /// Workers there are.
    workers: usize,
    /// When a job began last, and which worker's it was.
    began: Option<(Instant, thread::ThreadId)>,
    /// Whether the thread that looks for long jobs has been started.
    looks: bool,
}

impl State {
    /// Whether the job that began last began just now.
    fn is_fresh(&self) -> bool {
        self.began.is_some_and(|(began, _)| began.elapsed() < LASTS)
    }

    /// Whether another worker is needed; it is counted then.
    fn needs_worker(&mut self) -> bool {
        let needed = !self.waiting.is_empty() && (self.workers == 0 || (!self.is_fresh() && self.workers < self.most));
        self.workers += usize::from(needed);
        needed
    }
}

impl Turns {
    /// No jobs yet; at most `most` workers.
    pub(super) fn new(most: usize, hire: Box<Hire>) -> Arc<Self> {
        let state = State { waiting: VecDeque::new(), most, workers: 0, began: None, looks: false };
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
                let me = thread::current().id();
                let others = state.workers > 1 && state.is_fresh() && state.began.is_some_and(|(_, who)| who != me);
                let job = if others { None } else { state.waiting.pop_front() };
                match job {
                    Some(job) => {
                        state.began = Some((Instant::now(), me));
                        job
                    }
                    None => {
                        state.workers -= 1;
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
                thread::sleep(LOOK_EVERY);
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
