//! On which thread does a job run?
//!
//! A fixed set of named threads (the `threadpool` crate) behind a bounded queue. A job that panics
//! costs nothing but itself. Cancelling is the job's affair, see [`CancelToken`](super::CancelToken).

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threadpool::ThreadPool;

use super::turns::Turns;

/// A pool of worker threads.
pub struct Pool {
    threads: Arc<Mutex<ThreadPool>>,
    /// Set where jobs take turns.
    turns: Option<Arc<Turns>>,
    load: Arc<Load>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Load {
    queued: AtomicUsize,
    running: AtomicUsize,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full,
    /// The server is shutting down.
    Closed,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::Full => "the job queue is full (see CONFIG GET search.queue-limit), try again later",
            Refused::Closed => "the server is shutting down",
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts `threads` threads called `name`, each with a stack of `stack` bytes.
    pub fn new(name: &str, threads: usize, stack: usize) -> Self {
        let threads = threadpool::Builder::new()
            .num_threads(threads.max(1))
            .thread_name(name.to_owned())
            .thread_stack_size(stack)
            .build();
        let threads = Arc::new(Mutex::new(threads));
        Self { threads, turns: None, load: Arc::default(), closed: AtomicBool::new(false) }
    }

    /// The same for jobs that can hardly run beside each other: they take turns until one lasts.
    pub fn taking_turns(name: &str, threads: usize, stack: usize) -> Self {
        let pool = Self::new(name, threads, stack);
        let of = Arc::clone(&pool.threads);
        let hire = move |turns: Arc<Turns>| lock(&of).execute(move || turns.work());
        Self { turns: Some(Turns::new(threads.max(1), Box::new(hire))), ..pool }
    }

    /// Changes the number of threads; running jobs are not disturbed.
    pub fn resize(&self, threads: usize) {
        lock(&self.threads).set_num_threads(threads.max(1));
        if let Some(turns) = &self.turns {
            turns.resize(threads.max(1));
        }
    }

    /// Queues a job unless `limit` jobs are waiting already.
    ///
    /// # Errors
    /// [`Refused`]; the job was dropped.
    pub fn submit(&self, limit: usize, job: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Refused::Closed);
        }
        let load = Arc::clone(&self.load);
        if load.queued.fetch_add(1, Ordering::AcqRel) >= limit {
            load.queued.fetch_sub(1, Ordering::AcqRel);
            return Err(Refused::Full);
        }
        let job = move || {
            load.running.fetch_add(1, Ordering::AcqRel);
            load.queued.fetch_sub(1, Ordering::AcqRel);
            // The panic hook has logged it; the job's own drops have answered its client.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
            load.running.fetch_sub(1, Ordering::AcqRel);
        };
        match &self.turns {
            Some(turns) => turns.push(Box::new(job)),
            None => lock(&self.threads).execute(job),
        }
        Ok(())
    }

    /// Jobs that wait for a thread.
    pub fn queued(&self) -> usize {
        self.load.queued.load(Ordering::Acquire)
    }

    /// Jobs that run.
    pub fn running(&self) -> usize {
        self.load.running.load(Ordering::Acquire)
    }

    /// Takes no more jobs.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn short_jobs_take_turns_and_long_ones_hold_nobody_up() {
        let pool = Pool::taking_turns("test", 2, 1 << 20);
        let (release, wait) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel();
        pool.submit(100, move || wait.recv().expect("released")).expect("room");
        for number in 0..50 {
            let answer = answer.clone();
            pool.submit(100, move || answer.send(number).expect("listening")).expect("room");
        }
        let order: Vec<i32> = (0..50).map(|_| answered.recv().expect("answers")).collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>(), "one worker beside the long job, in order");
        release.send(()).expect("waiting");
        while pool.running() > 0 {
            std::thread::yield_now();
        }
        pool.submit(100, move || answer.send(50).expect("listening")).expect("room");
        assert_eq!(answered.recv(), Ok(50));
    }

    #[test]
    fn the_queue_is_bounded_and_a_panic_is_survived() {
        let pool = Pool::new("test", 1, 1 << 20);
        let (release, wait) = mpsc::channel::<()>();
        pool.submit(8, move || wait.recv().expect("released")).expect("room");
        while pool.running() == 0 {
            std::thread::yield_now();
        }
        pool.submit(2, || panic!("a panic of the test")).expect("room");
        let (answer, answered) = mpsc::channel();
        pool.submit(2, move || answer.send(7).expect("listening")).expect("room");
        assert_eq!(pool.submit(2, || {}), Err(Refused::Full));
        release.send(()).expect("waiting");
        assert_eq!(answered.recv(), Ok(7));
        pool.close();
        assert_eq!(pool.submit(2, || {}), Err(Refused::Closed));
    }
}
