//! How is the module loaded, and why is it never unloaded?

use std::ffi::CStr;
use std::os::raw::c_int;

use redis_module::raw;

use super::entry::{bytes_of, guarded, register, register_container, Command, CommandSpec};
use super::{api, aside, events, fork, info, large_aside, lock, log, node, notify, options, types};
use super::{AroundFork, Aside, Held, InfoSection, KeyType, KeyWatcher, LargeAside, Level, Shutdown};
use crate::settings::Setting;

/// What the wiring tells this layer.
pub struct ServerModule {
    /// The name in `MODULE LIST`, and before every option and `INFO` field.
    pub name: &'static CStr,
    /// The version in `MODULE LIST`.
    pub version: i32,
    /// Reads the load arguments into the settings; an error refuses to load.
    pub arguments: fn(&[String]) -> Result<(), String>,
    /// The settings to offer as `CONFIG` options.
    pub settings: &'static [&'static Setting],
    /// Called after `CONFIG SET`.
    pub changed: fn(&Held<'_>, &'static Setting),
    /// The sections of `INFO`.
    pub info: &'static [InfoSection],
    /// Registers the commands.
    pub commands: fn(&Loader) -> Result<(), String>,
    /// Starts what needs a configured server; the last step of loading.
    pub start: fn() -> Result<(), String>,
    /// What to do when the server shuts down.
    pub shutdown: Shutdown,
}

/// The server while it loads the module.
pub struct Loader {
    ctx: *mut raw::RedisModuleCtx,
}

impl Loader {
    /// Registers a command.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn command<C: Command>(&self) -> Result<(), String> {
        // SAFETY: a `Loader` lives only during the load callback.
        unsafe { register::<C>(self.ctx) }
    }

    /// Registers a command that is only the name before its subcommands, which are registered after it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn container(&self, spec: &CommandSpec) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { register_container(self.ctx, spec) }
    }

    /// Registers a data type.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn data_type<T: KeyType>(&self) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { types::register::<T>(self.ctx) }
    }

    /// Registers something to be saved beside the keys.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn aside<T: Aside>(&self) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { aside::register::<T>(self.ctx) }
    }

    /// The server loads a module under its lock.
    pub fn held(&self) -> Held<'_> {
        // SAFETY: as above.
        unsafe { Held::new(self.ctx) }
    }

    /// Registers something large that is saved beside the keys.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn large_aside<T: LargeAside>(&self) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { large_aside::register::<T>(self.ctx) }
    }

    /// Has `hooks` called around the server's forks.
    ///
    /// # Errors
    /// When the system refuses it, or there are hooks already.
    pub fn around_fork(&self, hooks: AroundFork) -> Result<(), String> {
        fork::around(hooks)
    }

    /// Tells `watcher` of every change of a key.
    ///
    /// # Errors
    /// When the server refuses it, or there is a watcher.
    pub fn watch_keys(&self, watcher: KeyWatcher) -> Result<(), String> {
        // SAFETY: as above.
        unsafe { notify::watch(self.ctx, watcher) }
    }
}

/// The server's load callback. Returns the server's code for success or failure.
///
/// # Safety
/// The server's arguments of `RedisModule_OnLoad`.
pub unsafe fn on_load(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
    module: &'static ServerModule,
) -> c_int {
    const FAILED: c_int = raw::REDISMODULE_ERR as c_int;
    // Nothing may allocate before this call: it is what gives us the server's allocator.
    // SAFETY: the server's context; the name is static.
    let ready = unsafe {
        raw::Export_RedisModule_Init(ctx, module.name.as_ptr(), module.version, raw::REDISMODULE_APIVER_1 as c_int)
    };
    if ready != raw::REDISMODULE_OK as c_int {
        return FAILED;
    }
    let loaded = guarded(|| {
        // SAFETY: the load callback's arguments.
        unsafe {
            log::set_context(ctx);
            events::install_panic_hook();
            // Without arguments there is no array.
            let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or(0) };
            let arguments = if count == 0 { &[] } else { std::slice::from_raw_parts(argv, count) };
            let arguments: Vec<String> =
                arguments.iter().map(|&string| String::from_utf8_lossy(bytes_of(string)).into_owned()).collect();
            load(ctx, &arguments, module)
        }
    });
    match loaded {
        Some(Ok(())) => raw::REDISMODULE_OK as c_int,
        Some(Err(reason)) => {
            log(Level::Warning, &format!("Interlock can't be loaded: {reason}"));
            log::set_context(std::ptr::null_mut());
            FAILED
        }
        None => FAILED,
    }
}

/// # Safety
/// `ctx` is the context of the load callback.
unsafe fn load(
    ctx: *mut raw::RedisModuleCtx,
    arguments: &[String],
    module: &'static ServerModule,
) -> Result<(), String> {
    check_api()?;
    (module.arguments)(arguments)?;
    // SAFETY: the caller's promise; the detached context is bound to the module and lives for ever.
    unsafe {
        let detached = api!(RedisModule_GetDetachedThreadSafeContext(ctx));
        lock::set_module_ctx(detached);
        lock::set_main_thread();
        node::learn();
        // Every read of a file is checked ([`types`]), so that a broken one is refused instead of ending the server.
        api!(RedisModule_SetModuleOptions(ctx, raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS as c_int));
        options::register(ctx, module.settings, module.changed)?;
        (module.commands)(&Loader { ctx })?;
        info::register(ctx, module.info);
        // The last steps start threads and Python, which a refused module could not take back.
        (module.start)()?;
        events::subscribe(ctx, module.shutdown)?;
        log::set_context(detached);
    }
    Ok(())
}

/// The newest functions in use; an older server lacks them, and says so here instead of at their first use.
fn check_api() -> Result<(), String> {
    /// Reads the pointers by value: they are mutable statics.
    macro_rules! missing {
        ($($name:ident)*) => {
            // SAFETY: the pointers were written by the server's init call on this thread.
            [$((stringify!($name), unsafe { raw::$name }.is_none())),*]
        };
    }
    let missing = missing!(
        RedisModule_RegisterNumericConfig RedisModule_EventLoopAddOneShot RedisModule_CreateSubcommand RedisModule_SetCommandInfo
        RedisModule_ACLCheckKeyPermissions RedisModule_GetAbsExpire RedisModule_CallReplyVerbatim
        RedisModule_BlockedClientMeasureTimeStart RedisModule_GetDbIdFromIO RedisModule_GetToDbIdFromOptCtx
    );
    match missing.iter().find(|(_, missing)| *missing) {
        Some((name, _)) => Err(format!("the server lacks {name}: Redis 7.0 or Valkey 8 is needed")),
        None => Ok(()),
    }
}

/// The server's unload callback: always refused.
pub fn on_unload() -> c_int {
    log(
        Level::Warning,
        "Interlock can't be unloaded: its threads and its Python interpreters can't leave a running process; restart the server without it",
    );
    raw::REDISMODULE_ERR as c_int
}
