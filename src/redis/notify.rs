//! Which keys have changed? The server's keyspace notifications, subscribed in one place.
//!
//! They come for every write, also from Lua, from the replication link and while a log is replayed, and do not
//! depend on `notify-keyspace-events`. The thread is the one that holds the lock: not always the main one.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int};

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::entry::{bytes_of, guarded};
use super::{api, Held};

/// Something happened to a key.
pub struct KeyEvent<'a> {
    /// Which (`hset`, `del`, ...): mostly after the fact.
    pub name: &'a [u8],
    /// The key.
    pub key: &'a [u8],
    /// Its database, which is also the one that the proof token has chosen.
    pub db: i32,
}

/// Whom to tell of changed keys.
#[derive(Clone, Copy)]
pub struct KeyWatcher {
    /// Whether anybody is interested now; asked first, because it is asked for every write.
    pub wanted: fn() -> bool,
    /// Told under the lock, inside the server's own work: it may read keys but neither write nor wait.
    pub changed: fn(&Held<'_>, &KeyEvent<'_>),
}

static WATCHER: OnceCell<KeyWatcher> = OnceCell::new();

/// Everything that may make a key a hash, change one or end it. Keys that are loaded are left out: they are
/// looked through when the loading has ended.
const CLASSES: c_int = raw::REDISMODULE_NOTIFY_GENERIC
    | raw::REDISMODULE_NOTIFY_STRING
    | raw::REDISMODULE_NOTIFY_LIST
    | raw::REDISMODULE_NOTIFY_SET
    | raw::REDISMODULE_NOTIFY_HASH
    | raw::REDISMODULE_NOTIFY_ZSET
    | raw::REDISMODULE_NOTIFY_EXPIRED
    | raw::REDISMODULE_NOTIFY_EVICTED
    | raw::REDISMODULE_NOTIFY_STREAM
    | raw::REDISMODULE_NOTIFY_MODULE;

/// Subscribes.
///
/// # Errors
/// When the server refuses, or somebody watches already.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn watch(ctx: *mut raw::RedisModuleCtx, watcher: KeyWatcher) -> Result<(), String> {
    WATCHER.set(watcher).map_err(|_| "keys are watched already".to_owned())?;
    // SAFETY: the caller's promise.
    let code = unsafe { api!(RedisModule_SubscribeToKeyspaceEvents(ctx, CLASSES, Some(on_event))) };
    if code != raw::REDISMODULE_OK as c_int {
        return Err("the server refused to tell of changed keys".to_owned());
    }
    Ok(())
}

unsafe extern "C" fn on_event(
    ctx: *mut raw::RedisModuleCtx,
    _class: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    if let Some(watcher) = WATCHER.get().filter(|watcher| (watcher.wanted)()) {
        guarded(|| {
            // SAFETY: the lock is held during the callback, whose context and strings are valid as long.
            let (held, name, key) = unsafe { (Held::new(ctx), CStr::from_ptr(event).to_bytes(), bytes_of(key)) };
            (watcher.changed)(&held, &KeyEvent { name, key, db: held.db() });
        });
    }
    raw::REDISMODULE_OK as c_int
}
