//! How does the server know our options? `CONFIG GET/SET search.*`.

use std::ffi::CString;
use std::os::raw::{c_char, c_int, c_longlong, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::raw;

use super::entry::{bytes_of, c_string, guarded};
use super::{api, lock, Held};
use crate::settings::{Kind, Setting};

/// Called after `CONFIG SET` changed this setting, on the main thread.
pub(super) type Changed = fn(&Held<'_>, &'static Setting);

static CHANGED: once_cell::sync::OnceCell<Changed> = once_cell::sync::OnceCell::new();

/// Registers all settings with their present values as defaults (the load arguments have set them),
/// and reads what the configuration file says.
///
/// # Errors
/// The option that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register(
    ctx: *mut raw::RedisModuleCtx,
    settings: &'static [&'static Setting],
    changed: Changed,
) -> Result<(), String> {
    for &setting in settings {
        // SAFETY: the caller's promise.
        if unsafe { register_one(ctx, setting) } != raw::REDISMODULE_OK as c_int {
            return Err(format!("the server refused the option {}", setting.name));
        }
    }
    // SAFETY: as above. This may call the setters.
    if unsafe { api!(RedisModule_LoadConfigs(ctx)) } != raw::REDISMODULE_OK as c_int {
        return Err("bad value of a search.* option in the configuration file".to_owned());
    }
    let _ = CHANGED.set(changed);
    Ok(())
}

/// # Safety
/// `ctx` is the context of the load callback.
unsafe fn register_one(ctx: *mut raw::RedisModuleCtx, setting: &'static Setting) -> c_int {
    let name = c_string(setting.name);
    let data = std::ptr::from_ref(setting).cast_mut().cast::<c_void>();
    let mut flags = if setting.live { raw::REDISMODULE_CONFIG_DEFAULT } else { raw::REDISMODULE_CONFIG_IMMUTABLE };
    // SAFETY: the caller's promise; the server copies names; settings are static.
    unsafe {
        match setting.kind {
            Kind::Bool => api!(RedisModule_RegisterBoolConfig(
                ctx,
                name.as_ptr(),
                setting.get() as c_int,
                flags,
                Some(get_small),
                Some(set_small),
                None,
                data
            )),
            Kind::Word(words) => {
                let words: Vec<CString> = words.iter().map(|word| c_string(word)).collect();
                let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
                let places: Vec<c_int> = (0..words.len() as c_int).collect();
                api!(RedisModule_RegisterEnumConfig(
                    ctx,
                    name.as_ptr(),
                    setting.get() as c_int,
                    flags,
                    pointers.as_mut_ptr(),
                    places.as_ptr(),
                    places.len() as c_int,
                    Some(get_small),
                    Some(set_small),
                    None,
                    data
                ))
            }
            Kind::Text => {
                let default = c_string(&setting.text());
                api!(RedisModule_RegisterStringConfig(
                    ctx,
                    name.as_ptr(),
                    default.as_ptr(),
                    flags,
                    Some(get_text),
                    Some(set_text),
                    None,
                    data
                ))
            }
            Kind::Number { .. } | Kind::Memory => {
                let (min, max) = match setting.kind {
                    Kind::Number { min, max } => (min, max),
                    _ => (0, i64::MAX),
                };
                if setting.kind == Kind::Memory {
                    flags |= raw::REDISMODULE_CONFIG_MEMORY;
                }
                api!(RedisModule_RegisterNumericConfig(
                    ctx,
                    name.as_ptr(),
                    setting.get(),
                    flags,
                    min,
                    max,
                    Some(get_number),
                    Some(set_number),
                    None,
                    data
                ))
            }
        }
    }
}

/// # Safety
/// `data` is what `register_one` gave the server.
unsafe fn setting_of(data: *mut c_void) -> &'static Setting {
    // SAFETY: a pointer to a static.
    unsafe { &*data.cast_const().cast() }
}

fn set(setting: &'static Setting, value: i64) {
    setting.set(value);
    tell(setting);
}

fn tell(setting: &'static Setting) {
    if let Some(changed) = CHANGED.get() {
        // SAFETY: the server changes options under its lock; the module's context lives for ever.
        guarded(|| changed(&unsafe { Held::new(lock::module_ctx()) }, setting));
    }
}

unsafe extern "C" fn get_small(_name: *const c_char, data: *mut c_void) -> c_int {
    // SAFETY: see `setting_of`.
    unsafe { setting_of(data) }.get() as c_int
}

unsafe extern "C" fn set_small(
    _name: *const c_char,
    value: c_int,
    data: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: see `setting_of`.
    set(unsafe { setting_of(data) }, i64::from(value));
    raw::REDISMODULE_OK as c_int
}

unsafe extern "C" fn get_number(_name: *const c_char, data: *mut c_void) -> c_longlong {
    // SAFETY: see `setting_of`.
    unsafe { setting_of(data) }.get()
}

unsafe extern "C" fn set_number(
    _name: *const c_char,
    value: c_longlong,
    data: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: see `setting_of`.
    set(unsafe { setting_of(data) }, value);
    raw::REDISMODULE_OK as c_int
}

/// What [`get_text`] returned last: the server copies it at once, and does not free it.
static LAST: AtomicPtr<raw::RedisModuleString> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn get_text(_name: *const c_char, data: *mut c_void) -> *mut raw::RedisModuleString {
    // SAFETY: see `setting_of`; without a context the string is ours, and so is the one before it.
    unsafe {
        let text = setting_of(data).text();
        let new = api!(RedisModule_CreateString(std::ptr::null_mut(), text.as_ptr().cast(), text.len()));
        let old = LAST.swap(new, Ordering::Relaxed);
        if !old.is_null() {
            api!(RedisModule_FreeString(std::ptr::null_mut(), old));
        }
        new
    }
}

unsafe extern "C" fn set_text(
    _name: *const c_char,
    value: *mut raw::RedisModuleString,
    data: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: see `setting_of`; the value lives as long as this call, and the server takes the text of the error.
    unsafe {
        let setting = setting_of(data);
        let text = std::str::from_utf8(bytes_of(value)).map_err(|_| "a text in UTF-8");
        match text.and_then(|text| setting.set_words(text)) {
            Ok(()) => {
                tell(setting);
                raw::REDISMODULE_OK as c_int
            }
            Err(expected) => {
                let text = format!("expected {expected}");
                *error = api!(RedisModule_CreateString(std::ptr::null_mut(), text.as_ptr().cast(), text.len()));
                raw::REDISMODULE_ERR as c_int
            }
        }
    }
}
