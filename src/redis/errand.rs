//! What can the server's thread do for a worker that does not get the lock?
//!
//! A main thread that is never idle gives the lock up for about a microsecond in each round of its event
//! loop, and on a busy machine a worker is seldom on a processor just then. So a short piece of work whose
//! worker has waited for long is done by the main thread itself, which has the lock: at the end of a round,
//! for a part of the time that the round took. Nobody waits longer for that than for the round itself.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::loan::{self, Loan};
use super::lock::{self, Context};
use super::{Held, LockGuard};
use crate::settings;

/// After a long round a worker that has waited for so long is helped, ...
const PATIENCE: Duration = Duration::from_millis(1);
/// ... after any other one that has waited for so long: it does not get the lock by itself.
const DESPAIR: Duration = Duration::from_millis(20);
/// So long the main thread waits for another piece of work, when it has done one.
const LINGER: Duration = Duration::from_micros(100);
/// A long round.
const LONG: Duration = Duration::from_millis(2);
/// How long the main thread works for others: this part of what its round took, ...
const SHARE: u32 = 10;
/// ... at most. At least one piece of work is done.
const LONGEST: Duration = Duration::from_millis(20);
/// How long a worker waits for a loan of the lock, ...
const LOAN_WAIT: Duration = Duration::from_millis(5);
/// ... and how often it looks whether the lock is free meanwhile.
const LOOK_EVERY: Duration = Duration::from_micros(250);

/// What the work is given: the proof, and when the lock was taken.
type Work<'w> = dyn FnMut(&Held<'_>, Instant) + Send + 'w;

/// Nobody does it yet.
const POSTED: u8 = 0;
/// Its worker, or the main thread, does it.
const TAKEN: u8 = 1;
/// The main thread has done it.
const DONE: u8 = 2;

struct Errand {
    /// Borrowed from the worker, which stays until nobody can use it any more ([`Posted`]).
    work: *mut Work<'static>,
    db: i32,
    asked: Instant,
    worker: Thread,
    state: AtomicU8,
    /// What came of it: the refusal of the database, or a panic.
    outcome: Mutex<thread::Result<Result<(), String>>>,
}

// SAFETY: the pointer is used by the thread that has moved the state from `POSTED` to `TAKEN`, and the work is `Send`.
unsafe impl Send for Errand {}
// SAFETY: as above.
unsafe impl Sync for Errand {}

impl Errand {
    /// The right to do it, for the first who asks.
    fn take(&self) -> bool {
        self.state.compare_exchange(POSTED, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }
}

/// The errands that wait, the first first. A leaf lock.
static ERRANDS: Mutex<VecDeque<Arc<Errand>>> = Mutex::new(VecDeque::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn with_errands<R>(work: impl FnOnce(&mut VecDeque<Arc<Errand>>) -> R) -> R {
    let mut errands = ERRANDS.lock().unwrap_or_else(PoisonError::into_inner);
    let result = work(&mut errands);
    COUNT.store(errands.len(), Ordering::Release);
    result
}

/// An errand in the queue. Its end is the end of everybody's use of the work.
struct Posted {
    errand: Arc<Errand>,
    ours: Cell<bool>,
}

impl Posted {
    fn new(db: i32, work: &mut Work<'_>) -> Self {
        // SAFETY: only the lifetime changes; nobody uses the pointer after the drop of what is made here.
        let work: *mut Work<'static> = unsafe { std::mem::transmute(std::ptr::from_mut(work)) };
        let errand = Arc::new(Errand {
            work,
            db,
            asked: Instant::now(),
            worker: thread::current(),
            state: AtomicU8::new(POSTED),
            outcome: Mutex::new(Ok(Ok(()))),
        });
        with_errands(|errands| errands.push_back(Arc::clone(&errand)));
        Self { errand, ours: Cell::new(false) }
    }

    /// Whether this thread is to do it, after all.
    fn take_back(&self) -> bool {
        if !self.ours.get() && self.errand.take() {
            self.ours.set(true);
            with_errands(|errands| errands.retain(|other| !Arc::ptr_eq(other, &self.errand)));
        }
        self.ours.get()
    }

    fn wait(&self) {
        while !self.errand.is_done() {
            thread::park_timeout(PATIENCE);
        }
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        if !self.take_back() {
            self.wait();
        }
    }
}

/// Runs `work` once under the lock, with database `db` chosen: on this thread, or on the main thread. A `brisk` worker has
/// many such pieces of work in a row.
///
/// # Errors
/// When this thread holds the lock already, or there is no such database; `work` was not run then.
pub(super) fn run(db: i32, brisk: bool, work: &mut Work<'_>) -> Result<(), String> {
    if lock::held_here() {
        return Err("ERR this thread holds the server's lock already".to_owned());
    }
    if brisk && run_brisk(db, work)? {
        return Ok(());
    }
    loan::end_loan();
    let posted = Posted::new(db, work);
    let guard = LockGuard::take_unless(db, &|| posted.errand.is_done());
    if posted.take_back() {
        return guard.map(|guard| {
            if let Some(guard) = guard {
                work(&guard.held(), guard.taken());
            }
        });
    }
    drop(guard);
    posted.wait();
    let outcome =
        std::mem::replace(&mut *posted.errand.outcome.lock().unwrap_or_else(PoisonError::into_inner), Ok(Ok(())));
    outcome.unwrap_or_else(|panic: Box<dyn Any + Send>| panic::resume_unwind(panic))
}

/// The same for a worker that has many such pieces of work: under a loan of the lock, for which it waits, or while the main
/// thread polls. Whether it was run.
fn run_brisk(db: i32, work: &mut Work<'_>) -> Result<bool, String> {
    let mut loan = Loan::take(db);
    let until = Instant::now() + LOAN_WAIT;
    loop {
        if let Some(loan) = loan {
            work(&loan.held(), loan.taken());
            return Ok(true);
        }
        if let Some(guard) = LockGuard::take_unless(db, &|| true)? {
            work(&guard.held(), guard.taken());
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        loan::expect_loan();
        loan = Loan::wait(db, LOOK_EVERY);
    }
}

thread_local! {
    /// When the main thread's round began.
    static ROUND: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A round of the event loop begins. On the main thread.
pub(super) fn round_begins() {
    ROUND.set(Some(Instant::now()));
}

/// A round ends: does what workers have waited for in vain, and lends the lock to those that have much to do. On the main
/// thread, under the lock.
pub(super) fn round_ends() {
    if COUNT.load(Ordering::Acquire) > 0 {
        serve();
    }
    loan::lend(Duration::from_micros(settings::SLICE_US.get().unsigned_abs()));
}

fn serve() {
    let now = Instant::now();
    let round = ROUND.get().map_or(Duration::ZERO, |began| now - began);
    let end = now + (round / SHARE).min(LONGEST);
    let mut patience = if round >= LONG { PATIENCE } else { DESPAIR };
    let mut quiet = now;
    loop {
        if let Some(errand) = next(patience) {
            do_it(&errand);
            // Its worker is likely to come back with the next piece at once.
            (patience, quiet) = (Duration::ZERO, end.min(Instant::now() + LINGER));
        }
        if Instant::now() >= quiet {
            return;
        }
        std::hint::spin_loop();
    }
}

/// The first errand, if it has waited for so long.
fn next(patience: Duration) -> Option<Arc<Errand>> {
    with_errands(|errands| loop {
        if errands.front()?.asked.elapsed() < patience {
            return None;
        }
        let errand = errands.pop_front()?;
        if errand.take() {
            return Some(errand);
        }
    })
}

thread_local! {
    /// This thread does an errand.
    static DOING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the main thread does a worker's errand now: it is between the commands of clients.
pub(super) fn runs_here() -> bool {
    DOING.get()
}

fn do_it(errand: &Errand) {
    let began = Instant::now();
    DOING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let ctx = Context::get();
        let held = ctx.held();
        held.select(errand.db)?;
        // SAFETY: this thread has taken the errand, and its worker waits until it is done.
        unsafe { (*errand.work)(&held, began) };
        Ok(())
    }));
    DOING.set(false);
    *errand.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    lock::record_slice(began - errand.asked, began.elapsed());
    errand.state.store(DONE, Ordering::Release);
    errand.worker.unpark();
}
