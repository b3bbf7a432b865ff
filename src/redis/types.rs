//! How does the server keep values of ours as keys? Module data types: saved, loaded, rewritten to the
//! AOF, copied, measured and freed.
//!
//! A value is stored as one string of its own encoding, with a version, so that everything that is
//! read passes one decoder that may refuse it. Values are plain data: they are freed on any thread
//! (`FLUSHALL ASYNC`) and saved in a forked child without waiting for anybody.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::raw;

use super::entry::{bytes_of, guarded};
use super::{api, aside, lock, log, Held, Level};

/// Where the server's handle of a type is kept.
#[derive(Debug)]
pub struct KeyTypeHandle(AtomicPtr<raw::RedisModuleType>);

impl KeyTypeHandle {
    /// An empty place; registering the type fills it.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(super) fn get(&self) -> *mut raw::RedisModuleType {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for KeyTypeHandle {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that is kept in a key.
pub trait KeyType: Clone + Send + 'static {
    /// Its name as `TYPE` shows it: exactly nine letters, digits, `-` or `_`. Part of the file format.
    const NAME: &'static CStr;

    /// The version of what `encode` writes.
    const VERSION: i32;

    /// The command `<name> key value expiry` that stores an encoded value: for replicas and the AOF.
    const RESTORE: &'static CStr;

    /// Whether clients may bring values (`RESTORE`), not only files and the primary.
    const BY_CLIENTS: bool = true;

    /// Where the server's handle is kept.
    fn handle() -> &'static KeyTypeHandle;

    /// The value as bytes.
    fn encode(&self) -> Vec<u8>;

    /// Reads what `encode` of this or an earlier version wrote; `None` refuses it.
    fn decode(bytes: &[u8], version: i32) -> Option<Self>;

    /// Its size in memory, without the key.
    fn size(&self) -> usize;

    /// Told when a key has come into the data set other than by a command of its own: loaded,
    /// restored or copied. Under the lock; must not touch the keyspace.
    fn arrived(&self, _held: &Held<'_>, _db: i32, _key: &[u8]) {}

    /// Told just before a key goes, whatever the reason, except that a database is emptied. Under the lock;
    /// must not touch the keyspace.
    fn leaving(&self, _held: &Held<'_>, _db: i32, _key: &[u8]) {}

    /// What to save beside the keys, once for the type; nothing if empty.
    fn save_aside() -> Vec<u8> {
        Vec::new()
    }

    /// Reads what `save_aside` saved; `false` refuses it.
    fn load_aside(_bytes: &[u8]) -> bool {
        true
    }
}

/// Registers `T` with the server; only while the module is being loaded.
///
/// # Errors
/// The type that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register<T: KeyType>(ctx: *mut raw::RedisModuleCtx) -> Result<(), String> {
    // SAFETY: zero is a valid value of this C struct: no callback.
    let mut methods: raw::RedisModuleTypeMethods = unsafe { std::mem::zeroed() };
    // A server that knows an earlier version of the struct reads only its own fields.
    methods.version = u64::from(raw::REDISMODULE_TYPE_METHOD_VERSION);
    methods.rdb_load = Some(rdb_load::<T>);
    methods.rdb_save = Some(rdb_save::<T>);
    methods.aof_rewrite = Some(aof_rewrite::<T>);
    methods.mem_usage = Some(mem_usage::<T>);
    methods.digest = Some(digest::<T>);
    methods.free = Some(free::<T>);
    methods.unlink2 = Some(unlink::<T>);
    methods.copy2 = Some(copy::<T>);
    // SAFETY: the callbacks below are those of this type.
    unsafe { aside::save_with(&mut methods, aux_save::<T>, aux_load::<T>) };
    // SAFETY: the caller's promise; the server copies the methods.
    let handle =
        unsafe { api!(RedisModule_CreateDataType(ctx, T::NAME.as_ptr().cast_mut(), T::VERSION, &mut methods)) };
    if handle.is_null() {
        return Err(format!("the server refused the data type {}", T::NAME.to_string_lossy()));
    }
    T::handle().0.store(handle, Ordering::Release);
    Ok(())
}

/// The proof for a callback of a type that the server calls under its lock without a context.
///
/// # Safety
/// Only inside such a callback.
unsafe fn held_here<'a>() -> Held<'a> {
    // SAFETY: the caller's promise; the module's context lives for ever.
    unsafe { Held::new(lock::module_ctx()) }
}

/// A value for the server to keep; [`free`] takes it back.
pub(super) fn into_raw<T: KeyType>(value: T) -> *mut c_void {
    Box::into_raw(Box::new(value)).cast()
}

/// # Safety
/// `value` was made by [`into_raw`] for the same `T`, and lives as long as chosen.
pub(super) unsafe fn value_of<'a, T: KeyType>(value: *const c_void) -> &'a T {
    // SAFETY: the caller's promise.
    unsafe { &*value.cast() }
}

/// A string of an RDB file; `None` for a file that is cut short.
///
/// # Safety
/// `io` is the server's, in a load callback.
pub(super) unsafe fn load_string(io: *mut raw::RedisModuleIO) -> Option<Vec<u8>> {
    // SAFETY: the caller's promise. The buffer is ours to free.
    unsafe {
        let mut length = 0;
        let buffer = api!(RedisModule_LoadStringBuffer(io, &mut length));
        if buffer.is_null() || api!(RedisModule_IsIOError(io)) != 0 {
            return None;
        }
        let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), length).to_vec();
        api!(RedisModule_Free(buffer.cast()));
        Some(bytes)
    }
}

unsafe extern "C" fn rdb_load<T: KeyType>(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void {
    guarded(|| {
        if version > T::VERSION {
            let name = T::NAME.to_string_lossy();
            log(Level::Warning, &format!("Interlock: {name} version {version} was written by a newer module"));
            return None;
        }
        // SAFETY: the server's load callback.
        let (bytes, held) = unsafe { (load_string(io)?, held_here()) };
        if !T::BY_CLIENTS && !held.is_loading() {
            return None;
        }
        let value = T::decode(&bytes, version)?;
        // SAFETY: as above. There is no name where a value is loaded for no key.
        unsafe {
            let key = api!(RedisModule_GetKeyNameFromIO(io));
            if !key.is_null() {
                value.arrived(&held, api!(RedisModule_GetDbIdFromIO(io)), bytes_of(key.cast_mut()));
            }
        }
        Some(into_raw(value))
    })
    .flatten()
    .unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn rdb_save<T: KeyType>(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    guarded(|| {
        // SAFETY: the server's save callback, for a value of this type.
        unsafe { save_string(io, &value_of::<T>(value).encode()) };
    });
}

/// # Safety
/// `io` is the server's, in a save callback.
pub(super) unsafe fn save_string(io: *mut raw::RedisModuleIO, bytes: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { api!(RedisModule_SaveStringBuffer(io, bytes.as_ptr().cast::<c_char>(), bytes.len())) };
}

unsafe extern "C" fn aof_rewrite<T: KeyType>(
    io: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    guarded(|| {
        // SAFETY: the server's rewrite callback, for a value of this type; the server writes the
        // key's expiry after it. `b` takes a pointer and a length.
        unsafe {
            let bytes = value_of::<T>(value).encode();
            api!(RedisModule_EmitAOF(
                io,
                T::RESTORE.as_ptr(),
                c"sbc".as_ptr(),
                key,
                bytes.as_ptr(),
                bytes.len(),
                c"-1".as_ptr()
            ));
        }
    });
}

unsafe extern "C" fn mem_usage<T: KeyType>(value: *const c_void) -> usize {
    // SAFETY: a value of this type.
    guarded(|| unsafe { value_of::<T>(value) }.size()).unwrap_or(0)
}

unsafe extern "C" fn digest<T: KeyType>(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    guarded(|| {
        // SAFETY: the server's digest callback, for a value of this type.
        unsafe {
            let bytes = value_of::<T>(value).encode();
            api!(RedisModule_DigestAddStringBuffer(digest, bytes.as_ptr().cast::<c_char>(), bytes.len()));
            api!(RedisModule_DigestEndSequence(digest));
        }
    });
}

/// May run on a thread of the server's, without the lock.
unsafe extern "C" fn free<T: KeyType>(value: *mut c_void) {
    // SAFETY: made by `into_raw`, freed once.
    let value = unsafe { Box::from_raw(value.cast::<T>()) };
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
}

unsafe extern "C" fn unlink<T: KeyType>(ctx: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) {
    guarded(|| {
        // SAFETY: the server's unlink callback, for a value of this type; the name lives as long.
        unsafe {
            let key = api!(RedisModule_GetKeyNameFromOptCtx(ctx));
            let db = api!(RedisModule_GetDbIdFromOptCtx(ctx));
            value_of::<T>(value).leaving(&held_here(), db, bytes_of(key.cast_mut()));
        }
    });
}

unsafe extern "C" fn copy<T: KeyType>(ctx: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    guarded(|| {
        // SAFETY: the server's copy callback, for a value of this type; the name lives as long.
        unsafe {
            let copy = value_of::<T>(value).clone();
            let key = api!(RedisModule_GetToKeyNameFromOptCtx(ctx));
            copy.arrived(&held_here(), api!(RedisModule_GetToDbIdFromOptCtx(ctx)), bytes_of(key.cast_mut()));
            into_raw(copy)
        }
    })
    .unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn aux_save<T: KeyType>(io: *mut raw::RedisModuleIO, _when: c_int) {
    // SAFETY: the server's save callback.
    guarded(|| unsafe { aside::save_aside(io, &T::save_aside()) });
}

unsafe extern "C" fn aux_load<T: KeyType>(io: *mut raw::RedisModuleIO, _version: c_int, _when: c_int) -> c_int {
    // SAFETY: the server's load callback.
    let read = guarded(|| unsafe { aside::load_aside(io, T::load_aside) });
    if read == Some(true) {
        raw::REDISMODULE_OK as c_int
    } else {
        raw::REDISMODULE_ERR as c_int
    }
}
