//! How do replicas and the AOF learn of a change? As a command that repeats the effect.

use std::ffi::CStr;
use std::os::raw::c_char;

use redis_module::raw;

use super::{api, call, Held, Invocation};
use crate::reply::Reply;

/// Sends a command to replicas and the AOF, for the database that is chosen.
pub fn replicate(held: &Held<'_>, name: &CStr, args: &[&[u8]]) {
    // SAFETY: the lock is held; the strings live for the call (`v`: an array and its length).
    unsafe {
        let mut strings: Vec<*mut raw::RedisModuleString> = args
            .iter()
            .map(|arg| api!(RedisModule_CreateString(std::ptr::null_mut(), arg.as_ptr().cast::<c_char>(), arg.len())))
            .collect();
        api!(RedisModule_Replicate(held.ctx(), name.as_ptr(), c"v".as_ptr(), strings.as_mut_ptr(), strings.len()));
        for string in strings {
            api!(RedisModule_FreeString(std::ptr::null_mut(), string));
        }
    }
}

/// Whether there is an AOF that is rewritten as commands: nothing is in it then but what makes the keys, and modules are
/// not asked for more.
pub fn is_rewritten_as_commands(held: &Held<'_>) -> bool {
    is_set(held, "appendonly", b"yes") && is_set(held, "aof-use-rdb-preamble", b"no")
}

fn is_set(held: &Held<'_>, option: &str, to: &[u8]) -> bool {
    let reply = call::call(held, &[b"CONFIG".to_vec(), b"GET".to_vec(), option.into()]);
    let text = Reply::Bulk(to.to_vec());
    match reply {
        Reply::Map(pairs) => pairs.iter().any(|(_, value)| *value == text),
        Reply::Array(words) => words.last() == Some(&text),
        _ => false,
    }
}

impl Invocation<'_> {
    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.flags & raw::REDISMODULE_CTX_FLAGS_RESP3 != 0
    }

    /// Sends this command as it came to replicas and the AOF.
    pub fn replicate_as_is(&self) {
        // SAFETY: a command's context, in its handler.
        unsafe { api!(RedisModule_ReplicateVerbatim(self.held.ctx())) };
    }
}
