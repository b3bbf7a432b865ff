//! How do our figures get into `INFO`?

use std::os::raw::c_int;

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::api;
use super::entry::{c_string, guarded};
use crate::reply::Reply;

/// A section: its name and its fields in order. Values are [`Reply::Int`], [`Reply::Double`] or text.
pub struct InfoSection {
    /// The server puts the module's name before it.
    pub name: &'static str,
    /// Fields and values.
    pub fields: Vec<(String, Reply)>,
}

static SECTIONS: OnceCell<fn() -> Vec<InfoSection>> = OnceCell::new();

/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register(ctx: *mut raw::RedisModuleCtx, sections: fn() -> Vec<InfoSection>) {
    let _ = SECTIONS.set(sections);
    // SAFETY: the caller's promise.
    unsafe { api!(RedisModule_RegisterInfoFunc(ctx, Some(on_info))) };
}

unsafe extern "C" fn on_info(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // In a crash report any lock may be held by the thread that crashed.
    if for_crash_report != 0 {
        return;
    }
    let Some(sections) = SECTIONS.get().and_then(guarded) else {
        return;
    };
    for section in sections {
        let name = c_string(section.name);
        // SAFETY: `ctx` is the server's for this call; the strings live as long.
        unsafe {
            if api!(RedisModule_InfoAddSection(ctx, name.as_ptr())) != raw::REDISMODULE_OK as c_int {
                continue;
            }
            for (field, value) in &section.fields {
                let field = c_string(field);
                match value {
                    Reply::Int(number) => api!(RedisModule_InfoAddFieldLongLong(ctx, field.as_ptr(), *number)),
                    Reply::Double(number) => {
                        let text = c_string(&format!("{number:.1}"));
                        api!(RedisModule_InfoAddFieldCString(ctx, field.as_ptr(), text.as_ptr()))
                    }
                    Reply::Status(text) | Reply::Bulk(text) => {
                        let text = c_string(&String::from_utf8_lossy(text));
                        api!(RedisModule_InfoAddFieldCString(ctx, field.as_ptr(), text.as_ptr()))
                    }
                    _ => raw::REDISMODULE_OK as c_int,
                };
            }
        }
    }
}
