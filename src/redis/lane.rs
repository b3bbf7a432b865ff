//! How does a job use the server: in slices from a worker, or in one go on the main thread?
//!
//! One job, two lanes. In the pooled lane [`Lane::slice`] takes the server's lock, runs one piece of
//! work and gives the lock up; nothing borrowed from the keyspace can leave the piece, so
//! everything is looked up anew in the next one. In the inline lane (`MULTI`, Lua, SAFEMODE, AOF
//! loading, the replication link) the lock is held already and stays so: the job is atomic.

use std::time::{Duration, Instant};

use super::{Held, LockGuard};
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// A job's way to the server.
pub struct Lane<'a> {
    inline: Option<Held<'a>>,
    db: i32,
    cancel: CancelToken,
}

/// One piece of work under the lock.
pub struct Slice<'a> {
    held: Held<'a>,
    end: Option<Instant>,
    cancel: &'a CancelToken,
}

impl<'a> Lane<'a> {
    /// The pooled lane, on database `db`.
    pub fn pooled(db: i32, cancel: CancelToken) -> Lane<'static> {
        Lane { inline: None, db, cancel }
    }

    /// The inline lane, on the database of the context behind `held`.
    pub fn inline(held: Held<'a>, cancel: CancelToken) -> Self {
        let db = held.db();
        Self { inline: Some(held), db, cancel }
    }

    /// Whether the job runs on the main thread and is atomic.
    pub fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// The database of the job.
    pub fn db(&self) -> i32 {
        self.db
    }

    /// What stops the job.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// Runs `work` under the lock. It should end when [`Slice::spent`] says so, and is called again
    /// by its caller for the rest.
    ///
    /// # Errors
    /// Why the job must stop; `work` was not run then.
    pub fn slice<R>(&mut self, work: impl FnOnce(&Slice<'_>) -> R) -> Result<R, Stop> {
        self.cancel.check()?;
        if let Some(held) = &self.inline {
            // SAFETY: the lane's token says that the lock is held for longer than this call.
            let held = unsafe { Held::new(held.ctx()) };
            return Ok(work(&Slice { held, end: None, cancel: &self.cancel }));
        }
        let Ok(guard) = LockGuard::take(self.db) else {
            // The database was checked when the command came, and a job's thread holds no lock.
            return Err(Stop::Aborted);
        };
        // While this thread waited, the reason to go on may have gone.
        self.cancel.check()?;
        let end = guard.taken() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
        Ok(work(&Slice { held: guard.held(), end: Some(end), cancel: &self.cancel }))
    }
}

impl Slice<'_> {
    /// The proof that the lock is held.
    pub fn held(&self) -> &Held<'_> {
        &self.held
    }

    /// Whether the lock must be given up: the slice's time is over, or (in the inline lane) the job must stop.
    pub fn spent(&self) -> bool {
        match self.end {
            Some(end) => Instant::now() >= end,
            None => self.cancel.stopped().is_some(),
        }
    }
}
