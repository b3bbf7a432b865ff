//! Which arguments of a command are keys? The server's own knowledge of any command.

use std::os::raw::c_int;

use redis_module::raw;

use super::{api, Held};

/// One argument that is a key.
pub(super) struct Place {
    /// Counted from the command's name.
    pub(super) at: usize,
    /// What the command does with it, as the server says it.
    pub(super) flags: c_int,
}

/// The keys of a command; none if the server does not know it.
///
/// # Safety
/// The lock is held, and the strings are alive.
pub(super) unsafe fn places(argv: &[*mut raw::RedisModuleString]) -> Vec<Place> {
    let (mut count, mut flags) = (0, std::ptr::null_mut());
    // SAFETY: the caller's promise; the server fills in two arrays that are ours to free. It does not look at the context.
    unsafe {
        let found = api!(RedisModule_GetCommandKeysWithFlags(
            std::ptr::null_mut(),
            argv.as_ptr().cast_mut(),
            c_int::try_from(argv.len()).unwrap_or(0),
            &mut count,
            &mut flags
        ));
        if found.is_null() {
            return Vec::new();
        }
        let places = (0..usize::try_from(count).unwrap_or(0))
            .map(|at| Place { at: usize::try_from(*found.add(at)).unwrap_or(0), flags: *flags.add(at) })
            .collect();
        api!(RedisModule_Free(found.cast()));
        api!(RedisModule_Free(flags.cast()));
        places
    }
}

/// Answers the server's question for the keys of a command whose arguments, from the first on, are another command.
///
/// # Safety
/// `ctx` is that of a question for keys, and the strings are its command.
pub(super) unsafe fn report_inner(ctx: *mut raw::RedisModuleCtx, argv: &[*mut raw::RedisModuleString]) {
    // SAFETY: the caller's promise.
    unsafe {
        for place in places(argv.get(1..).unwrap_or(&[])) {
            let at = c_int::try_from(place.at + 1).unwrap_or(0);
            api!(RedisModule_KeyAtPosWithFlags(ctx, at, place.flags));
        }
    }
}

/// The keys of a command.
pub fn keys_of<'a>(_held: &Held<'_>, argv: &[&'a [u8]]) -> Vec<&'a [u8]> {
    // SAFETY: the lock is held; the strings are made and freed here.
    unsafe {
        let strings: Vec<*mut raw::RedisModuleString> = argv
            .iter()
            .map(|arg| api!(RedisModule_CreateString(std::ptr::null_mut(), arg.as_ptr().cast(), arg.len())))
            .collect();
        let found = places(&strings).iter().filter_map(|place| argv.get(place.at).copied()).collect();
        for string in strings {
            api!(RedisModule_FreeString(std::ptr::null_mut(), string));
        }
        found
    }
}

/// Whether a user may run a command with these arguments; the server's refusal otherwise.
///
/// # Errors
/// The text of the refusal.
pub fn check_rights(_held: &Held<'_>, user: &str, argv: &[&[u8]]) -> Result<(), String> {
    // SAFETY: the lock is held; the strings and the module's handle of the user are freed here.
    unsafe {
        let string =
            |bytes: &[u8]| api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len()));
        let name = string(user.as_bytes());
        let found = api!(RedisModule_GetModuleUserFromUserName(name));
        api!(RedisModule_FreeString(std::ptr::null_mut(), name));
        if found.is_null() {
            return Err(format!("NOPERM the user {user} does not exist any more"));
        }
        let mut strings: Vec<*mut raw::RedisModuleString> = argv.iter().map(|arg| string(arg)).collect();
        let code = api!(RedisModule_ACLCheckCommandPermissions(found, strings.as_mut_ptr(), strings.len() as c_int));
        // The server itself says what is wrong with a command that it does not know.
        let allowed = code == raw::REDISMODULE_OK as c_int || is_unknown();
        for string in strings {
            api!(RedisModule_FreeString(std::ptr::null_mut(), string));
        }
        api!(RedisModule_FreeModuleUser(found));
        if allowed {
            return Ok(());
        }
        let command = String::from_utf8_lossy(argv.first().copied().unwrap_or_default()).to_lowercase();
        Err(format!("NOPERM this user has no permissions to run the '{command}' command or to use one of its keys"))
    }
}

/// Whether the check that just failed did not know the command.
fn is_unknown() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::NotFound
}
