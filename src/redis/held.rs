//! Is the server's global lock held? The proof token.

use std::marker::PhantomData;

use redis_module::raw;

/// Proof that this thread holds the server's global lock, with the context to use it.
///
/// Made only by this folder: on the main thread inside a callback of the server, or between lock and
/// unlock on a worker. It cannot be sent to another thread, nor outlive the callback or the slice.
pub struct Held<'a> {
    ctx: *mut raw::RedisModuleCtx,
    _lifetime: PhantomData<(&'a (), *mut ())>,
}

impl Held<'_> {
    /// # Safety
    /// This thread holds the lock for the lifetime chosen, and `ctx` is valid as long.
    pub(super) unsafe fn new(ctx: *mut raw::RedisModuleCtx) -> Self {
        Self { ctx, _lifetime: PhantomData }
    }

    /// The same proof once more.
    pub(super) fn again(&self) -> Held<'_> {
        Held { ctx: self.ctx, _lifetime: PhantomData }
    }

    pub(super) fn ctx(&self) -> *mut raw::RedisModuleCtx {
        self.ctx
    }

    /// Chooses the database that commands and scans of this context use.
    ///
    /// # Errors
    /// When the server has no such database.
    pub(super) fn select(&self, db: i32) -> Result<(), String> {
        // SAFETY: the lock is held and the context valid.
        let code = unsafe { super::api!(RedisModule_SelectDb(self.ctx, db)) };
        if code == raw::REDISMODULE_OK as i32 {
            Ok(())
        } else {
            Err(format!("ERR no database {db}"))
        }
    }

    /// The database that is chosen.
    pub fn db(&self) -> i32 {
        // SAFETY: the lock is held and the context valid.
        unsafe { super::api!(RedisModule_GetSelectedDb(self.ctx)) }
    }

    /// Runs `work` with database `db` chosen, and chooses the former one again.
    ///
    /// # Errors
    /// When the server has no such database; `work` was not run then.
    pub fn in_db<R>(&self, db: i32, work: impl FnOnce() -> R) -> Result<R, String> {
        let before = self.db();
        if before == db {
            return Ok(work());
        }
        self.select(db)?;
        let result = work();
        self.select(before)?;
        Ok(result)
    }

    /// Whether this server takes its data from another one.
    pub fn is_replica(&self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_SLAVE)
    }

    /// Whether clients may not write, since this server takes its data from another one.
    pub fn is_read_only(&self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_READONLY)
    }

    /// Whether the data set is being loaded.
    pub fn is_loading(&self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// Whether a script of the server (Lua) runs now, of whichever client.
    pub(super) fn in_script(&self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LUA)
    }

    /// Whether the server is a node of a cluster.
    pub fn in_cluster(&self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    fn has(&self, flag: u32) -> bool {
        // SAFETY: the lock is held and the context valid.
        unsafe { super::api!(RedisModule_GetContextFlags(self.ctx)) as u32 & flag != 0 }
    }
}
