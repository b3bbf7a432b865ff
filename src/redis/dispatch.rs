//! Which lane does a command take?
//!
//! A command's handler parses on the main thread and returns an [`Outcome`]. A job goes to a pool,
//! while its client is blocked; where blocking is not allowed, or SAFEMODE asks for atomic commands, the
//! same job runs at once on the main thread.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::{Lazy, OnceCell};
use redis_module::raw;

use super::lane::{Client, Waits};
use super::{blocked, contend, loan, priority, write, BlockedReply, Held, Invocation, Lane};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Pool, Refused, Stop};

/// What to do for a call.
pub enum Outcome {
    /// Answer at once.
    Reply(Reply),
    /// Run a job and answer with what it returns.
    Job(Job),
    /// Run a job as [`Outcome::Job`], but never on the main thread: where the client may not be blocked, answer this.
    Pooled(Job, Reply),
    /// Run a job at once on the main thread: it is known to be far shorter than a slice, or must be atomic.
    Now(Job),
    /// Block the client; somebody else will answer it.
    Wait(Wait),
    /// The same where the client may be blocked, and a job elsewhere.
    WaitOr(Wait, Job),
}

/// Work that may be long.
pub struct Job {
    /// What it is, for `INFO`.
    pub pool: Pools,
    /// The longest time in the pool, waiting included; the client gets an error then.
    pub limit: Option<Duration>,
    /// The switch that stops it.
    pub cancel: CancelToken,
    /// The longest time in the inline lane.
    pub inline_limit: Option<Duration>,
    /// The work. It runs once, in either lane.
    pub run: Box<dyn FnOnce(&mut Lane) -> Reply + Send>,
}

/// Takes the duty to answer over; called under the lock.
pub type Register = Box<dyn FnOnce(&Held<'_>, BlockedReply) + Send>;

/// A client that waits for something other than a job.
pub struct Wait {
    /// The longest wait; the client gets an error then.
    pub limit: Option<Duration>,
    /// Told when the client times out or goes.
    pub cancel: CancelToken,
    /// Takes over the duty to answer.
    pub register: Register,
    /// What to answer where the client may not be blocked.
    pub otherwise: Reply,
}

/// The pools of worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pools {
    /// For the module's own jobs; they never wait long.
    Workers,
    /// For jobs that are known to be long, so that the others need not wait for them.
    Long,
    /// For the rows of those: who reads them holds the server's lock, so they must not be slower than others.
    Rows,
    /// For Python, where a script may do what it likes.
    Python,
    /// For reading documents into indexes.
    Indexing,
    /// For what indexes need now and then: sealing and merging of segments, their end.
    Maintenance,
    /// For the scans that fill indexes. They hold the server's lock, so they must not be slower than others.
    Scanning,
}

static WORKERS: OnceCell<Pool> = OnceCell::new();
static LONG: OnceCell<Pool> = OnceCell::new();
static ROWS: OnceCell<Pool> = OnceCell::new();
static PYTHON: OnceCell<Pool> = OnceCell::new();
static INDEXING: OnceCell<Pool> = OnceCell::new();
static MAINTENANCE: OnceCell<Pool> = OnceCell::new();
static SCANNING: OnceCell<Pool> = OnceCell::new();

/// A worker's stack, of which Rust code needs little.
const WORKER_STACK: usize = 2 << 20;
/// A Python worker's stack: what `python::STACK_SIZE` asks for. Only what is used takes memory.
const PYTHON_STACK: usize = 32 << 20;
/// Two, so that one index's long merge does not keep others waiting.
const MAINTENANCE_THREADS: usize = 2;

/// Whether all Python shares one GIL.
static SHARED_GIL: AtomicBool = AtomicBool::new(false);

/// All Python shares one GIL, so that its workers take turns. Told before any of them begins.
pub fn set_shared_gil() {
    SHARED_GIL.store(true, Ordering::Relaxed);
}

impl Pools {
    /// The pool; its threads start when it is first used.
    pub fn get(self) -> &'static Pool {
        self.cell().get_or_init(|| match self {
            Pools::Workers => Pool::new("il-worker", settings::WORKERS.count(), WORKER_STACK),
            Pools::Long => {
                // Threads take after the one that starts them, which must not be one that has stepped back.
                Pools::Rows.get();
                Pool::new("il-long", settings::WORKERS.count(), WORKER_STACK)
            }
            Pools::Rows => Pool::new("il-rows", settings::WORKERS.count(), WORKER_STACK),
            Pools::Python if SHARED_GIL.load(Ordering::Relaxed) => {
                Pool::taking_turns("il-python", settings::PYTHON_WORKERS.count(), PYTHON_STACK)
            }
            Pools::Python => Pool::new("il-python", settings::PYTHON_WORKERS.count(), PYTHON_STACK),
            Pools::Indexing => Pool::new("il-index", settings::INDEX_THREADS.threads(), WORKER_STACK),
            Pools::Scanning => Pool::new("il-scan", 1, WORKER_STACK),
            Pools::Maintenance => Pool::new("il-merge", MAINTENANCE_THREADS, WORKER_STACK),
        })
    }

    /// The pool, if it was used so far.
    pub fn started(self) -> Option<&'static Pool> {
        self.cell().get()
    }

    /// What a thread of the pool does before a job.
    fn begin(self) {
        if matches!(self, Pools::Long | Pools::Indexing | Pools::Maintenance) {
            priority::step_back();
        }
    }

    fn cell(self) -> &'static OnceCell<Pool> {
        match self {
            Pools::Workers => &WORKERS,
            Pools::Long => &LONG,
            Pools::Rows => &ROWS,
            Pools::Python => &PYTHON,
            Pools::Indexing => &INDEXING,
            Pools::Scanning => &SCANNING,
            Pools::Maintenance => &MAINTENANCE,
        }
    }
}

/// The pools that were used so far.
fn started() -> impl Iterator<Item = &'static Pool> {
    [WORKERS.get(), LONG.get(), ROWS.get(), PYTHON.get(), INDEXING.get(), MAINTENANCE.get(), SCANNING.get()]
        .into_iter()
        .flatten()
}

/// The jobs under way: how SHUTDOWN reaches them.
static RUNNING: Lazy<Mutex<HashMap<u64, CancelToken>>> = Lazy::new(Mutex::default);
static NEXT_JOB: AtomicU64 = AtomicU64::new(0);

/// A job's entry in `RUNNING`.
struct Registered(u64);

impl Registered {
    fn new(cancel: &CancelToken) -> Self {
        let id = NEXT_JOB.fetch_add(1, Ordering::Relaxed);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(id, cancel.clone());
        Self(id)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// How many blocked clients wait for an answer of the module.
pub fn clients_waiting() -> usize {
    blocked::waiting()
}

/// Tells every job to stop, and takes no new ones.
pub(super) fn stop_everything() {
    for pool in started() {
        pool.close();
    }
    for cancel in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).values() {
        cancel.cancel(Stop::Shutdown);
    }
    blocked::cancel_all(Stop::Shutdown);
}

/// Waits until nothing runs but what waits for the lock, which the caller holds; at most for `limit`.
/// Returns whether that was reached.
pub(super) fn drain(limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let running = || started().map(Pool::running).sum::<usize>();
    while running() > contend::waiting() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Where the server says that the client must not be blocked. Its own list for `DENY_BLOCKING` leaves out the
/// replication link, which would stand still.
const DENY: u32 = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING
    | raw::REDISMODULE_CTX_FLAGS_MULTI
    | raw::REDISMODULE_CTX_FLAGS_LUA
    | raw::REDISMODULE_CTX_FLAGS_LOADING
    | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING
    | raw::REDISMODULE_CTX_FLAGS_REPLICATED
    | raw::REDISMODULE_CTX_FLAGS_IS_CHILD;

pub(super) fn may_block(flags: u32) -> bool {
    flags & DENY == 0
}

/// Runs a job that no client waits for.
///
/// # Errors
/// When the pool takes no more; the job was dropped.
pub fn background(
    pool: Pools,
    db: i32,
    cancel: CancelToken,
    work: impl FnOnce(&mut Lane) + Send + 'static,
) -> Result<(), Refused> {
    let registered = Registered::new(&cancel);
    // An index asks for a few jobs at a time, and a refused one would have to be asked for again.
    let limit = match pool {
        Pools::Indexing | Pools::Maintenance | Pools::Scanning => usize::MAX,
        Pools::Workers | Pools::Long | Pools::Rows | Pools::Python => settings::QUEUE_LIMIT.count(),
    };
    pool.get().submit(limit, move || {
        let _registered = registered;
        pool.begin();
        work(&mut Lane::pooled(db, cancel, Client::default()));
    })
}

/// Runs a job that serves clients who wait already: the bound of the pool's queue is not meant for it.
pub fn background_surely(pool: Pools, db: i32, cancel: CancelToken, work: impl FnOnce(&mut Lane) + Send + 'static) {
    let registered = Registered::new(&cancel);
    go_on(pool, move || {
        let _registered = registered;
        work(&mut Lane::pooled(db, cancel, Client::default()));
    });
}

/// Runs a piece of a job that was taken before: the bound of the pool's queue is not meant for it.
pub fn go_on(pool: Pools, work: impl FnOnce() + Send + 'static) {
    // Refused only at the end of the server; the work is dropped then.
    let _ = pool.get().submit(usize::MAX, move || {
        pool.begin();
        work();
    });
}

/// Does what `outcome` says.
pub(super) fn dispatch(outcome: Outcome, invocation: &Invocation<'_>) {
    match outcome {
        Outcome::Reply(reply) => answer(&invocation.held, &reply),
        Outcome::Job(job) if may_block(invocation.flags) && !settings::SAFEMODE.is_on() => pooled(job, invocation),
        Outcome::Job(job) | Outcome::Now(job) => inline(job, invocation),
        Outcome::Pooled(job, _) if may_block(invocation.flags) => pooled(job, invocation),
        Outcome::Pooled(_, otherwise) => answer(&invocation.held, &otherwise),
        Outcome::WaitOr(wait, _) if may_block(invocation.flags) && !settings::SAFEMODE.is_on() => {
            let blocked = BlockedReply::block(&invocation.held, wait.cancel, wait.limit);
            (wait.register)(&invocation.held, blocked);
        }
        Outcome::WaitOr(_, job) => inline(job, invocation),
        Outcome::Wait(wait) if may_block(invocation.flags) => {
            let blocked = BlockedReply::block(&invocation.held, wait.cancel, wait.limit);
            (wait.register)(&invocation.held, blocked);
        }
        Outcome::Wait(wait) => answer(&invocation.held, &wait.otherwise),
    }
}

fn pooled(job: Job, invocation: &Invocation<'_>) {
    let pool = job.pool.get();
    let limit = settings::QUEUE_LIMIT.count();
    // Asked before blocking, so that a refusal is an ordinary reply. Only the main thread submits
    // for clients, so nobody takes the last place in between.
    if pool.queued() >= limit {
        return answer(&invocation.held, &Reply::error(format!("ERR {}", Refused::Full)));
    }
    let db = invocation.held.db();
    let registered = Registered::new(&job.cancel);
    let client = Client::waiting(BlockedReply::block(&invocation.held, job.cancel.clone(), job.limit));
    let of = job.pool;
    let refused = pool.submit(usize::MAX, move || {
        let _registered = registered;
        of.begin();
        let mut lane = Lane::pooled(db, job.cancel, client.clone());
        let reply = run(job.run, &mut lane);
        drop(lane);
        client.answer(&reply);
        if of == Pools::Python && of.get().queued() == 0 {
            loan::end_loan();
        }
    });
    // The job was dropped with the duty to answer: the client has its error.
    let _ = refused;
}

/// Runs `work` here and now, under the lock that the caller holds.
pub fn at_once<R>(held: &Held<'_>, cancel: CancelToken, work: impl FnOnce(&mut Lane) -> R) -> R {
    work(&mut Lane::inline(held, cancel, Waits::Freely))
}

/// As [`at_once`], for work whose result is needed now: it can't wait for coroutines.
pub fn to_the_end<R>(held: &Held<'_>, cancel: CancelToken, work: impl FnOnce(&mut Lane) -> R) -> R {
    work(&mut Lane::inline(held, cancel, Waits::Never))
}

fn inline(job: Job, invocation: &Invocation<'_>) {
    job.cancel.set_limit(job.inline_limit);
    let waits = if may_block(invocation.flags) { Waits::Blocks } else { Waits::Never };
    let mut lane = Lane::inline(&invocation.held, job.cancel, waits);
    let reply = run(job.run, &mut lane);
    if !lane.is_postponed() {
        drop(lane);
        answer(&invocation.held, &reply);
    }
}

/// The job's reply; a panic becomes an error.
fn run(work: Box<dyn FnOnce(&mut Lane) -> Reply + Send>, lane: &mut Lane) -> Reply {
    panic::catch_unwind(AssertUnwindSafe(|| work(lane))).unwrap_or_else(|_| Reply::internal_error())
}

fn answer(held: &Held<'_>, reply: &Reply) {
    // SAFETY: `held` is a command's context in its handler.
    unsafe { write::write(held.ctx(), reply) };
}
