//! How does a line get into the server's log, whatever bytes are in it?

use std::ffi::CString;
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::raw;

/// A level of the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `debug`
    Debug,
    /// `verbose`
    Verbose,
    /// `notice`
    Notice,
    /// `warning`
    Warning,
}

/// A context bound to the module, so that log lines carry its name. Set once, when it is loaded.
static LOG_CTX: AtomicPtr<raw::RedisModuleCtx> = AtomicPtr::new(std::ptr::null_mut());

/// The server cuts a log line at 1024 bytes (`LOG_MAX_LEN`, Redis 7.0), so a longer one goes out in parts.
const PART: usize = 900;

pub(super) fn set_context(ctx: *mut raw::RedisModuleCtx) {
    LOG_CTX.store(ctx, Ordering::Release);
}

/// Writes `message` to the server's log, one line of it at a time. Any thread, with or without the lock.
pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => c"debug",
        Level::Verbose => c"verbose",
        Level::Notice => c"notice",
        Level::Warning => c"warning",
    };
    // SAFETY: read once; the pointer never changes after the server's init call.
    let Some(write) = (unsafe { raw::RedisModule_Log }) else {
        return;
    };
    for line in message.lines() {
        let clean: String = line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        let mut rest = clean.as_str();
        loop {
            let mut end = rest.len().min(PART);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (part, tail) = rest.split_at(end);
            if let Ok(text) = CString::new(part) {
                // SAFETY: the text is an argument of `%s`, never the format itself; the server's
                // log function is thread-safe and reads nothing of the context but the module's name.
                unsafe { write(LOG_CTX.load(Ordering::Acquire), level.as_ptr(), c"%s".as_ptr(), text.as_ptr()) };
            }
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
    }
}
