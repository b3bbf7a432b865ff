//! How can a script never be lost? `search.pin-scripts`: what the server forgets, the module remembers.
//!
//! The server keeps the scripts of `EVAL` and `SCRIPT LOAD` only until `SCRIPT FLUSH`, a restart or a failover; then
//! `EVALSHA` answers `NOSCRIPT`, and a client in the middle of a transaction can do nothing about it. With this
//! on, the module learns bodies as they pass ([`library`]), keeps them in the RDB and on replicas, and
//! turns every `EVALSHA` of a known script into `EVAL` before the server sees it.
//!
//! Every one, not only those that the server has just lost: a command that is queued in `MULTI` passes here when it
//! is queued, and the script may be flushed before `EXEC`.

mod library;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use library::{Library, Sha};
pub(crate) use library::{Script, Stats};

use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{filter_commands, replicate, Alarm, Aside, CommandFilter, Held, PassingCommand};
use crate::settings;

/// Used under the server's lock only; the mutex makes it a static, and a forked child finds it free.
static LIBRARY: Mutex<Library> = Mutex::new(Library::new());

/// Rings when there are scripts that replicas do not know yet.
static NEWS: Alarm = Alarm::new(send_news);

fn library() -> MutexGuard<'static, Library> {
    LIBRARY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn limit() -> usize {
    settings::PIN_SCRIPTS_MEMORY.count()
}

/// Turns learning and rewriting on or off, as the setting says.
pub(crate) fn follow_setting(held: &Held<'_>) {
    filter_commands(held, CommandFilter { wanted, look }, settings::PIN_SCRIPTS.is_on());
}

fn wanted(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"eval"),
        6 => name.eq_ignore_ascii_case(b"script"),
        7 => name.eq_ignore_ascii_case(b"evalsha") || name.eq_ignore_ascii_case(b"eval_ro"),
        10 => name.eq_ignore_ascii_case(b"evalsha_ro"),
        _ => false,
    }
}

fn look(held: &Held<'_>, command: &mut PassingCommand) {
    let (Some(name), Some(first)) = (command.arg(0), command.arg(1)) else { return };
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    if is(b"script") {
        if let (true, Some(body)) = (first.eq_ignore_ascii_case(b"load"), command.arg(2)) {
            learn(held, body);
        }
    } else if is(b"eval") || is(b"eval_ro") {
        learn(held, first);
    } else if let Some(sha) = Sha::parse(first) {
        let eval: &[u8] = if is(b"evalsha") { b"EVAL" } else { b"EVAL_RO" };
        let Some(body) = library().use_body(sha) else { return };
        command.replace(0, eval);
        command.replace(1, &body);
    }
}

fn learn(held: &Held<'_>, body: &[u8]) {
    let news = library().learn(body, limit());
    if news && !held.is_replica() && !held.is_loading() {
        NEWS.set(held, Instant::now());
    }
}

/// How replicas and the AOF hear of scripts.
const PIN: &std::ffi::CStr = c"IL.SCRIPT";

fn send_news(held: &Held<'_>) {
    let news = library().take_news();
    if held.is_replica() {
        return;
    }
    for body in news {
        replicate(held, PIN, &[b"LEARN", &body]);
    }
}

/// A primary has told of a script, or the AOF.
pub(crate) fn learn_replicated(body: &[u8]) {
    let mut library = library();
    library.learn(body, limit());
    library.take_news();
}

/// Keeps a script whatever happens, and returns its SHA-1 in hexadecimal digits.
///
/// # Errors
/// When pinned scripts alone would take more memory than allowed.
pub(crate) fn pin(body: &[u8]) -> Result<String, String> {
    library().pin(body, limit()).map(|sha| sha.to_string())
}

/// Makes a script an ordinary one, which may go when memory is short. Returns whether it was pinned.
pub(crate) fn unpin(sha: &[u8]) -> bool {
    Sha::parse(sha).is_some_and(|sha| library().unpin(sha))
}

/// The body of a script, by its SHA-1 in hexadecimal digits.
pub(crate) fn body(sha: &[u8]) -> Option<Vec<u8>> {
    library().body(Sha::parse(sha)?)
}

/// All scripts, those used last first.
pub(crate) fn list() -> Vec<Script> {
    library().list()
}

/// Figures.
pub(crate) fn stats() -> Stats {
    library().stats()
}

/// The scripts beside the keys of an RDB.
pub(crate) struct Scripts;

impl Aside for Scripts {
    const NAME: &'static std::ffi::CStr = c"il-script";
    const VERSION: i32 = 1;

    fn save() -> Vec<u8> {
        let scripts = library().list();
        if scripts.is_empty() {
            return Vec::new();
        }
        let writer = Writer::default().number(scripts.len() as u64);
        let write = |writer: Writer, script: &Script| writer.number(u64::from(script.pinned)).string(&script.body);
        // The one used last comes last, as when they were learned.
        scripts.iter().rev().fold(writer, write).finish()
    }

    fn load(bytes: &[u8], _version: i32) -> bool {
        let Some(scripts) = read(bytes) else { return false };
        let mut library = library();
        for (pinned, body) in scripts {
            // A pinned script that has no room any more is kept as long as an ordinary one.
            if !pinned || library.pin(&body, limit()).is_err() {
                library.learn(&body, limit());
            }
        }
        library.take_news();
        true
    }
}

/// Each script with whether it is pinned.
fn read(bytes: &[u8]) -> Option<Vec<(bool, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut scripts = Vec::new();
    for _ in 0..reader.number()? {
        scripts.push((reader.number()? != 0, reader.string()?));
    }
    reader.at_end().then_some(scripts)
}

#[cfg(test)]
mod tests;
