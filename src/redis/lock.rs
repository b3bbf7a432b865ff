//! Who may touch the keyspace now? Taking the server's global lock on a worker, and handing it over.
//!
//! The lock is an unfair mutex that the main thread gives up only while it polls for events. Two rules
//! keep the server responsive:
//!
//! * Workers pass a turnstile, so the main thread competes with one of them at a time.
//! * After every slice the worker makes sure that the main thread is *in*, or does not want to be,
//!   before anybody takes the lock again ([`hand_over`]). Releasing alone is not enough: the thread that
//!   runs takes an unfair mutex again before the one that was woken comes to it.
//!
//! How the worker knows: the server tells when its loop goes to sleep and when it has come back with
//! the lock (EVENTLOOP events, Redis 7.0). Between the two, the kernel tells whether the main thread
//! sleeps in its poll or waits for the lock (`/proc/self/task/<tid>/syscall`).

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::{api, contend, loan, Held};
use crate::sync::{Histogram, Turn, Turnstile};

static TURNSTILE: Turnstile = Turnstile::new();
static MAIN: MainThread = MainThread::new();
static STATS: Counters = Counters {
    hold: Histogram::new(),
    worker_wait: Histogram::new(),
    main_wait: Histogram::new(),
    yields: AtomicU64::new(0),
    forced: AtomicU64::new(0),
};

/// How long a worker waits at most for a main thread that wants the lock. It is reached only where
/// the kernel gives the main thread no processor for so long.
const HAND_OVER_LIMIT: Duration = Duration::from_millis(5);
/// How long a worker pauses where the kernel does not tell what the main thread does.
const BLIND_PAUSE: Duration = Duration::from_micros(100);
/// How often the kernel is asked while the main thread wants the lock; its arrival ends the wait at once.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

thread_local! {
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

struct Counters {
    hold: Histogram,
    worker_wait: Histogram,
    main_wait: Histogram,
    yields: AtomicU64,
    forced: AtomicU64,
}

/// Statistics of the lock since the server started, or since [`reset_stats`].
pub struct LockStats {
    /// How long slices held the lock.
    pub hold: crate::sync::Summary,
    /// How long workers waited for it, the turnstile included.
    pub worker_wait: crate::sync::Summary,
    /// How long the main thread waited, as an event that arrives at a random moment sees it: sampled by a
    /// probe while slices are taken.
    pub main_wait: crate::sync::Summary,
    /// Slices after which the main thread was let in.
    pub yields: u64,
    /// Slices after which the main thread wanted the lock, but did not come in time.
    pub forced: u64,
}

/// The statistics now.
pub fn stats() -> LockStats {
    LockStats {
        hold: STATS.hold.summary(),
        worker_wait: STATS.worker_wait.summary(),
        main_wait: STATS.main_wait.summary(),
        yields: STATS.yields.load(Ordering::Relaxed),
        forced: STATS.forced.load(Ordering::Relaxed),
    }
}

/// Forgets the statistics.
pub fn reset_stats() {
    STATS.hold.reset();
    STATS.worker_wait.reset();
    STATS.main_wait.reset();
    STATS.yields.store(0, Ordering::Relaxed);
    STATS.forced.store(0, Ordering::Relaxed);
}

/// A piece of work was done under the lock for a worker that had waited for it.
pub(super) fn record_slice(waited: Duration, held: Duration) {
    STATS.worker_wait.record(waited);
    STATS.hold.record(held);
    ACTIVITY.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn record_main_wait(wait: Duration) {
    STATS.main_wait.record(wait);
}

/// Slices taken since the start; never reset. The probe sleeps while it stands still.
pub(super) fn activity() -> u64 {
    ACTIVITY.load(Ordering::Relaxed)
}
static ACTIVITY: AtomicU64 = AtomicU64::new(0);

/// The server's lock, held by a worker thread.
pub struct LockGuard {
    ctx: Context,
    taken: Instant,
    turn: Option<Turn<'static>>,
    _not_send: std::marker::PhantomData<*mut ()>,
}

impl LockGuard {
    /// Waits for the turn and for the lock, and chooses database `db`.
    ///
    /// # Errors
    /// When this thread holds the lock already (it would wait for itself for ever), or there is no such database.
    pub fn take(db: i32) -> Result<Self, String> {
        loan::end_loan();
        let guard = Self::take_unless(db, &|| false)?;
        guard.ok_or_else(|| "ERR the server's lock was not taken".to_owned())
    }

    /// As [`LockGuard::take`]; `None` once `done` says that it is not needed any more. Whoever makes that true unparks
    /// this thread.
    pub(super) fn take_unless(db: i32, done: &dyn Fn() -> bool) -> Result<Option<Self>, String> {
        if held_here() {
            return Err("ERR this thread holds the server's lock already".to_owned());
        }
        let asked = Instant::now();
        let wanting = contend::Wanting::new();
        let Some(turn) = TURNSTILE.enter_unless(done) else { return Ok(None) };
        if !contend::acquire_unless(done) {
            return Ok(None);
        }
        drop(wanting);
        let taken = Instant::now();
        STATS.worker_wait.record(taken - asked);
        HOLDS.set(true);
        let guard = Self { ctx: Context::get(), taken, turn: Some(turn), _not_send: std::marker::PhantomData };
        guard.held().select(db)?;
        Ok(Some(guard))
    }

    /// The proof.
    pub fn held(&self) -> Held<'_> {
        self.ctx.held()
    }

    /// When the lock was taken.
    pub fn taken(&self) -> Instant {
        self.taken
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let entries = MAIN.entries.load(Ordering::Acquire);
        // SAFETY: `take` locked it on this thread (the guard is not Send).
        unsafe { api!(RedisModule_ThreadSafeContextUnlock(self.ctx.0)) };
        HOLDS.set(false);
        STATS.hold.record(self.taken.elapsed());
        ACTIVITY.fetch_add(1, Ordering::Relaxed);
        hand_over(entries);
        drop(self.turn.take());
    }
}

/// Whether this thread holds the lock: as a worker in a slice, or as the main thread in a callback.
pub(super) fn held_here() -> bool {
    HOLDS.get()
}

/// Notes whether this thread holds the lock.
pub(super) fn set_held_here(held: bool) {
    HOLDS.set(held);
}

/// Marks the calling thread as holding the lock while `work` runs: the entry points use it.
pub(super) fn marked<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HOLDS.set(self.0);
        }
    }
    let _restore = Restore(HOLDS.replace(true));
    work()
}

/// Lets the main thread in if it wants to. `entries` was read while the lock was still held.
fn hand_over(entries: u64) {
    let end = Instant::now() + HAND_OVER_LIMIT;
    let mut registered = false;
    loop {
        if MAIN.entries.load(Ordering::Acquire) != entries {
            STATS.yields.fetch_add(1, Ordering::Relaxed);
            break;
        }
        let pause = match MAIN.wants_lock() {
            Some(false) => break,
            Some(true) if Instant::now() >= end => {
                STATS.forced.fetch_add(1, Ordering::Relaxed);
                break;
            }
            Some(true) => LOOK_AGAIN,
            None if registered => break,
            None => BLIND_PAUSE,
        };
        if registered {
            thread::park_timeout(pause);
        } else {
            // From here on the main thread unparks this one when it comes in; look once more before parking.
            MAIN.await_arrival(thread::current());
            registered = true;
            if MAIN.entries.load(Ordering::Acquire) == entries {
                thread::park_timeout(pause);
            }
        }
    }
    if registered {
        MAIN.forget_arrival();
    }
}

/// What is known of the main thread.
struct MainThread {
    /// Counts its returns from the poll with the lock.
    entries: AtomicU64,
    /// Whether somebody waits for the next return.
    awaited: AtomicBool,
    waiter: Mutex<Option<Thread>>,
    /// `/proc/self/task/<tid>/syscall` of the main thread, where there is one.
    syscall: OnceCell<Option<File>>,
}

impl MainThread {
    const fn new() -> Self {
        Self {
            entries: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            waiter: Mutex::new(None),
            syscall: OnceCell::new(),
        }
    }

    fn await_arrival(&self, thread: Thread) {
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        self.awaited.store(true, Ordering::SeqCst);
    }

    fn forget_arrival(&self) {
        self.awaited.store(false, Ordering::SeqCst);
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the main thread wants the lock (or has it), as far as the kernel tells.
    fn wants_lock(&self) -> Option<bool> {
        let file = self.syscall.get()?.as_ref()?;
        let mut buffer = [0_u8; 32];
        let length = file.read_at(&mut buffer, 0).ok()?;
        let number = buffer[..length].split(|byte| *byte == b' ').next()?;
        let number: i64 = std::str::from_utf8(number).ok()?.parse().unwrap_or(-1);
        // In its poll it does not want the lock. Running, or in any other call, it may.
        Some(!POLL_CALLS.contains(&number))
    }
}

/// The calls in which an event loop sleeps.
const POLL_CALLS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
];

/// The main thread has come back from its poll, with the lock.
pub(super) fn main_entered() {
    MAIN.entries.fetch_add(1, Ordering::AcqRel);
    if MAIN.awaited.load(Ordering::SeqCst) {
        if let Some(thread) = &*MAIN.waiter.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }
}

static MAIN_ID: OnceCell<ThreadId> = OnceCell::new();

/// Whether the calling thread is the main thread.
pub(super) fn on_main_thread() -> bool {
    MAIN_ID.get() == Some(&thread::current().id())
}

/// Remembers the calling thread as the main thread.
pub(super) fn set_main_thread() {
    let _ = MAIN_ID.set(thread::current().id());
    // SAFETY: no arguments, no memory.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    let _ = MAIN.syscall.set(File::open(format!("/proc/self/task/{tid}/syscall")).ok());
}

static MODULE_CTX: AtomicPtr<raw::RedisModuleCtx> = AtomicPtr::new(std::ptr::null_mut());

/// A detached context bound to the module, made when it was loaded; lives for ever.
pub(super) fn module_ctx() -> *mut raw::RedisModuleCtx {
    MODULE_CTX.load(Ordering::Acquire)
}

pub(super) fn set_module_ctx(ctx: *mut raw::RedisModuleCtx) {
    MODULE_CTX.store(ctx, Ordering::Release);
}

/// A detached context of one user, so that the chosen database is not shared with anybody.
pub(super) struct Context(*mut raw::RedisModuleCtx);

// SAFETY: a context is used by one thread at a time; `SPARE` hands it on under its mutex.
unsafe impl Send for Context {}

static SPARE: Mutex<Vec<Context>> = Mutex::new(Vec::new());

impl Context {
    /// A spare one or a new one. Called with the lock held, as making one requires.
    pub(super) fn get() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // SAFETY: the lock is held, and the module's context is valid.
        spare.unwrap_or_else(|| Self(unsafe { api!(RedisModule_GetDetachedThreadSafeContext(module_ctx())) }))
    }
}

impl Context {
    /// The proof. Contexts are in use only while the lock is held.
    pub(super) fn held(&self) -> Held<'_> {
        // SAFETY: see above; the context lives as long as `self`.
        unsafe { Held::new(self.0) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(Self(self.0));
    }
}
