//! What is in some fields of a hash? Read without touching the key: no statistics, no last use, no event.

use std::ops::Deref;
use std::os::raw::{c_char, c_void};
use std::ptr::NonNull;

use redis_module::raw;

use super::entry::bytes_of;
use super::typed::{KeyName, OpenKey};
use super::{api, Held};

/// Servers that do not know one of these flags leave it alone.
const QUIET: u32 = raw::REDISMODULE_READ | raw::REDISMODULE_OPEN_KEY_NOTOUCH | raw::REDISMODULE_OPEN_KEY_NOEFFECTS;

/// The values of these fields, in their order; `None` for one that is missing. `None` as a whole when the key is no hash.
pub fn read_fields(held: &Held<'_>, key: &[u8], fields: &[Box<[u8]>]) -> Option<Vec<Option<Box<[u8]>>>> {
    let open = open_hash(held, key)?;
    Some(fields.iter().map(|field| value(&open, field).map(|value| (*value).into())).collect())
}

/// As [`read_fields`], with long values as the server copies them: a second copy of megabytes would take as long again.
pub fn take_fields(held: &Held<'_>, key: &[u8], fields: &[Box<[u8]>]) -> Option<Vec<Option<FieldValue>>> {
    let open = open_hash(held, key)?;
    Some(fields.iter().map(|field| value(&open, field).map(FieldValue::new)).collect())
}

/// A value that was copied out of a hash.
#[derive(Debug)]
pub enum FieldValue {
    /// As bytes.
    Short(Box<[u8]>),
    /// As the server's own string.
    Long(OwnString),
}

/// Bytes from which a value stays the server's string.
const LONG: usize = 64 << 10;

impl FieldValue {
    fn new(string: OwnString) -> Self {
        if string.len() < LONG {
            Self::Short((*string).into())
        } else {
            Self::Long(string)
        }
    }
}

impl From<Box<[u8]>> for FieldValue {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::Short(bytes)
    }
}

impl Deref for FieldValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(string) => string,
        }
    }
}

/// A string that the server made for us; nobody else has a reference to it.
#[derive(Debug)]
pub struct OwnString(NonNull<raw::RedisModuleString>);

// SAFETY: with one reference, reading it is reading plain memory, and freeing it is a call of the allocator, which any
// thread may make.
unsafe impl Send for OwnString {}
// SAFETY: as above; nothing changes it.
unsafe impl Sync for OwnString {}

impl Deref for OwnString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: ours until it is dropped.
        unsafe { bytes_of(self.0.as_ptr()) }
    }
}

impl Drop for OwnString {
    fn drop(&mut self) {
        // SAFETY: ours, and the last reference.
        unsafe { api!(RedisModule_FreeString(std::ptr::null_mut(), self.0.as_ptr())) }
    }
}

/// Whether there is a hash of this name.
pub fn is_hash(held: &Held<'_>, key: &[u8]) -> bool {
    open_hash(held, key).is_some()
}

fn open_hash(held: &Held<'_>, key: &[u8]) -> Option<OpenKey> {
    let open = OpenKey::new(held, &KeyName::new(key), QUIET)?;
    // SAFETY: an open key.
    let kind = unsafe { api!(RedisModule_KeyType(open.raw())) } as isize;
    (kind == raw::REDISMODULE_KEYTYPE_HASH).then_some(open)
}

fn value(hash: &OpenKey, field: &[u8]) -> Option<OwnString> {
    // SAFETY: an open hash; the strings live for the call, the value is ours to free.
    unsafe {
        let name = api!(RedisModule_CreateString(std::ptr::null_mut(), field.as_ptr().cast::<c_char>(), field.len()));
        let mut found: *mut raw::RedisModuleString = std::ptr::null_mut();
        api!(RedisModule_HashGet(
            hash.raw(),
            raw::REDISMODULE_HASH_NONE as i32,
            name,
            &mut found as *mut *mut raw::RedisModuleString,
            std::ptr::null_mut::<raw::RedisModuleString>()
        ));
        api!(RedisModule_FreeString(std::ptr::null_mut(), name));
        NonNull::new(found).map(OwnString)
    }
}

/// A name and a value.
type Entry = (Box<[u8]>, Box<[u8]>);

/// All fields of a hash with their values, in the order in which the server keeps them; `None` when the key is no hash.
pub fn read_hash(held: &Held<'_>, key: &[u8]) -> Option<Vec<Entry>> {
    unsafe extern "C" fn each(
        _key: *mut raw::RedisModuleKey,
        field: *mut raw::RedisModuleString,
        value: *mut raw::RedisModuleString,
        data: *mut c_void,
    ) {
        // SAFETY: the strings live for this call; `data` is the list of the call below.
        unsafe { (*data.cast::<Vec<Entry>>()).push((bytes_of(field).into(), bytes_of(value).into())) };
    }
    let name = KeyName::new(key);
    let open = OpenKey::new(held, &name, QUIET)?;
    let mut fields: Vec<Entry> = Vec::new();
    // SAFETY: an open key; nothing changes it while it is scanned, and the list outlives the scan.
    unsafe {
        if api!(RedisModule_KeyType(open.raw())) as isize != raw::REDISMODULE_KEYTYPE_HASH {
            return None;
        }
        let cursor = api!(RedisModule_ScanCursorCreate());
        let data = std::ptr::from_mut(&mut fields).cast::<c_void>();
        while api!(RedisModule_ScanKey(open.raw(), cursor, Some(each), data)) != 0 {}
        api!(RedisModule_ScanCursorDestroy(cursor));
    }
    Some(fields)
}

/// How many keys the chosen database has.
pub fn key_count(held: &Held<'_>) -> u64 {
    // SAFETY: the lock is held and the context valid.
    unsafe { api!(RedisModule_DbSize(held.ctx())) }
}
