//! How do our figures get into `INFO`?

use std::ffi::CStr;
use std::os::raw::c_int;

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::entry::{c_string, guarded};
use super::{api, lock, Held};
use crate::reply::Reply;

/// A section of `INFO`.
pub struct InfoSection {
    /// The server puts the module's name before it.
    pub name: &'static CStr,
    /// Its fields and their values in order; asked for only if the section is. A [`Reply::Map`] is a field with parts,
    /// `name:part=value,part=value`.
    pub fields: fn(&Held<'_>) -> Vec<(String, Reply)>,
}

static SECTIONS: OnceCell<&'static [InfoSection]> = OnceCell::new();

/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register(ctx: *mut raw::RedisModuleCtx, sections: &'static [InfoSection]) {
    let _ = SECTIONS.set(sections);
    // SAFETY: the caller's promise.
    unsafe { api!(RedisModule_RegisterInfoFunc(ctx, Some(on_info))) };
}

unsafe extern "C" fn on_info(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // In a crash report any lock may be held by the thread that crashed.
    if for_crash_report != 0 {
        return;
    }
    for section in SECTIONS.get().copied().unwrap_or_default() {
        // SAFETY: `ctx` is the server's for this call.
        let wanted = unsafe { api!(RedisModule_InfoAddSection(ctx, section.name.as_ptr())) };
        if wanted != raw::REDISMODULE_OK as c_int {
            continue;
        }
        // SAFETY: the server puts INFO together under its lock; the module's context lives for ever.
        let fields = guarded(|| (section.fields)(&unsafe { Held::new(lock::module_ctx()) }));
        for (name, value) in fields.unwrap_or_default() {
            // SAFETY: as above.
            unsafe { add(ctx, &name, &value) };
        }
    }
}

/// # Safety
/// `ctx` is the server's for this call.
unsafe fn add(ctx: *mut raw::RedisModuleInfoCtx, name: &str, value: &Reply) {
    // What ends a name must not be in one.
    let field = c_string(&name.replace([':', '\r', '\n'], "_"));
    // SAFETY: the caller's promise; the strings live as long as the calls.
    unsafe {
        match value {
            Reply::Int(number) => {
                api!(RedisModule_InfoAddFieldLongLong(ctx, field.as_ptr(), *number));
            }
            Reply::Map(parts) => {
                api!(RedisModule_InfoBeginDictField(ctx, field.as_ptr()));
                for (part, value) in parts {
                    let (part, value) = (c_string(&text(part)), c_string(&text(value)));
                    api!(RedisModule_InfoAddFieldCString(ctx, part.as_ptr(), value.as_ptr()));
                }
                api!(RedisModule_InfoEndDictField(ctx));
            }
            other => {
                let value = c_string(&text(other));
                api!(RedisModule_InfoAddFieldCString(ctx, field.as_ptr(), value.as_ptr()));
            }
        }
    }
}

/// A value as text without what has a meaning in `INFO`: line breaks, and what separates the parts of a field.
fn text(value: &Reply) -> String {
    match value {
        Reply::Int(number) => number.to_string(),
        Reply::Double(number) => format!("{number:.1}"),
        Reply::Bulk(bytes) | Reply::Status(bytes) | Reply::Error(bytes) | Reply::BigNumber(bytes) => {
            String::from_utf8_lossy(bytes).replace(',', "|").replace('=', ":").replace(['\r', '\n'], " ")
        }
        Reply::Array(items) | Reply::Set(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join("|"))
        }
        Reply::Map(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{}:{}", text(name), text(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join("|"))
        }
        Reply::Bool(yes) => u8::from(*yes).to_string(),
        Reply::Null => "null".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::reply::Reply;

    #[test]
    fn what_separates_fields_and_parts_is_not_in_a_value() {
        assert_eq!(text(&Reply::bulk("a,b=c\r\nd")), "a|b:c  d");
        assert_eq!(text(&Reply::Array(vec![Reply::bulk("a"), Reply::Int(1), Reply::Null])), "[a|1|null]");
        assert_eq!(text(&Reply::Double(0.25)), "0.2");
    }
}
