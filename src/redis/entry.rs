//! How does a command get from the server to our code, and never a panic back?

use std::ffi::{CStr, CString};
use std::os::raw::c_int;
use std::panic::{self, AssertUnwindSafe};

use redis_module::raw;

use super::dispatch::{self, Outcome};
use super::{api, call, keys, lock, write, Held};
use crate::reply::Reply;

/// What the server is told of a command.
pub struct CommandSpec {
    /// Its name, for example `il.keys`; that of a subcommand is `parent|name`, and its arguments begin with its word.
    pub name: &'static CStr,
    /// The server's flags, for example `readonly`.
    pub flags: &'static CStr,
    /// Number of arguments with the name; negative: at least so many.
    pub arity: i32,
    /// One sentence for `COMMAND DOCS`.
    pub summary: &'static CStr,
    /// The arguments for `COMMAND DOCS`.
    pub args: &'static [ArgDoc],
}

/// One argument, as `COMMAND DOCS` shows it.
pub struct ArgDoc {
    /// Its name.
    pub name: &'static CStr,
    /// The word before it, or null for none; without a value if `flag` is set.
    pub token: Option<&'static CStr>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it is the word alone.
    pub flag: bool,
}

impl ArgDoc {
    /// An argument that must be there.
    pub const fn required(name: &'static CStr) -> Self {
        Self { name, token: None, optional: false, flag: false }
    }

    /// An argument that may be left out.
    pub const fn optional(name: &'static CStr) -> Self {
        Self { name, token: None, optional: true, flag: false }
    }

    /// A word and an argument after it, both of which must be there.
    pub const fn after(name: &'static CStr, token: &'static CStr) -> Self {
        Self { name, token: Some(token), optional: false, flag: false }
    }

    /// A word and an argument after it, which may be left out.
    pub const fn option(name: &'static CStr, token: &'static CStr) -> Self {
        Self { name, token: Some(token), optional: true, flag: false }
    }

    /// A word that may be left out.
    pub const fn flag(name: &'static CStr, token: &'static CStr) -> Self {
        Self { name, token: Some(token), optional: true, flag: true }
    }
}

/// Which arguments of a command are keys, for ACLs and cluster clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// The first argument, which is only read.
    FirstRead,
    /// The first argument, which is read and changed.
    FirstWritten,
    /// The second argument, which is only read.
    SecondRead,
    /// The second argument, which is read and changed.
    SecondWritten,
    /// All arguments from the second on, which are only read.
    FromSecondRead,
    /// Those of the command that its arguments are. Its flags must have `getkeys-api`.
    OfInnerCommand,
    /// As many after the second argument as it says, which are only read.
    CountedRead,
    /// As many after the second argument as it says, which are read and changed.
    CountedWritten,
}

impl Keys {
    /// The places of the first key and of the last one, as the server counts them.
    fn places(self) -> (c_int, c_int) {
        match self {
            // How many there are is not known beforehand.
            Keys::None | Keys::CountedRead | Keys::CountedWritten | Keys::OfInnerCommand => (0, 0),
            Keys::FirstRead | Keys::FirstWritten => (1, 1),
            Keys::SecondRead | Keys::SecondWritten => (2, 2),
            Keys::FromSecondRead => (2, -1),
        }
    }

    fn is_counted(self) -> bool {
        matches!(self, Keys::CountedRead | Keys::CountedWritten)
    }

    fn is_written(self) -> bool {
        matches!(self, Keys::FirstWritten | Keys::SecondWritten | Keys::CountedWritten)
    }

    /// What the server is told of them.
    fn spec(self) -> raw::RedisModuleCommandKeySpec {
        // SAFETY: zero is a valid value of this C struct (null pointers, no flags).
        let mut spec: raw::RedisModuleCommandKeySpec = unsafe { std::mem::zeroed() };
        spec.flags = u64::from(if self.is_written() {
            raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_ACCESS | raw::REDISMODULE_CMD_KEY_UPDATE
        } else {
            raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS
        });
        spec.begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
        if self.is_counted() {
            spec.bs.index.pos = 2;
            spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_KEYNUM;
            // Counted from where the search begins.
            spec.fk.keynum.keynumidx = 0;
            spec.fk.keynum.firstkey = 1;
            spec.fk.keynum.keystep = 1;
            return spec;
        }
        let (first, last) = self.places();
        spec.bs.index.pos = first;
        spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
        // Counted from the first one; negative from the end.
        spec.fk.range.lastkey = last.min(0);
        spec.fk.range.keystep = 1;
        spec
    }
}

/// A command.
pub trait Command: 'static {
    /// What the server is told of it.
    const SPEC: CommandSpec;

    /// Which of its arguments are keys.
    const KEYS: Keys = Keys::None;

    /// Parses the call under the server's lock and says what to do. Errors are answered at once.
    fn call(invocation: &Invocation<'_>) -> Outcome;
}

/// One call of a command: its arguments and where it came from.
pub struct Invocation<'a> {
    /// The arguments, the command's name first. Any bytes.
    pub argv: Vec<&'a [u8]>,
    /// The proof that the lock is held while the command is parsed.
    pub held: Held<'a>,
    /// The context flags (`REDISMODULE_CTX_FLAGS_*`).
    pub(super) flags: u32,
}

impl Invocation<'_> {
    /// The arguments after the command's name.
    pub fn args(&self) -> &[&[u8]] {
        self.argv.get(1..).unwrap_or(&[])
    }

    /// The name of the calling user; `None` for the replication link, the AOF, and what the module itself runs, which
    /// may do everything.
    pub fn user(&self) -> Option<String> {
        // A call of ours may have a client without a user, at which the server would stumble.
        if call::is_ours() {
            return None;
        }
        if self.flags & (raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING) != 0 {
            return None;
        }
        // SAFETY: a command's context whose client has a user; the string is freed here, under the lock.
        unsafe {
            let name = api!(RedisModule_GetCurrentUserName(self.held.ctx()));
            if name.is_null() {
                return None;
            }
            let text = String::from_utf8_lossy(bytes_of(name)).into_owned();
            api!(RedisModule_FreeString(self.held.ctx(), name));
            Some(text)
        }
    }

    /// Whether the client's commands may block it: not in `MULTI`, Lua, or while a log is replayed.
    pub fn may_block(&self) -> bool {
        dispatch::may_block(self.flags)
    }
}

/// The bytes of a server string.
///
/// # Safety
/// `string` is valid for the lifetime chosen.
pub(super) unsafe fn bytes_of<'a>(string: *mut raw::RedisModuleString) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: the caller's promise.
    unsafe {
        let start = api!(RedisModule_StringPtrLen(string, &mut length));
        if start.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(start.cast(), length)
    }
}

/// Runs `work` at a callback of the server on the main thread: the lock is held, and a panic ends
/// here. Returns `None` after a panic (the panic hook has logged it).
pub(super) fn guarded<R>(work: impl FnOnce() -> R) -> Option<R> {
    panic::catch_unwind(AssertUnwindSafe(|| lock::marked(work))).ok()
}

/// The server's way into `C`.
pub(super) unsafe extern "C" fn trampoline<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    let done = guarded(|| {
        // SAFETY: the server calls with its lock held; argv and ctx live as long as this call.
        unsafe {
            let strings = std::slice::from_raw_parts(argv, usize::try_from(argc).unwrap_or(0));
            if C::KEYS == Keys::OfInnerCommand && api!(RedisModule_IsKeysPositionRequest(ctx)) != 0 {
                return keys::report_inner(ctx, strings);
            }
            let invocation = Invocation {
                argv: strings.iter().map(|&string| bytes_of(string)).collect(),
                held: Held::new(ctx),
                flags: api!(RedisModule_GetContextFlags(ctx)) as u32,
            };
            dispatch::dispatch(C::call(&invocation), &invocation);
        }
    });
    if done.is_none() {
        // SAFETY: the command's context. A panic while the reply was being written may leave a
        // broken reply, but the server and everybody else go on.
        unsafe { write::write(ctx, &Reply::internal_error()) };
    }
    raw::REDISMODULE_OK as c_int
}

/// Registers `C` with the server; only while the module is being loaded.
///
/// # Errors
/// The name of the command that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register<C: Command>(ctx: *mut raw::RedisModuleCtx) -> Result<(), String> {
    let spec = C::SPEC;
    // SAFETY: the caller's promise.
    unsafe { create(ctx, &spec, Some(trampoline::<C>), C::KEYS) }
}

/// Registers a command that is only the name before its subcommands, which are registered after it.
///
/// # Errors
/// The name that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register_container(ctx: *mut raw::RedisModuleCtx, spec: &CommandSpec) -> Result<(), String> {
    // SAFETY: the caller's promise.
    unsafe { create(ctx, spec, None, Keys::None) }
}

/// # Safety
/// `ctx` is the context of the load callback.
unsafe fn create(
    ctx: *mut raw::RedisModuleCtx,
    spec: &CommandSpec,
    function: raw::RedisModuleCmdFunc,
    keys: Keys,
) -> Result<(), String> {
    let (first, last) = keys.places();
    let step = c_int::from(first > 0);
    let flags = spec.flags.as_ptr();
    let name = spec.name.to_bytes_with_nul();
    // SAFETY: the caller's promise; all strings are static or live until the call returns (the
    // server copies the command's info).
    let created = unsafe {
        match name.iter().position(|&byte| byte == b'|') {
            None => api!(RedisModule_CreateCommand(ctx, spec.name.as_ptr(), function, flags, first, last, step)),
            Some(end) => {
                let parent = CString::new(&name[..end]).unwrap_or_default();
                let parent = api!(RedisModule_GetCommand(ctx, parent.as_ptr()));
                let own = name[end + 1..].as_ptr().cast();
                api!(RedisModule_CreateSubcommand(parent, own, function, flags, first, last, step))
            }
        }
    };
    if created != raw::REDISMODULE_OK as c_int {
        return Err(format!("the server refused the command {}", spec.name.to_string_lossy()));
    }
    // SAFETY: as above; the command was made just now.
    unsafe { describe(api!(RedisModule_GetCommand(ctx, spec.name.as_ptr())), spec, keys) };
    Ok(())
}

/// # Safety
/// `command` is a command of this module, during the load callback.
unsafe fn describe(command: *mut raw::RedisModuleCommand, spec: &CommandSpec, keys: Keys) {
    /// The layout that this module was compiled for.
    static VERSION: SyncVersion = SyncVersion(raw::RedisModuleCommandInfoVersion {
        // `REDISMODULE_COMMAND_INFO_VERSION`, a macro that the bindings leave out.
        version: 1,
        sizeof_historyentry: std::mem::size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: std::mem::size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: std::mem::size_of::<raw::RedisModuleCommandArg>(),
    });
    struct SyncVersion(raw::RedisModuleCommandInfoVersion);
    // SAFETY: numbers only.
    unsafe impl Sync for SyncVersion {}

    // SAFETY: zero is a valid value of these C structs (null pointers, no flags); the pointers
    // set below live until the call returns.
    unsafe {
        let mut args: Vec<raw::RedisModuleCommandArg> = Vec::new();
        for doc in spec.args {
            let mut arg: raw::RedisModuleCommandArg = std::mem::zeroed();
            arg.name = doc.name.as_ptr();
            arg.type_ = if doc.flag {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN
            } else {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING
            };
            arg.key_spec_index = -1;
            arg.token = doc.token.map_or(std::ptr::null(), CStr::as_ptr);
            if doc.optional {
                arg.flags |= raw::REDISMODULE_CMD_ARG_OPTIONAL as c_int;
            }
            args.push(arg);
        }
        args.push(std::mem::zeroed());
        let mut key_specs = [keys.spec(), std::mem::zeroed()];
        let mut info: raw::RedisModuleCommandInfo = std::mem::zeroed();
        if !matches!(keys, Keys::None | Keys::OfInnerCommand) {
            info.key_specs = key_specs.as_mut_ptr();
        }
        info.version = &VERSION.0;
        info.summary = spec.summary.as_ptr();
        info.since = c"0.1.0".as_ptr();
        info.arity = spec.arity;
        info.args = if spec.args.is_empty() { std::ptr::null_mut() } else { args.as_mut_ptr() };
        api!(RedisModule_SetCommandInfo(command, &info));
    }
}

/// A C string of any text: NUL bytes are left out.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}
