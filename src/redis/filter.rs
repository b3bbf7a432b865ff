//! Which commands come by? A look at each of them before the server does anything else with it.
//!
//! The server calls a filter for every command, also for those of scripts, so everything but a look at the
//! name is for the few commands that it is about.

use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::entry::{bytes_of, guarded};
use super::{api, lock, Held};

/// What is wanted of passing commands.
#[derive(Clone, Copy)]
pub struct CommandFilter {
    /// Whether a command of this name is looked at; asked for every command, in the case the client wrote.
    pub wanted: fn(&[u8]) -> bool,
    /// Looks at it, and may change its arguments. It must not use the keyspace.
    pub look: fn(&Held<'_>, &mut PassingCommand),
}

/// A command before it runs.
pub struct PassingCommand(*mut raw::RedisModuleCommandFilterCtx);

impl PassingCommand {
    /// An argument, the name first.
    pub fn arg(&self, at: usize) -> Option<&[u8]> {
        // SAFETY: the filter's context, inside the filter; the server checks the place. The bytes live
        // until the argument is replaced, which takes `&mut self`.
        unsafe {
            let arg = api!(RedisModule_CommandFilterArgGet(self.0, c_int::try_from(at).ok()?));
            (!arg.is_null()).then(|| bytes_of(arg))
        }
    }

    /// How many arguments there are, with the name.
    pub fn len(&self) -> usize {
        // SAFETY: as above.
        usize::try_from(unsafe { api!(RedisModule_CommandFilterArgsCount(self.0)) }).unwrap_or(0)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces an argument that is there.
    pub fn replace(&mut self, at: usize, bytes: &[u8]) {
        let Ok(at) = c_int::try_from(at) else { return };
        // SAFETY: as above; the server takes the new string over.
        unsafe {
            let new =
                api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast::<c_char>(), bytes.len()));
            if api!(RedisModule_CommandFilterArgReplace(self.0, at, new)) != raw::REDISMODULE_OK as c_int {
                api!(RedisModule_FreeString(std::ptr::null_mut(), new));
            }
        }
    }
}

static FILTER: OnceCell<CommandFilter> = OnceCell::new();
static REGISTERED: AtomicPtr<raw::RedisModuleCommandFilter> = AtomicPtr::new(std::ptr::null_mut());

/// Looks at commands from now on, or no longer. There is one filter; while it is off commands cost nothing.
pub fn filter_commands(_held: &Held<'_>, filter: CommandFilter, on: bool) {
    let filter_set = FILTER.get_or_init(|| filter);
    debug_assert!(std::ptr::fn_addr_eq(filter_set.look, filter.look), "there is one filter");
    let registered = REGISTERED.load(Ordering::Acquire);
    // SAFETY: the lock is held; the module's own context.
    unsafe {
        if on && registered.is_null() {
            let new = api!(RedisModule_RegisterCommandFilter(lock::module_ctx(), Some(on_command), 0));
            REGISTERED.store(new, Ordering::Release);
        } else if !on && !registered.is_null() {
            api!(RedisModule_UnregisterCommandFilter(lock::module_ctx(), registered));
            REGISTERED.store(std::ptr::null_mut(), Ordering::Release);
        }
    }
}

unsafe extern "C" fn on_command(ctx: *mut raw::RedisModuleCommandFilterCtx) {
    let Some(filter) = FILTER.get() else { return };
    let mut command = PassingCommand(ctx);
    if !command.arg(0).is_some_and(filter.wanted) {
        return;
    }
    guarded(|| {
        // SAFETY: the server runs filters under its lock; the module's context lives for ever.
        let held = unsafe { Held::new(lock::module_ctx()) };
        (filter.look)(&held, &mut command);
    });
}
