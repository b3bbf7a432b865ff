//! How does a job use the server: in slices from a worker, or in one go on the main thread?
//!
//! One job, two lanes. In the pooled lane [`Lane::slice`] takes the server's lock, runs one piece of
//! work and gives the lock up; nothing borrowed from the keyspace can leave the piece, so
//! everything is looked up anew in the next one. In the inline lane (`MULTI`, Lua, SAFEMODE, AOF
//! loading, the replication link) the lock is held already and stays so: the job is atomic.
//!
//! A [`Door`] is the same way in for code that cannot carry the lane itself: scripts, and the threads that
//! they start. It closes when the job ends.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use redis_module::raw;

use super::loan::Loan;
use super::priority::GivingWay;
use super::{errand, lock, BlockedReply, Held, LockGuard};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// A job's way to the server.
pub struct Lane {
    door: Arc<Door>,
    client: Client,
    waits: Waits,
}

/// Whether a job may give its reply later, when it has returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// There is nobody to whom it could be given later: inside a transaction or a Lua script.
    Never,
    /// It may; nobody waits, or the client is blocked.
    Freely,
    /// It may; the client whose command is being handled is blocked then.
    Blocks,
    /// It will.
    Later,
}

/// The client that waits for a job, for whoever has to answer it before the job ends.
#[derive(Clone, Default)]
pub struct Client(Arc<Mutex<Option<BlockedReply>>>);

impl Client {
    pub(super) fn waiting(client: BlockedReply) -> Self {
        Self(Arc::new(Mutex::new(Some(client))))
    }

    /// Answers the client, unless it was answered or there is none; whether it did.
    pub fn answer(&self, reply: &Reply) -> bool {
        let client = self.take();
        let waits = client.is_some();
        if let Some(client) = client {
            client.finish(reply);
        }
        waits
    }

    /// Takes over the duty to answer another client.
    pub fn serve(&self, client: BlockedReply) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }

    /// Gives the duty to answer away, if there is one.
    pub fn take(&self) -> Option<BlockedReply> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The way to the server for a job's scripts and their threads.
pub struct Door {
    inline: Option<Inline>,
    db: i32,
    cancel: CancelToken,
    open: AtomicBool,
    brisk: AtomicBool,
}

/// The inline lane: the thread that holds the lock, and its context.
struct Inline {
    ctx: *mut raw::RedisModuleCtx,
    thread: ThreadId,
    /// When its slices are over, if it is a piece of a job that is to be short.
    end: Option<Instant>,
}

// SAFETY: the pointer is used only by the thread noted beside it, and only while the door is open,
// which that thread closes before the context ends.
unsafe impl Send for Inline {}
// SAFETY: as above.
unsafe impl Sync for Inline {}

/// Why a door did not let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The job must stop.
    Stopped(Stop),
    /// The job has ended.
    Closed,
    /// The job runs inline on another thread, which waits for nobody.
    OtherThread,
    /// The lock can't be had on this thread.
    NoLock,
}

impl Denied {
    /// The same for the job's own thread with its own open door, on a database that was checked when the command came.
    fn stop(self) -> Stop {
        match self {
            Denied::Stopped(stop) => stop,
            Denied::Closed | Denied::OtherThread | Denied::NoLock => Stop::Aborted,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Stopped(stop) => write!(f, "stopped: {stop}"),
            Denied::Closed => f.write_str("the script has ended, its threads can't use the server any more"),
            Denied::OtherThread => {
                f.write_str("only the script's main thread can use the server inside MULTI, Lua and SAFEMODE")
            }
            Denied::NoLock => f.write_str("the server can't be used here"),
        }
    }
}

/// One piece of work under the lock.
pub struct Slice<'a> {
    held: Held<'a>,
    end: Option<Instant>,
    cancel: &'a CancelToken,
}

thread_local! {
    /// The lock that this thread keeps over several slices.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// The lock that a thread keeps.
enum Kept {
    /// Inside `atomic()`.
    Own(LockGuard),
    /// For one question of a script, while the main thread lends it.
    Lent(Loan),
}

impl Lane {
    /// The pooled lane, on database `db`.
    pub(super) fn pooled(db: i32, cancel: CancelToken, client: Client) -> Self {
        let door = Door::new(None, db, cancel);
        Self { door: Arc::new(door), client, waits: Waits::Freely }
    }

    /// The inline lane, on the database of the context behind `held`, which outlives the lane.
    pub(super) fn inline(held: &Held<'_>, cancel: CancelToken, waits: Waits) -> Self {
        Self::here(held, cancel, waits, None)
    }

    /// The lane of a short piece of a job, which the main thread does under the lock behind `held`.
    pub(super) fn brief(held: &Held<'_>, cancel: CancelToken) -> Self {
        Self::here(held, cancel, Waits::Never, Some(slice_end(Instant::now())))
    }

    fn here(held: &Held<'_>, cancel: CancelToken, waits: Waits, end: Option<Instant>) -> Self {
        let inline = Inline { ctx: held.ctx(), thread: thread::current().id(), end };
        let door = Door::new(Some(inline), held.db(), cancel);
        Self { door: Arc::new(door), client: Client::default(), waits }
    }

    /// Whether the job runs on the main thread and is atomic.
    pub fn is_inline(&self) -> bool {
        self.door.inline.is_some()
    }

    /// The database of the job.
    pub fn db(&self) -> i32 {
        self.door.db
    }

    /// Lets a worker that does bulk work give way to others until the end of what is returned; nothing in the inline lane.
    #[must_use]
    pub fn give_way(&self) -> Option<GivingWay> {
        (!self.is_inline()).then(GivingWay::new)
    }

    /// What stops the job.
    pub fn cancel(&self) -> &CancelToken {
        &self.door.cancel
    }

    /// The client that waits for the job; nobody in the inline lane.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Runs `work` in the same lane, for what is to be done although the job was told to stop.
    pub fn afterwards<R>(&self, work: impl FnOnce(&mut Lane) -> R) -> R {
        let inline =
            self.door.inline.as_ref().map(|inline| Inline { ctx: inline.ctx, thread: inline.thread, end: None });
        let door = Door::new(inline, self.door.db, CancelToken::new());
        work(&mut Lane { door: Arc::new(door), client: Client::default(), waits: Waits::Never })
    }

    /// Whether the job may give its reply later.
    pub fn may_wait(&self) -> bool {
        self.waits != Waits::Never
    }

    /// The job's reply comes later, from whoever has the client that this returns: what the job itself returns is not it.
    pub fn postpone(&mut self) -> Client {
        let waits = std::mem::replace(&mut self.waits, Waits::Later);
        match &self.door.inline {
            Some(inline) if waits == Waits::Blocks => {
                // SAFETY: the lane is on the thread that made it, inside the command of this context.
                let held = unsafe { Held::new(inline.ctx) };
                Client::waiting(BlockedReply::block(&held, self.door.cancel.clone(), None))
            }
            Some(_) => Client::default(),
            None => Client(Arc::new(Mutex::new(self.client.take()))),
        }
    }

    /// Whether the reply comes later.
    pub(super) fn is_postponed(&self) -> bool {
        self.waits == Waits::Later
    }

    /// The same way in, for scripts and their threads.
    pub fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Runs `work` under the lock. It should end when [`Slice::spent`] says so, and is called again
    /// by its caller for the rest.
    ///
    /// # Errors
    /// Why the job must stop; `work` was not run then.
    pub fn slice<R>(&mut self, work: impl FnOnce(&Slice<'_>) -> R) -> Result<R, Stop> {
        self.door.slice(work).map_err(Denied::stop)
    }

    /// As [`Lane::slice`], for work that is short and the same on any thread: see [`Door::errand`].
    ///
    /// # Errors
    /// Why the job must stop; `work` was not run then.
    pub fn errand<R: Send>(&mut self, work: impl FnOnce(&Slice<'_>) -> R + Send) -> Result<R, Stop> {
        self.door.errand(work).map_err(Denied::stop)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.door.open.store(false, Ordering::Release);
        self.door.release();
    }
}

impl Door {
    /// A way in for what goes on after its job, on database `db`.
    pub fn apart(db: i32, cancel: CancelToken) -> Arc<Self> {
        let door = Self::new(None, db, cancel);
        door.set_brisk();
        Arc::new(door)
    }

    fn new(inline: Option<Inline>, db: i32, cancel: CancelToken) -> Self {
        Self { inline, db, cancel, open: AtomicBool::new(true), brisk: AtomicBool::new(false) }
    }

    /// What comes through it is many short questions in a row, between which other work is done: see [`Door::question`].
    pub fn set_brisk(&self) {
        self.brisk.store(true, Ordering::Relaxed);
    }

    /// Whether it is the inline lane's.
    pub fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// The database that is chosen in it.
    pub fn db(&self) -> i32 {
        self.db
    }

    /// Runs `work` under the lock: in a slice of its own, or in the lock that this thread keeps.
    ///
    /// # Errors
    /// Why not; `work` was not run then.
    pub fn slice<R>(&self, work: impl FnOnce(&Slice<'_>) -> R) -> Result<R, Denied> {
        self.check()?;
        if let Some(inline) = &self.inline {
            // SAFETY: `check` found this to be the inline thread, and the door open.
            let held = unsafe { Held::new(inline.ctx) };
            return Ok(work(&Slice { held, end: inline.end, cancel: &self.cancel }));
        }
        KEPT.with_borrow(|kept| {
            match kept {
                Some(Kept::Own(guard)) => {
                    return Ok(work(&Slice { held: guard.held(), end: None, cancel: &self.cancel }));
                }
                Some(Kept::Lent(loan)) => {
                    let end = Some(slice_end(loan.taken()));
                    return Ok(work(&Slice { held: loan.held(), end, cancel: &self.cancel }));
                }
                None => {}
            }
            let guard = LockGuard::take(self.db).map_err(|_| Denied::NoLock)?;
            // While this thread waited, the reason to go on may have gone.
            self.check()?;
            let end = slice_end(guard.taken());
            Ok(work(&Slice { held: guard.held(), end: Some(end), cancel: &self.cancel }))
        })
    }

    /// As [`Door::slice`], for work that is short and the same on any thread: where the main thread is busy all the time
    /// it does the work itself, since it has the lock.
    ///
    /// # Errors
    /// Why not; `work` was not run then.
    pub fn errand<R: Send>(&self, work: impl FnOnce(&Slice<'_>) -> R + Send) -> Result<R, Denied> {
        self.run_errand(false, work)
    }

    /// As [`Door::errand`], for one of many short questions: the main thread may lend its lock for them.
    ///
    /// # Errors
    /// Why not; `work` was not run then.
    pub fn question<R: Send>(&self, work: impl FnOnce(&Slice<'_>) -> R + Send) -> Result<R, Denied> {
        self.run_errand(self.brisk.load(Ordering::Relaxed), work)
    }

    fn run_errand<R: Send>(&self, brisk: bool, work: impl FnOnce(&Slice<'_>) -> R + Send) -> Result<R, Denied> {
        if self.inline.is_some() || holds_kept() {
            return self.slice(work);
        }
        self.check()?;
        let (mut work, mut result) = (Some(work), None);
        errand::run(self.db, brisk, &mut |held, taken| {
            // While it waited, the reason to go on may have gone.
            let checked = self.check();
            let slice = Slice { held: held.again(), end: Some(slice_end(taken)), cancel: &self.cancel };
            result = work.take().map(|work| checked.map(|()| work(&slice)));
        })
        .map_err(|_| Denied::NoLock)?;
        result.unwrap_or(Err(Denied::NoLock))
    }

    /// Takes the lock and keeps it on this thread until [`Door::release`]. In the inline lane it is held anyway.
    ///
    /// # Errors
    /// Why not.
    pub fn keep(&self) -> Result<(), Denied> {
        self.check()?;
        if self.inline.is_none() && !holds_kept() {
            let guard = LockGuard::take(self.db).map_err(|_| Denied::NoLock)?;
            self.check()?;
            KEPT.set(Some(Kept::Own(guard)));
        }
        Ok(())
    }

    /// As [`Door::keep`], if the lock is lent just now, so that nothing waits: for something short. Whether it was taken.
    pub fn keep_lent(&self) -> bool {
        if !self.brisk.load(Ordering::Relaxed) || self.inline.is_some() || holds_kept() || self.check().is_err() {
            return false;
        }
        let loan = Loan::take(self.db);
        let lent = loan.is_some();
        KEPT.set(loan.map(Kept::Lent));
        lent
    }

    /// Gives up what [`Door::keep`] took on this thread, if anything. A job in the inline lane took nothing: what
    /// this thread keeps then belongs to the job around it, one that called a command.
    pub fn release(&self) {
        if self.inline.is_none() {
            drop(KEPT.take());
        }
    }

    /// Whether this thread has the lock, so that nothing waits.
    pub fn holds_lock(&self) -> bool {
        match &self.inline {
            Some(inline) => inline.thread == thread::current().id(),
            None => holds_kept() || lock::held_here(),
        }
    }

    fn check(&self) -> Result<(), Denied> {
        if !self.open.load(Ordering::Acquire) {
            return Err(Denied::Closed);
        }
        if self.inline.as_ref().is_some_and(|inline| inline.thread != thread::current().id()) {
            return Err(Denied::OtherThread);
        }
        self.cancel.check().map_err(Denied::Stopped)
    }
}

/// When a slice that began at `taken` is over.
fn slice_end(taken: Instant) -> Instant {
    taken + Duration::from_micros(settings::SLICE_US.get().unsigned_abs())
}

fn holds_kept() -> bool {
    KEPT.with_borrow(Option::is_some)
}

impl Slice<'_> {
    /// The proof that the lock is held.
    pub fn held(&self) -> &Held<'_> {
        &self.held
    }

    /// Whether the lock must be given up: the slice's time is over, or (where it is kept) the job must stop.
    pub fn spent(&self) -> bool {
        match self.end {
            Some(end) => Instant::now() >= end,
            None => self.cancel.stopped().is_some(),
        }
    }
}
