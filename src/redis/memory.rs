//! How can others allocate from the server's memory?

use std::ffi::c_void;

use redis_module::raw;

/// The server's allocator: thread-safe, and counted in `used_memory`.
#[derive(Debug, Clone, Copy)]
pub struct ServerAllocator {
    /// Like `malloc`.
    pub malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    /// Like `calloc`.
    pub calloc: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    /// Like `realloc`.
    pub realloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    /// Like `free`.
    pub free: unsafe extern "C" fn(*mut c_void),
}

/// The functions, once the server has loaded the module.
pub fn server_allocator() -> Option<ServerAllocator> {
    // SAFETY: the pointers were written by the server's init call and do not change.
    unsafe {
        Some(ServerAllocator {
            malloc: raw::RedisModule_TryAlloc.or(raw::RedisModule_Alloc)?,
            calloc: raw::RedisModule_Calloc?,
            realloc: raw::RedisModule_Realloc?,
            free: raw::RedisModule_Free?,
        })
    }
}
