//! How does a worker that does many short pieces of work in a row, between pieces of its own, do them at full speed?
//!
//! At the end of a round of its event loop the main thread, which has the lock, lends it out and sleeps. While it is
//! lent a piece of work costs its worker one exchange of a flag, and no other thread has to wake up for it. Nothing
//! that lasts can hold the lock like that: between two pieces the main thread takes the loan back, when
//! nobody has used it for a moment, and when a slice's time is over.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use once_cell::sync::{Lazy, OnceCell};

use super::lock::{self, Context};
use super::{events, Held};

/// How often the main thread looks whether the loan is still used.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// How often a worker looks whether another one has done its piece of work.
const LOOKS: u32 = 1000;

/// The lock is not lent.
const FREE: u8 = 0;
/// Whoever comes may use it.
const LENT: u8 = 1;
/// A worker uses it.
const USED: u8 = 2;
/// A worker uses it, and gives it back then.
const WANTED: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(FREE);
/// Counts uses.
static USES: AtomicU64 = AtomicU64::new(0);
/// When the loan ends, in nanoseconds after [`EPOCH`].
static END: AtomicU64 = AtomicU64::new(0);
static EPOCH: Lazy<Instant> = Lazy::new(Instant::now);
static LENDER: OnceCell<Thread> = OnceCell::new();

/// Whether somebody is likely to use a loan soon.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// A worker that will use a loan begins soon, or wants one now: the main thread may wait a moment for it.
pub fn expect_loan() {
    EXPECTED.store(true, Ordering::Release);
}

/// Lends the lock out for at most `time`, if somebody is likely to use it. On the main thread, which has it.
pub(super) fn lend(time: Duration) {
    if !EXPECTED.swap(false, Ordering::AcqRel) {
        return;
    }
    LENDER.get_or_init(thread::current);
    let until = Instant::now() + time;
    END.store((until - *EPOCH).as_nanos() as u64, Ordering::Relaxed);
    let mut seen = USES.load(Ordering::Relaxed);
    STATE.store(LENT, Ordering::Release);
    waiting().drain(..).for_each(|worker| worker.unpark());
    while STATE.load(Ordering::Acquire) != FREE {
        thread::park_timeout(LOOK_EVERY);
        let uses = USES.load(Ordering::Relaxed);
        let idle = uses == seen;
        if idle || Instant::now() >= until {
            if !idle {
                expect_loan();
            }
            take_back();
        }
        seen = uses;
    }
    if EXPECTED.load(Ordering::Acquire) {
        // There is more to do: the next round comes at once, even if no client asks for anything.
        events::wake_main_thread();
    }
}

/// Waits for the end of a piece of work at most.
fn take_back() {
    if STATE.compare_exchange(LENT, FREE, Ordering::AcqRel, Ordering::Acquire) == Err(USED) {
        let _ = STATE.compare_exchange(USED, WANTED, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Ends a loan that nobody uses now: its worker has nothing more to do, or somebody wants the lock for longer.
pub fn end_loan() {
    if STATE.compare_exchange(LENT, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        wake();
    }
}

fn wake() {
    if let Some(lender) = LENDER.get() {
        lender.unpark();
    }
}

/// The lent lock, for one short piece of work.
pub(super) struct Loan {
    // Dropped in this order.
    ctx: Context,
    right: Right,
}

/// The right to use the lent lock, until this is dropped.
struct Right {
    began: Instant,
    _not_send: std::marker::PhantomData<*mut ()>,
}

impl Loan {
    /// The lock with database `db` chosen, if it is lent and no other worker is quicker.
    pub(super) fn take(db: i32) -> Option<Self> {
        let mut looks = 0;
        while let Err(state) = STATE.compare_exchange(LENT, USED, Ordering::AcqRel, Ordering::Relaxed) {
            looks += 1;
            if state != USED || looks > LOOKS {
                return None;
            }
            std::hint::spin_loop();
        }
        lock::set_held_here(true);
        let right = Right { began: Instant::now(), _not_send: std::marker::PhantomData };
        let loan = Self { ctx: Context::get(), right };
        loan.held().select(db).is_ok().then_some(loan)
    }

    /// As [`Loan::take`], and sleeps for at most `time` until there is a loan.
    pub(super) fn wait(db: i32, time: Duration) -> Option<Self> {
        waiting().push(thread::current());
        let loan = Self::take(db).or_else(|| {
            thread::park_timeout(time);
            Self::take(db)
        });
        let me = thread::current().id();
        waiting().retain(|worker| worker.id() != me);
        loan
    }

    /// The proof.
    pub(super) fn held(&self) -> Held<'_> {
        self.ctx.held()
    }

    /// When it was taken.
    pub(super) fn taken(&self) -> Instant {
        self.right.began
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        lock::set_held_here(false);
        let now = Instant::now();
        lock::record_slice(Duration::ZERO, now - self.began);
        USES.fetch_add(1, Ordering::Relaxed);
        let over = (now - *EPOCH).as_nanos() as u64 >= END.load(Ordering::Relaxed);
        if over {
            expect_loan();
        }
        if over || STATE.compare_exchange(USED, LENT, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            STATE.store(FREE, Ordering::Release);
            wake();
        }
    }
}

/// Workers that wait for a loan. A leaf lock.
fn waiting() -> MutexGuard<'static, Vec<Thread>> {
    static WAITING: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
