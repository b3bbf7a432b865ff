//! How do the parts make a module? The server's callbacks, and what is wired to them.

#![allow(unsafe_code)]

use std::os::raw::c_int;

use redis_module::raw;

use crate::commands::{self, figures};
use crate::config;
use crate::redis::{self, InfoSection, ServerModule};
use crate::settings;

/// `search`, because clients (redis-py, redisvl, RedisInsight) look for a module of that name; the
/// version is that of the RediSearch whose interface is meant.
static MODULE: ServerModule = ServerModule {
    name: c"search",
    version: 21_005,
    arguments: config::read_arguments,
    settings: &settings::ALL,
    changed: config::changed,
    info: sections,
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

fn sections() -> Vec<InfoSection> {
    vec![InfoSection { name: "interlock", fields: figures::figures() }]
}

fn start() -> Result<(), String> {
    Ok(())
}

fn shutdown() {}
