//! Which calls would take the whole server down?
//!
//! A sub-interpreter shares the process: its descriptors, its signals, its working directory. CPython asks an audit
//! hook before it forks, signals or replaces the process; this hook refuses what would hit the server. Calls
//! without an audit event (`os._exit`, `os.close`, ...) are replaced by `lib/guard.py`. Both keep
//! accidents away, not attackers.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::null_mut;

use pyo3_ffi as ffi;

type Hook = unsafe extern "C" fn(*const c_char, *mut ffi::PyObject, *mut c_void) -> c_int;

extern "C" {
    // In every supported CPython, but not among pyo3-ffi's declarations.
    fn PySys_AddAuditHook(hook: Hook, data: *mut c_void) -> c_int;
}

/// Installs the hook for all interpreters, before the first one starts.
pub(super) fn install() {
    // SAFETY: a static function and no data.
    unsafe { PySys_AddAuditHook(hook, null_mut()) };
}

unsafe extern "C" fn hook(event: *const c_char, args: *mut ffi::PyObject, _: *mut c_void) -> c_int {
    // SAFETY: CPython passes a NUL-terminated name, and a tuple when the event has arguments.
    unsafe {
        // Nearly all events are others: one look at the first bytes must be enough for them.
        let name = CStr::from_ptr(event).to_bytes();
        let refused = match name {
            [b'o', b's', b'.', rest @ ..] => match rest {
                b"fork" | b"forkpty" => "would fork the server",
                b"exec" => "would replace the server by another program",
                b"chdir" | b"fchdir" => "would move the server's working directory",
                b"kill" if hits_this_process(argument(args)) => "would signal the server",
                b"killpg" if hits_this_group(argument(args)) => "would signal the server",
                _ => return 0,
            },
            b"signal.pthread_kill" => "would signal the server",
            _ => return 0,
        };
        let text = format!("{} {refused}: refused in a script\0", String::from_utf8_lossy(name));
        ffi::PyErr_SetString(ffi::PyExc_PermissionError, text.as_ptr().cast());
        -1
    }
}

/// The event's first argument as an integer, or 0 (which names the own process group).
///
/// # Safety
/// Attached; `args` is NULL or alive.
unsafe fn argument(args: *mut ffi::PyObject) -> i64 {
    // SAFETY: says the caller; the type and the size are checked.
    unsafe {
        if args.is_null() || ffi::PyTuple_Check(args) == 0 || ffi::PyTuple_Size(args) < 1 {
            return 0;
        }
        let number = ffi::PyLong_AsLongLong(ffi::PyTuple_GetItem(args, 0));
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        number
    }
}

/// Whether `kill(pid)` reaches the server: itself, its group, or everybody.
fn hits_this_process(pid: i64) -> bool {
    // SAFETY: always callable.
    let (me, group) = unsafe { (libc::getpid(), libc::getpgrp()) };
    pid == i64::from(me) || pid == 0 || pid == -1 || pid == -i64::from(group)
}

fn hits_this_group(group: i64) -> bool {
    // SAFETY: always callable.
    group == 0 || group == i64::from(unsafe { libc::getpgrp() })
}
