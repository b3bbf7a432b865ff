//! How do the parts make a module? The server's callbacks, and what is wired to them.

#![allow(unsafe_code)]

use std::os::raw::c_int;
use std::time::Duration;

use redis_module::raw;

use crate::commands;
use crate::config;
use crate::python::{self, BootOptions, RawAllocator};
use crate::redis::{self, Level, ServerModule};
use crate::settings;

/// `search`, because clients (redis-py, redisvl, RedisInsight) look for a module of that name; the
/// version is that of the RediSearch whose interface is meant.
static MODULE: ServerModule = ServerModule {
    name: c"search",
    version: 21_005,
    arguments: config::read_arguments,
    settings: &settings::ALL,
    changed: config::changed,
    info: &commands::SECTIONS,
    commands: commands::register,
    start,
    shutdown,
};

/// The server loads the module.
///
/// # Safety
/// Called by the server with its arguments.
#[no_mangle]
pub(crate) unsafe extern "C" fn RedisModule_OnLoad(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server's own arguments.
    unsafe { redis::on_load(ctx, argv, argc, &MODULE) }
}

/// The server wants to unload the module, which is refused.
#[no_mangle]
pub(crate) extern "C" fn RedisModule_OnUnload(_ctx: *mut raw::RedisModuleCtx) -> c_int {
    redis::on_unload()
}

/// Starts Python, and what needs it.
fn start() -> Result<(), String> {
    let allocator = redis::server_allocator().map(|server| RawAllocator {
        malloc: server.malloc,
        calloc: server.calloc,
        realloc: server.realloc,
        free: server.free,
    });
    python::boot(BootOptions {
        allocator,
        own_heap: settings::PYTHON_OWN_HEAP.is_on(),
        ticker: settings::PYTHON_TICKER.is_on(),
        preload_datetime: settings::PYTHON_PRELOAD_DATETIME.is_on(),
        warm: settings::WARM_INTERPRETERS.count(),
        ..BootOptions::default()
    })?;
    if !python::own_gil() {
        redis::set_shared_gil();
    }
    let gil = if python::own_gil() { "a GIL for each interpreter" } else { "one GIL for all interpreters" };
    redis::log(
        Level::Notice,
        &format!("Interlock {} with Python {}, {gil}", env!("CARGO_PKG_VERSION"), python::version()),
    );
    Ok(())
}

/// How long SHUTDOWN waits for interpreters to let go of their threads.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(200);

fn shutdown() {
    if let Some(registry) = python::registry() {
        registry.shutdown(SHUTDOWN_LIMIT);
    }
}
