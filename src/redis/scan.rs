//! Which keys are there? A cursor over the keyspace that survives the release of the lock.
//!
//! The server's own scan (`RM_Scan`, that of `SCAN`): every key that is there during the whole scan is
//! met at least once, whatever the tables do meanwhile; a table that shrinks may show a key twice.

use std::os::raw::c_void;
use std::time::{SystemTime, UNIX_EPOCH};

use redis_module::raw;

use super::entry::bytes_of;
use super::{api, Held, KeyAccess};

/// The Unix time in milliseconds: the clock of expiries.
pub fn unix_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

/// A scan of the keys of one database.
pub struct KeysCursor {
    cursor: *mut raw::RedisModuleScanCursor,
    done: bool,
}

// SAFETY: the cursor is a few numbers that belong to this value; it is used under the lock, by one
// thread at a time.
unsafe impl Send for KeysCursor {}

/// A key met by a scan, for the moment of the call.
pub struct KeyRef<'a> {
    /// Its name.
    pub name: &'a [u8],
    string: *mut raw::RedisModuleString,
    key: *mut raw::RedisModuleKey,
}

impl Default for KeysCursor {
    fn default() -> Self {
        Self::new()
    }
}

impl KeysCursor {
    /// A cursor at the beginning.
    pub fn new() -> Self {
        // SAFETY: only allocates.
        Self { cursor: unsafe { api!(RedisModule_ScanCursorCreate()) }, done: false }
    }

    /// Visits the keys of the next hash bucket. Returns whether there are more.
    /// `visit` must not change the keyspace.
    pub fn next_bucket<F: FnMut(&KeyRef<'_>)>(&mut self, held: &Held<'_>, visit: &mut F) -> bool {
        unsafe extern "C" fn each<F: FnMut(&KeyRef<'_>)>(
            _ctx: *mut raw::RedisModuleCtx,
            name: *mut raw::RedisModuleString,
            key: *mut raw::RedisModuleKey,
            data: *mut c_void,
        ) {
            // A panic must not cross the server's scan; the entry point would not see it anyway.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // SAFETY: `data` is the closure of the call below; the name lives for this call.
                let (visit, bytes) = unsafe { (&mut *data.cast::<F>(), bytes_of(name)) };
                visit(&KeyRef { name: bytes, string: name, key });
            }));
        }
        if self.done {
            return false;
        }
        let data = std::ptr::from_mut(visit).cast::<c_void>();
        // SAFETY: the lock is held; the closure outlives the call.
        let more = unsafe { api!(RedisModule_Scan(held.ctx(), self.cursor, Some(each::<F>), data)) };
        self.done = more == 0;
        !self.done
    }
}

impl Drop for KeysCursor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { api!(RedisModule_ScanCursorDestroy(self.cursor)) };
    }
}

impl KeyRef<'_> {
    /// The type's name as `TYPE` says it; `None` for the value of a module.
    pub fn kind(&self) -> Option<&'static str> {
        // SAFETY: the server opened the key for this call.
        match unsafe { api!(RedisModule_KeyType(self.key)) } as isize {
            raw::REDISMODULE_KEYTYPE_STRING => Some("string"),
            raw::REDISMODULE_KEYTYPE_LIST => Some("list"),
            raw::REDISMODULE_KEYTYPE_HASH => Some("hash"),
            raw::REDISMODULE_KEYTYPE_SET => Some("set"),
            raw::REDISMODULE_KEYTYPE_ZSET => Some("zset"),
            raw::REDISMODULE_KEYTYPE_STREAM => Some("stream"),
            _ => None,
        }
    }

    /// Whether the key's time is over, though the server has not removed it yet.
    pub fn expired(&self, now_millis: i64) -> bool {
        // SAFETY: as `kind`. -1 stands for no expiry.
        let at = unsafe { api!(RedisModule_GetAbsExpire(self.key)) };
        at >= 0 && now_millis > at
    }

    /// Whether this user may see it.
    pub fn visible_to(&self, access: &KeyAccess) -> bool {
        access.allows(self.string)
    }
}
