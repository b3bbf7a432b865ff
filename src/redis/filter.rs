//! Which commands come by? A look at each of them before the server does anything else with it.
//!
//! The server calls a filter for every command, also for those of scripts, so everything but a look at the
//! name is for the few commands that it is about.

use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::entry::{bytes_of, guarded};
use super::{api, call, keys, lock, Held};

/// What is wanted of passing commands.
#[derive(Clone, Copy)]
pub struct CommandFilter {
    /// Whether a command of this name is looked at; asked for every command, in the case the client wrote.
    pub wanted: fn(&[u8]) -> bool,
    /// Looks at it, and may change its arguments. It must not use the keyspace.
    pub look: fn(&Held<'_>, &mut PassingCommand),
}

/// A command before it runs.
pub struct PassingCommand {
    ctx: *mut raw::RedisModuleCommandFilterCtx,
    as_it_is: bool,
}

impl PassingCommand {
    /// An argument, the name first.
    pub fn arg(&self, at: usize) -> Option<&[u8]> {
        // SAFETY: the filter's context, inside the filter; the server checks the place. The bytes live
        // until the argument is replaced, which takes `&mut self`.
        unsafe {
            let arg = api!(RedisModule_CommandFilterArgGet(self.ctx, c_int::try_from(at).ok()?));
            (!arg.is_null()).then(|| bytes_of(arg))
        }
    }

    /// How many arguments there are, with the name.
    pub fn len(&self) -> usize {
        // SAFETY: as above.
        usize::try_from(unsafe { api!(RedisModule_CommandFilterArgsCount(self.ctx)) }).unwrap_or(0)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the module itself runs it, as it is: see [`super::call`].
    pub fn is_as_it_is(&self) -> bool {
        self.as_it_is
    }

    /// The keys among the arguments, as the server knows them.
    pub fn keys(&self) -> Vec<&[u8]> {
        // SAFETY: as above; the server only reads the strings.
        let places = unsafe {
            let strings: Vec<*mut raw::RedisModuleString> =
                (0..self.len()).map(|at| api!(RedisModule_CommandFilterArgGet(self.ctx, at as c_int))).collect();
            keys::places(&strings)
        };
        places.iter().filter_map(|place| self.arg(place.at)).collect()
    }

    /// Puts an argument before the first one.
    pub fn prepend(&mut self, bytes: &[u8]) {
        // SAFETY: as above; the server takes the new string over.
        unsafe {
            let new =
                api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast::<c_char>(), bytes.len()));
            if api!(RedisModule_CommandFilterArgInsert(self.ctx, 0, new)) != raw::REDISMODULE_OK as c_int {
                api!(RedisModule_FreeString(std::ptr::null_mut(), new));
            }
        }
    }

    /// Replaces an argument that is there.
    pub fn replace(&mut self, at: usize, bytes: &[u8]) {
        let Ok(at) = c_int::try_from(at) else { return };
        // SAFETY: as above; the server takes the new string over.
        unsafe {
            let new =
                api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast::<c_char>(), bytes.len()));
            if api!(RedisModule_CommandFilterArgReplace(self.ctx, at, new)) != raw::REDISMODULE_OK as c_int {
                api!(RedisModule_FreeString(std::ptr::null_mut(), new));
            }
        }
    }
}

/// The users of the server's one filter: it costs every command a call, and each of them a look at the name.
static USERS: [User; 2] = [User::new(), User::new()];
static REGISTERED: AtomicPtr<raw::RedisModuleCommandFilter> = AtomicPtr::new(std::ptr::null_mut());

struct User {
    filter: OnceCell<CommandFilter>,
    on: AtomicBool,
}

impl User {
    const fn new() -> Self {
        Self { filter: OnceCell::new(), on: AtomicBool::new(false) }
    }
}

/// Looks at commands from now on, or no longer. While nobody does, commands cost nothing.
pub fn filter_commands(_held: &Held<'_>, filter: CommandFilter, on: bool) {
    let mine = |user: &&User| std::ptr::fn_addr_eq(user.filter.get_or_init(|| filter).look, filter.look);
    let user = USERS.iter().find(mine);
    debug_assert!(user.is_some(), "more filters than were provided for");
    if let Some(user) = user {
        user.on.store(on, Ordering::Release);
    }
    let on = USERS.iter().any(|user| user.on.load(Ordering::Acquire));
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
    // Taken by the first command only: what it runs in turn is not the module's own.
    let as_it_is = call::is_as_it_is();
    let mut command = PassingCommand { ctx, as_it_is };
    for user in &USERS {
        let Some(filter) = user.filter.get().filter(|_| user.on.load(Ordering::Acquire)) else { continue };
        if command.arg(0).is_some_and(filter.wanted) {
            guarded(|| {
                // SAFETY: the server runs filters under its lock; the module's context lives for ever.
                let held = unsafe { Held::new(lock::module_ctx()) };
                (filter.look)(&held, &mut command);
            });
        }
    }
}
