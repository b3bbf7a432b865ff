//! On which thread does a job run?
//!
//! A fixed set of named threads (the `threadpool` crate) behind a bounded queue. A job that panics
//! costs nothing but itself. Cancelling is the job's affair, see [`CancelToken`](super::CancelToken).

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use threadpool::ThreadPool;

/// A pool of worker threads.
pub struct Pool {
    threads: Mutex<ThreadPool>,
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

impl Pool {
    /// Starts `threads` threads called `name`, each with a stack of `stack` bytes.
    pub fn new(name: &str, threads: usize, stack: usize) -> Self {
        let threads = threadpool::Builder::new()
            .num_threads(threads.max(1))
            .thread_name(name.to_owned())
            .thread_stack_size(stack)
            .build();
        Self { threads: Mutex::new(threads), load: Arc::default(), closed: AtomicBool::new(false) }
    }

    /// Changes the number of threads; running jobs are not disturbed.
    pub fn resize(&self, threads: usize) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).set_num_threads(threads.max(1));
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
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).execute(move || {
            load.running.fetch_add(1, Ordering::AcqRel);
            load.queued.fetch_sub(1, Ordering::AcqRel);
            // The panic hook has logged it; the job's own drops have answered its client.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
            load.running.fetch_sub(1, Ordering::AcqRel);
        });
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
