//! Which scripts can be run by their SHA-1? Those that were loaded, kept beside the keys, in the AOF and on replicas: a
//! call by a sum that was returned once never meets an unknown script, unless somebody gave the script up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha1::{Digest, Sha1};

use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{replicate, Aside, Held};
use crate::settings;

/// By the sum's hexadecimal digits. Used under the server's lock only, so that a forked child finds the mutex free.
static CACHE: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

fn cache() -> MutexGuard<'static, BTreeMap<String, Arc<[u8]>>> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sum_of(source: &[u8]) -> String {
    Sha1::digest(source).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps a script; returns its SHA-1 in hexadecimal digits, and whether it was new. None is given up for it: with
/// `bounded` it is refused where the memory for scripts is used up.
///
/// # Errors
/// The text for the client.
pub fn load(_held: &Held<'_>, source: &[u8], bounded: bool) -> Result<(String, bool), String> {
    let sum = sum_of(source);
    let mut cache = cache();
    if cache.contains_key(&sum) {
        return Ok((sum, false));
    }
    let most = settings::SCRIPT_CACHE_MEMORY.count();
    let used: usize = cache.values().map(|source| source.len()).sum();
    if bounded && used.saturating_add(source.len()) > most {
        return Err(format!(
            "ERR {used} of {most} bytes for scripts are used: raise search.script-cache-memory, or give scripts up with \
             RG.PYUNLOAD"
        ));
    }
    cache.insert(sum.clone(), source.into());
    Ok((sum, true))
}

/// Gives a script up; whether it was kept.
pub fn unload(_held: &Held<'_>, sum: &[u8]) -> bool {
    key_of(sum).is_some_and(|sum| cache().remove(&sum).is_some())
}

fn key_of(sum: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(sum).ok()?.to_ascii_lowercase())
}

/// The script with this sum, whose digits may be in any case.
pub fn find(_held: &Held<'_>, sum: &[u8]) -> Option<Arc<[u8]>> {
    cache().get(&key_of(sum)?).cloned()
}

/// Tells of all scripts once more, for a file that is being rewritten as commands.
pub(super) fn repeat(held: &Held<'_>) {
    let sources: Vec<Arc<[u8]>> = cache().values().cloned().collect();
    sources.iter().for_each(|source| replicate(held, c"RG.PYLOAD", &[source]));
}

/// The scripts beside the keys of an RDB.
pub(super) struct Scripts;

impl Aside for Scripts {
    const NAME: &'static std::ffi::CStr = c"il-pyload";
    const VERSION: i32 = 1;

    fn save() -> Vec<u8> {
        let cache = cache();
        if cache.is_empty() {
            return Vec::new();
        }
        let writer = Writer::default().number(cache.len() as u64);
        cache.values().fold(writer, |writer, source| writer.string(source)).finish()
    }

    fn load(bytes: &[u8], _version: i32) -> bool {
        let mut reader = Reader::new(bytes);
        let Some(sources) = read(&mut reader).filter(|_| reader.at_end()) else { return false };
        let mut cache = cache();
        for source in sources {
            // What is there already stays: what a sum stands for never changes.
            cache.insert(sum_of(&source), source.into());
        }
        true
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let count = reader.number()?;
    (0..count).map(|_| reader.string()).collect()
}
