//! Which keys have changed? The server's keyspace notifications, subscribed in one place.
//!
//! They come for every write, also from Lua, from the replication link and while a log is replayed, and do not
//! depend on `notify-keyspace-events`. The thread is the one that holds the lock: not always the main one.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

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
    /// Told too of keys that were read and are not there.
    pub misses: bool,
}

/// Each watcher has a subscription of its own: the server does not tell a subscription of what its own callback does,
/// but the others must know.
static WATCHERS: [OnceCell<KeyWatcher>; 4] = [const { OnceCell::new() }; 4];

/// The callback of each.
const CALLBACKS: [raw::RedisModuleNotificationFunc; WATCHERS.len()] =
    [Some(on_event::<0>), Some(on_event::<1>), Some(on_event::<2>), Some(on_event::<3>)];

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
/// When the server refuses, or there are more watchers than places.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn watch(ctx: *mut raw::RedisModuleCtx, watcher: KeyWatcher) -> Result<(), String> {
    let free = WATCHERS.iter().zip(CALLBACKS).find(|(place, _)| place.set(watcher).is_ok());
    let (_, callback) = free.ok_or_else(|| "more watch keys than were provided for".to_owned())?;
    let classes = if watcher.misses { CLASSES | raw::REDISMODULE_NOTIFY_KEY_MISS as c_int } else { CLASSES };
    // SAFETY: the caller's promise.
    let code = unsafe { api!(RedisModule_SubscribeToKeyspaceEvents(ctx, classes, callback)) };
    if code != raw::REDISMODULE_OK as c_int {
        return Err("the server refused to tell of changed keys".to_owned());
    }
    Ok(())
}

unsafe extern "C" fn on_event<const WATCHER: usize>(
    ctx: *mut raw::RedisModuleCtx,
    _class: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    if let Some(watcher) = WATCHERS[WATCHER].get().filter(|watcher| (watcher.wanted)()) {
        guarded(|| {
            // SAFETY: the lock is held during the callback, whose context and strings are valid as long.
            let (held, name, key) = unsafe { (Held::new(ctx), CStr::from_ptr(event).to_bytes(), bytes_of(key)) };
            (watcher.changed)(&held, &KeyEvent { name, key, db: held.db() });
        });
    }
    // SAFETY: the context is the callback's, the name a C string.
    unsafe { stay_in_database(ctx, CStr::from_ptr(event)) };
    raw::REDISMODULE_OK as c_int
}

/// Valkey 8.1 tells of MOVE with the client's own context and leaves that client in the other database
/// (valkey-io/valkey#4024). What was told last is where the key came from: the client goes back there. Elsewhere the
/// context is the callback's alone, and this changes nothing that anybody sees.
///
/// # Safety
/// `ctx` is the context of a notification.
unsafe fn stay_in_database(ctx: *mut raw::RedisModuleCtx, event: &CStr) {
    static SOURCE: AtomicI32 = AtomicI32::new(0);
    match event.to_bytes() {
        // SAFETY: the caller's promise.
        b"move_from" => SOURCE.store(unsafe { api!(RedisModule_GetSelectedDb(ctx)) }, Ordering::Relaxed),
        b"move_to" => {
            // SAFETY: as above.
            unsafe { api!(RedisModule_SelectDb(ctx, SOURCE.load(Ordering::Relaxed))) };
        }
        _ => {}
    }
}

/// Whether the server has a moment for [`after_notification`]: from Redis 7.2 on.
pub fn has_after_notification() -> bool {
    // SAFETY: the pointer was written by the server's init call.
    unsafe { raw::RedisModule_AddPostNotificationJob }.is_some()
}

/// Runs `work` after the command that is being notified of, atomically with it: it may write. A server without such a
/// moment does not run it.
pub fn after_notification(held: &Held<'_>, work: impl FnOnce(&Held<'_>) + 'static) {
    type Work = Box<dyn FnOnce(&Held<'_>)>;
    unsafe extern "C" fn run(ctx: *mut raw::RedisModuleCtx, data: *mut c_void) {
        // SAFETY: the slot that was leaked below, which `free` takes back after this.
        let work = unsafe { (*data.cast::<Option<Work>>()).take() };
        // SAFETY: the lock is held during the callback, and its context valid.
        let held = unsafe { Held::new(ctx) };
        guarded(|| work.map(|work| work(&held)));
    }
    unsafe extern "C" fn free(data: *mut c_void) {
        // SAFETY: the box that was leaked below, once.
        guarded(|| drop(unsafe { Box::from_raw(data.cast::<Option<Work>>()) }));
    }
    // SAFETY: the pointer was written by the server's init call.
    let Some(add) = (unsafe { raw::RedisModule_AddPostNotificationJob }) else {
        return;
    };
    let slot = Box::into_raw(Box::new(Some(Box::new(work) as Work)));
    // SAFETY: the lock is held; the server takes the slot over, or refuses it while it loads and on a replica.
    unsafe {
        if add(held.ctx(), Some(run), slot.cast(), Some(free)) != raw::REDISMODULE_OK as c_int {
            drop(Box::from_raw(slot));
        }
    }
}
