//! What does the module save beside the keys? Data of its own in the RDB, which a full synchronisation carries too.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};

use redis_module::raw;

use super::entry::guarded;
use super::types::{load_string, save_string};
use super::{api, log, Level};

/// Data that are saved beside the keys, as one string of their own encoding.
pub trait Aside: 'static {
    /// Its name in the file: exactly nine letters, digits, `-` or `_`. Part of the file format.
    const NAME: &'static CStr;

    /// The version of what `save` writes.
    const VERSION: i32;

    /// What to save; nothing if empty. May run in a forked child: it must wait for nobody.
    fn save() -> Vec<u8>;

    /// Reads what `save` of this or an earlier version wrote; `false` refuses it, and the file with it.
    fn load(bytes: &[u8], version: i32) -> bool;
}

/// Registers `T` with the server; only while the module is being loaded.
///
/// # Errors
/// The name that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register<T: Aside>(ctx: *mut raw::RedisModuleCtx) -> Result<(), String> {
    // SAFETY: the caller's promise; the callbacks are those of this type.
    unsafe { register_as(ctx, T::NAME, T::VERSION, save::<T>, load::<T>) }
}

/// Registers something to be saved beside the keys, as a data type that no key ever has.
///
/// # Errors
/// The name that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback, and the callbacks are sound for the type.
pub(super) unsafe fn register_as(
    ctx: *mut raw::RedisModuleCtx,
    name: &'static CStr,
    version: c_int,
    save: Save,
    load: Load,
) -> Result<(), String> {
    // SAFETY: zero is a valid value of this C struct: no callback.
    let mut methods: raw::RedisModuleTypeMethods = unsafe { std::mem::zeroed() };
    methods.version = u64::from(raw::REDISMODULE_TYPE_METHOD_VERSION);
    methods.rdb_load = Some(no_value);
    // SAFETY: the caller's promise; the server copies the methods.
    let handle = unsafe {
        save_with(&mut methods, save, load);
        api!(RedisModule_CreateDataType(ctx, name.as_ptr().cast_mut(), version, &mut methods))
    };
    if handle.is_null() {
        return Err(format!("the server refused the data type {}", name.to_string_lossy()));
    }
    Ok(())
}

pub(super) type Save = unsafe extern "C" fn(*mut raw::RedisModuleIO, c_int);
pub(super) type Load = unsafe extern "C" fn(*mut raw::RedisModuleIO, c_int, c_int) -> c_int;

/// Whether the server has `aux_save2` (7.2): what saves nothing then leaves no trace in the file, which stays
/// loadable without the module. An older server notes the module's name in any case.
pub(super) fn leaves_no_trace() -> bool {
    // SAFETY: the pointer was written by the server's init call; the call only reads a number.
    unsafe { raw::RedisModule_GetTypeMethodVersion.is_some_and(|version| version() >= 5) }
}

/// Lets a data type save something beside the keys.
///
/// # Safety
/// The callbacks are sound for the type.
pub(super) unsafe fn save_with(methods: &mut raw::RedisModuleTypeMethods, save: Save, load: Load) {
    methods.aux_load = Some(load);
    methods.aux_save_triggers = raw::REDISMODULE_AUX_AFTER_RDB as c_int;
    if leaves_no_trace() {
        methods.aux_save2 = Some(save);
    } else {
        methods.aux_save = Some(save);
    }
}

/// Writes what there is to save.
///
/// # Safety
/// `io` is the server's, in an `aux_save` callback.
pub(super) unsafe fn save_aside(io: *mut raw::RedisModuleIO, bytes: &[u8]) {
    if !(bytes.is_empty() && leaves_no_trace()) {
        // SAFETY: the caller's promise.
        unsafe { save_string(io, bytes) };
    }
}

/// Reads what [`save_aside`] wrote: nothing if it is empty. `None` for a file that is cut short.
///
/// # Safety
/// `io` is the server's, in an `aux_load` callback.
pub(super) unsafe fn load_aside(io: *mut raw::RedisModuleIO, read: impl FnOnce(&[u8]) -> bool) -> bool {
    // SAFETY: the caller's promise.
    unsafe { load_string(io) }.is_some_and(|bytes| bytes.is_empty() || read(&bytes))
}

/// No key has such a value: one in a file or a `RESTORE` is not ours.
unsafe extern "C" fn no_value(_io: *mut raw::RedisModuleIO, _version: c_int) -> *mut c_void {
    std::ptr::null_mut()
}

unsafe extern "C" fn save<T: Aside>(io: *mut raw::RedisModuleIO, _when: c_int) {
    // SAFETY: the server's save callback.
    guarded(|| unsafe { save_aside(io, &T::save()) });
}

unsafe extern "C" fn load<T: Aside>(io: *mut raw::RedisModuleIO, version: c_int, _when: c_int) -> c_int {
    let read = guarded(|| {
        if version > T::VERSION {
            let name = T::NAME.to_string_lossy();
            log(Level::Warning, &format!("Interlock: {name} version {version} was written by a newer module"));
            return false;
        }
        // SAFETY: the server's load callback.
        unsafe { load_aside(io, |bytes| T::load(bytes, version)) }
    });
    if read == Some(true) {
        raw::REDISMODULE_OK as c_int
    } else {
        raw::REDISMODULE_ERR as c_int
    }
}
