//! What is in a key of ours? Reading, storing and deleting values of module types.
//!
//! Every change is replicated as its effect: the encoded value, or `DEL`. A value's time to live is
//! the key's own, so `TTL`, `PERSIST` and the server's expiry work on it.

use std::os::raw::c_char;

use redis_module::raw;

use super::replicate::replicate;
use super::types::{into_raw, value_of, KeyType};
use super::{api, call, Held};
use crate::reply::Reply;

/// What was found in a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// There is no such key.
    Missing,
    /// A value of another type.
    Other,
    /// The value.
    Value(T),
}

/// When a key that is stored goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// As it was; never for a new key.
    Keep,
    /// Never.
    Never,
    /// At this Unix time in milliseconds.
    At(i64),
}

impl Expiry {
    /// As the last argument of the type's restoring command: the time, -1 for never, -2 for as it was.
    pub fn code(self) -> i64 {
        match self {
            Expiry::Keep => -2,
            Expiry::Never => -1,
            Expiry::At(millis) => millis.max(0),
        }
    }

    /// Reads [`Expiry::code`].
    pub fn from_code(code: i64) -> Self {
        match code {
            -2 => Expiry::Keep,
            ..=-1 => Expiry::Never,
            millis => Expiry::At(millis),
        }
    }
}

/// A name for the server, freed at the end.
pub(super) struct KeyName(*mut raw::RedisModuleString);

impl KeyName {
    pub(super) fn new(key: &[u8]) -> Self {
        // SAFETY: copies the bytes.
        Self(unsafe { api!(RedisModule_CreateString(std::ptr::null_mut(), key.as_ptr().cast::<c_char>(), key.len())) })
    }

    pub(super) fn raw(&self) -> *mut raw::RedisModuleString {
        self.0
    }
}

impl Drop for KeyName {
    fn drop(&mut self) {
        // SAFETY: made by `new`; the lock is held, as for every key.
        unsafe { api!(RedisModule_FreeString(std::ptr::null_mut(), self.0)) };
    }
}

/// An open key; closing one that was opened for writing tells `WATCH` and client caches of the change.
pub(super) struct OpenKey(*mut raw::RedisModuleKey);

impl OpenKey {
    /// `None` where a key to be read is missing.
    pub(super) fn new(held: &Held<'_>, name: &KeyName, mode: u32) -> Option<Self> {
        // SAFETY: the lock is held; the name outlives the call.
        let key = unsafe { api!(RedisModule_OpenKey(held.ctx(), name.0, mode as i32)) };
        (!key.is_null()).then_some(Self(key.cast()))
    }

    pub(super) fn raw(&self) -> *mut raw::RedisModuleKey {
        self.0
    }

    fn is_empty(&self) -> bool {
        // SAFETY: an open key.
        unsafe { api!(RedisModule_KeyType(self.0)) as isize == raw::REDISMODULE_KEYTYPE_EMPTY }
    }

    fn value<T: KeyType>(&self) -> Option<*mut T> {
        // SAFETY: an open key; the type says what the value is.
        unsafe {
            let ours = api!(RedisModule_ModuleTypeGetType(self.0)) == T::handle().get();
            (ours && !self.is_empty()).then(|| api!(RedisModule_ModuleTypeGetValue(self.0)).cast())
        }
    }
}

impl Drop for OpenKey {
    fn drop(&mut self) {
        // SAFETY: opened by `new`, closed once.
        unsafe { api!(RedisModule_CloseKey(self.0)) };
    }
}

/// What is in a key of database `db`. A key whose time is over is missing.
pub fn get<T: KeyType>(held: &Held<'_>, db: i32, key: &[u8]) -> Found<T> {
    let read = || {
        let name = KeyName::new(key);
        let Some(open) = OpenKey::new(held, &name, raw::REDISMODULE_READ) else {
            return Found::Missing;
        };
        if open.is_empty() {
            return Found::Missing;
        }
        // SAFETY: the value lives while the key is open and the lock held.
        open.value::<T>().map_or(Found::Other, |value| Found::Value(unsafe { value_of::<T>(value.cast()) }.clone()))
    };
    held.in_db(db, read).unwrap_or(Found::Missing)
}

/// When a key goes by itself, as a Unix time in milliseconds.
pub fn expiry(held: &Held<'_>, db: i32, key: &[u8]) -> Option<i64> {
    let read = || {
        let name = KeyName::new(key);
        let open = OpenKey::new(held, &name, raw::REDISMODULE_READ)?;
        // SAFETY: an open key.
        let at = unsafe { api!(RedisModule_GetAbsExpire(open.0)) };
        (at >= 0).then_some(at)
    };
    held.in_db(db, read).ok().flatten()
}

/// Stores a value in a key that is missing or of this type, tells `event` to whoever listens to keyspace
/// events, and replicates it if asked. Returns whether it was stored: not over a value of another type.
pub fn put<T: KeyType>(
    held: &Held<'_>,
    db: i32,
    key: &[u8],
    value: T,
    expiry: Expiry,
    event: Option<&std::ffi::CStr>,
) -> bool {
    let bytes = value.encode();
    let write = || {
        let name = KeyName::new(key);
        let Some(open) = OpenKey::new(held, &name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) else {
            return false;
        };
        // SAFETY: the lock is held and the key open for writing. A value of this type is replaced
        // in place: storing it anew would delete the key first, and with it the time to live.
        unsafe {
            if let Some(present) = open.value::<T>() {
                *present = value;
            } else if open.is_empty() {
                api!(RedisModule_ModuleTypeSetValue(open.0, T::handle().get(), into_raw(value)));
            } else {
                return false;
            }
            match expiry {
                Expiry::Keep => {}
                Expiry::Never => {
                    api!(RedisModule_SetAbsExpire(open.0, i64::from(raw::REDISMODULE_NO_EXPIRE)));
                }
                Expiry::At(millis) => {
                    api!(RedisModule_SetAbsExpire(open.0, millis.max(0)));
                }
            }
        }
        drop(open);
        if let Some(event) = event {
            replicate(held, T::RESTORE, &[key, &bytes, expiry.code().to_string().as_bytes()]);
            notify(held, raw::REDISMODULE_NOTIFY_MODULE, event, &name);
        }
        true
    };
    held.in_db(db, write).unwrap_or(false)
}

/// Deletes a key, and replicates that.
pub fn delete(held: &Held<'_>, db: i32, key: &[u8]) {
    let write = || {
        let name = KeyName::new(key);
        let Some(open) = OpenKey::new(held, &name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) else {
            return;
        };
        if open.is_empty() {
            return;
        }
        // SAFETY: the lock is held and the key open for writing.
        unsafe { api!(RedisModule_DeleteKey(open.0)) };
        drop(open);
        replicate(held, c"DEL", &[key]);
        notify(held, raw::REDISMODULE_NOTIFY_GENERIC, c"del", &name);
    };
    // A database that is not there has no such key.
    let _ = held.in_db(db, write);
}

fn notify(held: &Held<'_>, class: std::os::raw::c_int, event: &std::ffi::CStr, name: &KeyName) {
    // SAFETY: the lock is held; the strings live for the call.
    unsafe { api!(RedisModule_NotifyKeyspaceEvent(held.ctx(), class, event.as_ptr(), name.0)) };
}

/// Whether this node serves the key: always, unless its slot went or goes to another node of the cluster.
pub fn serves(held: &Held<'_>, db: i32, key: &[u8]) -> bool {
    if !held.in_cluster() {
        return true;
    }
    // The server refuses to run a command on a key of another node.
    let asked = held.in_db(db, || call(held, &[b"EXISTS".to_vec(), key.to_vec()]));
    matches!(asked, Ok(Reply::Int(_)))
}
