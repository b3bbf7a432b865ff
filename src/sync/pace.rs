//! How many workers are at jobs that can hardly run beside each other?
//!
//! Where all of them need one thing for most of a job (the GIL of an interpreter), two workers with short jobs only take it
//! from each other. So one takes them all, until a job lasts: then another one begins beside it.

use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A job that lasts so long gets another worker beside it, when the next one comes ...
const LASTS: Duration = Duration::from_millis(1);

/// The workers at one sort of jobs.
#[derive(Debug, Default)]
pub struct Pace {
    workers: usize,
    /// When a job began last, and which worker's it was.
    began: Option<(Instant, ThreadId)>,
}

impl Pace {
    /// ... or after this time, if none comes: how often to ask while jobs wait.
    pub const LOOK_EVERY: Duration = Duration::from_millis(5);

    /// Whether another worker is needed for a job that waits, where there may be `most`; it is counted then.
    pub fn hires(&mut self, most: usize) -> bool {
        let needed = self.workers == 0 || (!self.is_fresh() && self.workers < most);
        self.workers += usize::from(needed);
        needed
    }

    /// The calling worker begins a job at `now`.
    pub fn begins(&mut self, now: Instant) {
        self.began = Some((now, thread::current().id()));
    }

    /// Whether another worker than the calling one is at the short jobs.
    pub fn has_other(&self) -> bool {
        let me = thread::current().id();
        self.workers > 1 && self.is_fresh() && self.began.is_some_and(|(_, who)| who != me)
    }

    /// A worker leaves.
    pub fn leaves(&mut self) {
        self.workers -= 1;
    }

    /// Whether the job that began last began just now.
    fn is_fresh(&self) -> bool {
        self.began.is_some_and(|(began, _)| began.elapsed() < LASTS)
    }
}
