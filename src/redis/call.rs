//! How does the module run a server command?

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::raw::c_char;

use redis_module::raw;

use super::{api, errand, lock, Held};
use crate::reply::Reply;

thread_local! {
    static CALLING: Cell<bool> = const { Cell::new(false) };
    /// The command that comes next is the module's own.
    static AS_IT_IS: Cell<bool> = const { Cell::new(false) };
}

/// Whether the command that passes the filters now is one that the module runs as it is; asked once for each command.
pub(super) fn is_as_it_is() -> bool {
    AS_IT_IS.take()
}

/// Whether this thread is inside a command that the module itself runs. The server gives such a command
/// a client of its own, whose number may be that of another client.
pub(super) fn is_ours() -> bool {
    CALLING.get()
}

/// Marks the thread while it runs a command, also one inside another.
struct Calling(bool);

impl Calling {
    fn begin() -> Self {
        Self(CALLING.replace(true))
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        CALLING.set(self.0);
    }
}

/// The arguments of a command, its name first.
pub type Args = [Vec<u8>];

/// Runs a command with full rights on the context's database, and replicates its effects. An error reply comes back as
/// [`Reply::Error`], also for an unknown command or a wrong number of arguments. What follows passing commands
/// ([`super::filter_commands`]) sees that it is the module's own.
pub fn call(held: &Held<'_>, argv: &Args) -> Reply {
    AS_IT_IS.set(true);
    let reply = call_with(held, argv, c"!E3v");
    AS_IT_IS.set(false);
    reply
}

/// As [`call`], for a command that a script runs as a client would.
pub fn call_as_client(held: &Held<'_>, argv: &Args) -> Reply {
    call_with(held, argv, c"!E3v")
}

/// Which types a reply has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Those of RESP2.
    Two,
    /// Those of the client whose command is being handled.
    Client,
}

/// As [`call`], in the place of a client's command: it is refused when memory, good replicas or the disk are short, and
/// where scripts must not call it. Statuses stay apart from other texts.
pub fn call_as_it_is(held: &Held<'_>, argv: &Args, protocol: Protocol) -> Reply {
    AS_IT_IS.set(true);
    let reply = call_with(held, argv, if protocol == Protocol::Client { c"!SEM0v" } else { c"!SEMv" });
    AS_IT_IS.set(false);
    reply
}

/// As [`call`], for a command that does not write; `None` for one that would.
pub fn call_unless_write(held: &Held<'_>, argv: &Args) -> Option<Reply> {
    AS_IT_IS.set(true);
    let reply = call_with(held, argv, c"W!E3v");
    AS_IT_IS.set(false);
    match reply {
        // The server has no code for it.
        Reply::Error(text) if String::from_utf8_lossy(&text).contains("was called while write is not allowed") => None,
        reply => Some(reply),
    }
}

/// Why a command can't run inside ours, where the server itself does not see that it can't, and ends.
fn refusal(held: &Held<'_>, name: &[u8], first: Option<&Vec<u8>>) -> Option<&'static str> {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.first()?.to_ascii_lowercase() {
        b's' | b'p' if is(b"sync") || is(b"psync") => Some("ERR a script can not become a replica"),
        b'w' if is(b"wait") || is(b"waitaof") => Some("ERR a script can not wait for replicas: let the client do it"),
        b'e' | b'f' | b's' if SCRIPTING.iter().any(|known| is(known)) && held.in_script() => {
            Some("ERR scripts of the server can not be run or changed while one runs")
        }
        b'c' if is(b"client")
            && first.is_some_and(|word| word.eq_ignore_ascii_case(b"kill"))
            && lock::on_main_thread()
            && !errand::runs_here() =>
        {
            Some("ERR CLIENT KILL can not run inside a client's command (mode='sync', hooks, MULTI, Lua)")
        }
        _ => None,
    }
}

/// Commands that the server's scripting must not meet inside itself.
const SCRIPTING: [&[u8]; 8] =
    [b"eval", b"eval_ro", b"evalsha", b"evalsha_ro", b"fcall", b"fcall_ro", b"function", b"script"];

/// `!` replicates, `E` returns errors as replies, `3` keeps RESP3 types apart, `W` refuses to write, `S` refuses what Lua
/// scripts must not call, `v` takes an array and its length.
fn call_with(held: &Held<'_>, argv: &Args, format: &CStr) -> Reply {
    let Some((name, args)) = argv.split_first() else {
        return Reply::error("ERR empty command");
    };
    if let Some(refusal) = refusal(held, name, args.first()) {
        return Reply::error(refusal);
    }
    let Ok(name) = CString::new(name.clone()) else {
        return Reply::error("ERR unknown command: its name has a NUL byte");
    };
    let _calling = Calling::begin();
    // SAFETY: the lock is held. The strings are made and freed here, the reply is read and freed
    // before the context can go away.
    unsafe {
        let mut strings: Vec<*mut raw::RedisModuleString> = args
            .iter()
            .map(|arg| api!(RedisModule_CreateString(std::ptr::null_mut(), arg.as_ptr().cast::<c_char>(), arg.len())))
            .collect();
        let reply =
            api!(RedisModule_Call(held.ctx(), name.as_ptr(), format.as_ptr(), strings.as_mut_ptr(), strings.len()));
        for string in strings {
            api!(RedisModule_FreeString(std::ptr::null_mut(), string));
        }
        if reply.is_null() {
            // Without a reply the server says why in errno (Redis 7.0 does so for a few checks made
            // before the command runs).
            return Reply::error(format!("ERR {}", std::io::Error::last_os_error()));
        }
        let owned = read(reply);
        api!(RedisModule_FreeCallReply(reply));
        owned
    }
}

/// Whether a text came as a status: the server gives both the same type.
///
/// # Safety
/// As [`read`].
unsafe fn is_status(reply: *mut raw::RedisModuleCallReply) -> bool {
    // SAFETY: the caller's promise; the bytes are the reply's, and there is at least one.
    unsafe {
        let mut length = 0;
        let start = api!(RedisModule_CallReplyProto(reply, &mut length));
        !start.is_null() && length > 0 && *start.cast::<u8>() == b'+'
    }
}

/// # Safety
/// `reply` is a live reply of a call whose context is still valid, under the lock.
unsafe fn read(reply: *mut raw::RedisModuleCallReply) -> Reply {
    if reply.is_null() {
        return Reply::Null;
    }
    // SAFETY: the caller's promise; elements live as long as their parent.
    unsafe {
        let text = || {
            let mut length = 0;
            let start = api!(RedisModule_CallReplyStringPtr(reply, &mut length));
            if start.is_null() {
                Vec::new()
            } else {
                std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec()
            }
        };
        let length = || api!(RedisModule_CallReplyLength(reply));
        match api!(RedisModule_CallReplyType(reply)) as isize {
            raw::REDISMODULE_REPLY_STRING if is_status(reply) => Reply::Status(text()),
            raw::REDISMODULE_REPLY_STRING => Reply::Bulk(text()),
            raw::REDISMODULE_REPLY_ERROR => Reply::Error(text()),
            raw::REDISMODULE_REPLY_INTEGER => Reply::Int(api!(RedisModule_CallReplyInteger(reply))),
            raw::REDISMODULE_REPLY_ARRAY => Reply::Array(
                (0..length()).map(|index| read(api!(RedisModule_CallReplyArrayElement(reply, index)))).collect(),
            ),
            raw::REDISMODULE_REPLY_SET => Reply::Set(
                (0..length()).map(|index| read(api!(RedisModule_CallReplySetElement(reply, index)))).collect(),
            ),
            raw::REDISMODULE_REPLY_MAP => Reply::Map(
                (0..length())
                    .map(|index| {
                        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
                        api!(RedisModule_CallReplyMapElement(reply, index, &mut key, &mut value));
                        (read(key), read(value))
                    })
                    .collect(),
            ),
            raw::REDISMODULE_REPLY_BOOL => Reply::Bool(api!(RedisModule_CallReplyBool(reply)) != 0),
            raw::REDISMODULE_REPLY_DOUBLE => Reply::Double(api!(RedisModule_CallReplyDouble(reply))),
            raw::REDISMODULE_REPLY_BIG_NUMBER => {
                let mut length = 0;
                let start = api!(RedisModule_CallReplyBigNumber(reply, &mut length));
                Reply::BigNumber(std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec())
            }
            raw::REDISMODULE_REPLY_VERBATIM_STRING => {
                let (mut length, mut format) = (0, std::ptr::null());
                let start = api!(RedisModule_CallReplyVerbatim(reply, &mut length, &mut format));
                Reply::Bulk(std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec())
            }
            _ => Reply::Null,
        }
    }
}
