//! Which keys may a user see?

use std::os::raw::c_int;

use redis_module::raw;

use super::entry::bytes_of;
use super::typed::KeyName;
use super::{api, Held};

/// The key permissions of one user.
///
/// Looked up anew in every slice: the user may be changed or deleted in between.
pub struct KeyAccess {
    user: *mut raw::RedisModuleUser,
}

impl KeyAccess {
    /// Looks the user up; `None` is somebody who may see everything.
    ///
    /// # Errors
    /// When there is no such user any more.
    pub fn of(_held: &Held<'_>, user: Option<&str>) -> Result<Self, String> {
        let Some(name) = user else {
            return Ok(Self { user: std::ptr::null_mut() });
        };
        // SAFETY: the lock is held; the string lives for the call.
        let found = unsafe {
            let string = api!(RedisModule_CreateString(std::ptr::null_mut(), name.as_ptr().cast(), name.len()));
            let found = api!(RedisModule_GetModuleUserFromUserName(string));
            api!(RedisModule_FreeString(std::ptr::null_mut(), string));
            found
        };
        if found.is_null() {
            return Err(format!("NOPERM the user {name} does not exist any more"));
        }
        Ok(Self { user: found })
    }

    /// Whether the user may read every key there is, also those still to come.
    pub fn reads_everything(&self) -> bool {
        if self.user.is_null() {
            return true;
        }
        // SAFETY: the lock has been held since the user was looked up. Servers before 7.0.6 lack the function.
        let Some(rules_of) = (unsafe { raw::RedisModule_GetModuleUserACLString }) else { return false };
        // SAFETY: as above; the string is ours to free.
        unsafe {
            let rules = rules_of(self.user);
            if rules.is_null() {
                return false;
            }
            // Selectors stand in brackets; without a word `~*` outside of them there is no such right.
            let mut own = bytes_of(rules).split(|&byte| byte == b' ').take_while(|rule| !rule.starts_with(b"("));
            let all = own.any(|rule| rule == b"~*");
            api!(RedisModule_FreeString(std::ptr::null_mut(), rules));
            all
        }
    }

    /// Whether the user may read this key.
    pub fn may_read(&self, _held: &Held<'_>, key: &[u8]) -> bool {
        if self.user.is_null() {
            return true;
        }
        let key = KeyName::new(key);
        let read = raw::REDISMODULE_CMD_KEY_ACCESS as c_int;
        // SAFETY: as in `allows`; the name lives for the call.
        unsafe { api!(RedisModule_ACLCheckKeyPermissions(self.user, key.raw(), read)) == raw::REDISMODULE_OK as c_int }
    }

    /// Whether the user may read or write a key, or at least know of it.
    pub(super) fn allows(&self, key: *mut raw::RedisModuleString) -> bool {
        if self.user.is_null() {
            return true;
        }
        const ANY: [u32; 2] = [raw::REDISMODULE_CMD_KEY_ACCESS, raw::REDISMODULE_CMD_KEY_UPDATE];
        // SAFETY: the lock has been held since the user was looked up; the key is the server's.
        ANY.iter().any(|&flag| unsafe {
            api!(RedisModule_ACLCheckKeyPermissions(self.user, key, flag as c_int)) == raw::REDISMODULE_OK as c_int
        })
    }
}

impl Drop for KeyAccess {
    fn drop(&mut self) {
        if !self.user.is_null() {
            // SAFETY: frees the module's handle, not the server's user.
            unsafe { api!(RedisModule_FreeModuleUser(self.user)) };
        }
    }
}
