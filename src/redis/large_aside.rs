//! How is something large saved beside the keys? As [`Aside`](super::Aside), in parts.
//!
//! The parts have a bounded size, so that nobody has to hold the whole at once.

use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::os::raw::{c_char, c_int};

use redis_module::raw;

use super::entry::guarded;
use super::{api, aside, lock, log, Held, Level};

/// What is saved beside the keys.
pub trait LargeAside: 'static {
    /// Its name in files: exactly nine letters, digits, `-` or `_`.
    const NAME: &'static CStr;

    /// The version of what `save` writes.
    const VERSION: i32;

    /// Whether there is anything to save. Like `save` it may run in a forked child, where it must not wait.
    fn is_empty() -> bool;

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    fn save(out: &mut dyn Write) -> io::Result<()>;

    /// Reads what `save` of this version wrote, after all keys were loaded.
    ///
    /// # Errors
    /// Why the file cannot be used.
    fn load(held: &Held<'_>, input: &mut dyn Read) -> Result<(), String>;
}

/// Bytes of one part.
const PART: usize = 1 << 20;

/// Registers `T` with the server; only while the module is being loaded.
///
/// # Errors
/// The type that the server refused.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn register<T: LargeAside>(ctx: *mut raw::RedisModuleCtx) -> Result<(), String> {
    // SAFETY: the caller's promise; the callbacks are those of this type.
    unsafe { aside::register_as(ctx, T::NAME, T::VERSION, aux_save::<T>, aux_load::<T>) }
}

unsafe extern "C" fn aux_save<T: LargeAside>(io: *mut raw::RedisModuleIO, _when: c_int) {
    guarded(|| {
        if !(T::is_empty() && aside::leaves_no_trace()) {
            save::<T>(io);
        }
    });
}

fn save<T: LargeAside>(io: *mut raw::RedisModuleIO) {
    let mut parts = PartWriter { io, part: Vec::new() };
    let saved = if T::is_empty() { Ok(()) } else { T::save(&mut parts) };
    if let Err(error) = saved.and_then(|()| parts.end()) {
        let name = T::NAME.to_string_lossy();
        log(Level::Warning, &format!("Interlock: {name} could not be saved: {error}"));
    }
}

unsafe extern "C" fn aux_load<T: LargeAside>(io: *mut raw::RedisModuleIO, version: c_int, _when: c_int) -> c_int {
    let loaded = guarded(|| {
        if version > T::VERSION {
            let known = T::VERSION;
            return Err(format!("version {version} was written by a newer module, this one reads up to {known}"));
        }
        let mut parts = PartReader { io, part: Vec::new(), at: 0, ended: false };
        if parts.is_at_end().map_err(|error| error.to_string())? {
            return Ok(());
        }
        // SAFETY: the server calls under its lock; the module's context lives for ever.
        T::load(&unsafe { Held::new(lock::module_ctx()) }, &mut parts)?;
        // The server goes on behind the last part.
        io::copy(&mut parts, &mut io::sink()).map(drop).map_err(|error| error.to_string())
    });
    match loaded {
        Some(Ok(())) => raw::REDISMODULE_OK as c_int,
        Some(Err(why)) => {
            let name = T::NAME.to_string_lossy();
            log(Level::Warning, &format!("Interlock: {name} in the file can't be read: {why}"));
            raw::REDISMODULE_ERR as c_int
        }
        None => raw::REDISMODULE_ERR as c_int,
    }
}

/// Writes strings of the file; an empty one is the end.
struct PartWriter {
    io: *mut raw::RedisModuleIO,
    part: Vec<u8>,
}

impl PartWriter {
    fn put(&mut self) {
        // SAFETY: the server's, in a save callback. An error is remembered by the server.
        unsafe { api!(RedisModule_SaveStringBuffer(self.io, self.part.as_ptr().cast::<c_char>(), self.part.len())) };
        self.part.clear();
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.put();
        Ok(())
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.put();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.put();
        }
        Ok(())
    }
}

/// Reads what [`PartWriter`] wrote.
struct PartReader {
    io: *mut raw::RedisModuleIO,
    part: Vec<u8>,
    at: usize,
    ended: bool,
}

impl PartReader {
    /// Whether nothing is left; takes the next part if it must.
    fn is_at_end(&mut self) -> io::Result<bool> {
        if self.at == self.part.len() && !self.ended {
            // SAFETY: the server's, in a load callback.
            self.part = unsafe { super::types::load_string(self.io) }
                .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut short"))?;
            self.at = 0;
            self.ended = self.part.is_empty();
        }
        Ok(self.ended)
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end()? {
            return Ok(0);
        }
        let taken = buffer.len().min(self.part.len() - self.at);
        buffer[..taken].copy_from_slice(&self.part[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}
