//! How does a worker get the lock from a main thread that is never idle?
//!
//! The main thread gives the lock up between two rounds of its event loop. Under full load that is a
//! matter of a microsecond, and a thread that sleeps on the mutex never wakes up in time for it. So a
//! worker does not sleep on the mutex: the main thread wakes it when it is about to release
//! (BEFORE_SLEEP), and if the worker has waited for long, lingers until it is awake and tries.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use redis_module::raw;

use super::api;
use super::lock::module_ctx;

/// After this long the main thread lingers for the worker: one slice in each round of its loop then.
const PATIENCE: Duration = Duration::from_millis(1);
/// How long the main thread lingers: this part of what the worker has waited, ...
const LINGER_PART: u32 = 10;
/// ... at most. Reached only where the kernel does not give the worker a processor.
const LINGER: Duration = Duration::from_millis(5);
/// How long a worker that was called tries before it sleeps again.
const TRY_FOR: Duration = Duration::from_millis(2);
/// A worker looks by itself so often, in case that the lock is released elsewhere than in the event loop.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The one worker that waits: the turnstile lets in no other.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// The main thread calls by counting up; a worker that is on a processor, trying, answers with the same number.
static CALL: AtomicU64 = AtomicU64::new(0);
static ANSWER: AtomicU64 = AtomicU64::new(0);
static WORKER: Mutex<Option<Thread>> = Mutex::new(None);
static EPOCH: Lazy<Instant> = Lazy::new(Instant::now);
/// Threads that want the lock, those before the turnstile included.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How many threads wait for the lock.
pub(super) fn waiting() -> usize {
    WAITING.load(Ordering::Acquire)
}

/// A thread that wants the lock, until this is dropped.
pub(super) struct Wanting;

impl Wanting {
    pub(super) fn new() -> Self {
        WAITING.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Wanting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}

fn try_lock() -> bool {
    // SAFETY: the caller's thread does not hold the lock; the context is not used by the call.
    unsafe { api!(RedisModule_ThreadSafeContextTryLock(module_ctx())) == raw::REDISMODULE_OK as i32 }
}

/// One turn of waiting for the other thread. With a processor for each of the two, giving one's own up
/// would hand it to somebody else for milliseconds.
fn pause() {
    static ALONE: Lazy<bool> = Lazy::new(|| thread::available_parallelism().is_ok_and(|count| count.get() == 1));
    if *ALONE {
        thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// Takes the lock, however long that takes, unless `done` comes first. Called by the worker whose turn it is.
/// Whether it was taken.
pub(super) fn acquire_unless(done: &dyn Fn() -> bool) -> bool {
    if try_lock() {
        return true;
    }
    *WORKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
    // Never 0, which stands for nobody.
    SINCE.store(EPOCH.elapsed().as_nanos() as u64 | 1, Ordering::SeqCst);
    let taken = loop {
        if done() {
            break false;
        }
        thread::park_timeout(LOOK_EVERY);
        // Without a call one look is enough: the main thread may be busy for long, and needs the processor more.
        if try_lock() || (CALL.load(Ordering::Acquire) != ANSWER.load(Ordering::Relaxed) && try_until_quiet(done)) {
            break true;
        }
    };
    SINCE.store(0, Ordering::SeqCst);
    *WORKER.lock().unwrap_or_else(PoisonError::into_inner) = None;
    taken
}

/// Tries until nobody has called for a while, or it is `done`. Whether the lock was taken.
fn try_until_quiet(done: &dyn Fn() -> bool) -> bool {
    let mut answered = ANSWER.load(Ordering::Relaxed);
    let mut end = Instant::now() + TRY_FOR;
    loop {
        if try_lock() {
            return true;
        }
        let call = CALL.load(Ordering::Acquire);
        if call != answered {
            answered = call;
            ANSWER.store(call, Ordering::Release);
            end = Instant::now() + TRY_FOR;
        } else if done() || Instant::now() >= end {
            return false;
        }
        pause();
    }
}

/// The main thread is about to release the lock and to poll for events.
pub(super) fn main_leaves() {
    let since = SINCE.load(Ordering::SeqCst);
    if since == 0 {
        return;
    }
    let call = CALL.fetch_add(1, Ordering::AcqRel) + 1;
    if let Some(worker) = &*WORKER.lock().unwrap_or_else(PoisonError::into_inner) {
        worker.unpark();
    }
    let waited = EPOCH.elapsed().saturating_sub(Duration::from_nanos(since));
    if waited < PATIENCE {
        return;
    }
    let end = Instant::now() + LINGER.min(waited / LINGER_PART);
    while ANSWER.load(Ordering::Acquire) != call && SINCE.load(Ordering::Acquire) == since && Instant::now() < end {
        pause();
    }
}
