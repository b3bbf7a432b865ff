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
}
