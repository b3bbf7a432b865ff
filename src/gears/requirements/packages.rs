//! Where are the packages of a set of requirements? In a folder that is made once, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use sha1::{Digest, Sha1};

use super::dictionary::{self, Requirement};
use super::pip::{pip, Temporary};
use crate::gears::run;
use crate::python;
use crate::redis::{Held, Lane};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// How often somebody who waits for another one's installation looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What every error of an installation begins with, as in RedisGears.
const FAILED: &str = "Could not satisfy requirements";

const READ_ONLY: &str = "READONLY You can't write against a read only replica.";

/// The folders that were made, or found, by their names.
static MADE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Held by who installs: one at a time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Whether there is somebody, whose thread the others get another one for.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Threads that installations keep from running scripts.
pub(in crate::gears) fn busy() -> usize {
    usize::from(BUSY.load(Ordering::Relaxed))
}

fn made() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of requirements in their order, each once.
///
/// # Errors
/// The name that pip would not take for a requirement.
pub fn checked(names: &[&[u8]]) -> Result<Vec<String>, String> {
    let mut all = BTreeSet::new();
    for name in names {
        let text = std::str::from_utf8(name).ok().map(str::trim);
        let text = text.filter(|text| !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control));
        let text = text.ok_or("a requirement must be what pip understands, such as 'name' or 'name==1.0'")?;
        all.insert(text.to_owned());
    }
    Ok(all.into_iter().collect())
}

/// The folder that has those of all sets: `python-installation-dir`, or one beside the server's files.
pub fn root() -> PathBuf {
    match settings::PYTHON_INSTALLATION_DIR.words() {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_dir().unwrap_or_default().join("python-requirements"),
    }
}

/// The folder of a set.
fn folder(set: &[Arc<Requirement>]) -> PathBuf {
    let mut sum = Sha1::new();
    set.iter().for_each(|one| sum.update(one.sum));
    let name: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    // A folder is for one Python.
    root().join(format!("{name}-{}", python::version()))
}

/// The requirements of these names, if all are known.
fn known(held: &Held<'_>, names: &[String]) -> Option<Vec<Arc<Requirement>>> {
    names.iter().map(|name| dictionary::find(held, name)).collect()
}

/// Whether a folder is there: made by this process, or by one before it.
fn is_made(folder: &Path) -> bool {
    let known = made().contains(folder);
    if !known && folder.exists() {
        made().insert(folder.to_owned());
        return true;
    }
    known
}

/// Whether the packages of these requirements are there, so that nobody has to wait for them.
pub fn are_ready(held: &Held<'_>, names: &[String]) -> bool {
    names.is_empty() || known(held, names).is_some_and(|set| is_made(&folder(&set)))
}

/// Whether the packages of this requirement alone are there.
pub fn is_installed(held: &Held<'_>, name: &str) -> bool {
    are_ready(held, std::slice::from_ref(&name.to_owned()))
}

/// Installs what is missing, then does `work`: in a job that is never on the server's thread.
pub fn then(names: &[String], force: bool, lane: &mut Lane, work: impl FnOnce(&mut Lane) -> Reply) -> Reply {
    if let Err(error) = install(names, force, lane) {
        return Reply::error(error);
    }
    // Atomic, as it would be on the server's thread.
    if settings::SAFEMODE.is_on() && lane.door().keep().is_err() {
        return Reply::error("ERR the script was stopped before it began");
    }
    work(lane)
}

/// The folder with the packages of these requirements; `None` for none.
///
/// # Errors
/// One line for the client; nothing is left behind then.
pub(in crate::gears) fn packages(names: &[String], lane: &mut Lane) -> Result<Option<PathBuf>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    install(names, false, lane).map(Some)
}

fn install(names: &[String], force: bool, lane: &mut Lane) -> Result<PathBuf, String> {
    let failed = |why: String| format!("{FAILED} ({why})");
    let stopped = |stop: crate::sync::Stop| failed(stop.to_string());
    let set = lane.slice(|slice| known(slice.held(), names)).map_err(stopped)?;
    if let Some(set) = set.filter(|_| !force) {
        let folder = folder(&set);
        if is_made(&folder) {
            return Ok(folder);
        }
    }
    if lane.is_inline() {
        return Err(failed("they are not installed yet, and can not be inside MULTI and Lua".to_owned()));
    }
    let _turn = turn(lane.cancel())?;
    let root = root();
    let mut set = Vec::new();
    let mut new = Vec::new();
    for name in names {
        let look = |held: &Held<'_>| (dictionary::find(held, name), held.is_read_only());
        let (old, read_only) = lane.slice(|slice| look(slice.held())).map_err(stopped)?;
        let requirement = match old.filter(|_| !force) {
            Some(old) => old,
            None if read_only => return Err(READ_ONLY.to_owned()),
            None => {
                let downloaded = Arc::new(download(name, &root, lane.cancel()).map_err(failed)?);
                new.push(Arc::clone(&downloaded));
                downloaded
            }
        };
        set.push(requirement);
    }
    let folder = folder(&set);
    if !is_made(&folder) {
        make(&folder, &set, &root, lane.cancel()).map_err(failed)?;
    }
    let kept = lane.slice(|slice| {
        if !new.is_empty() && slice.held().is_read_only() {
            return false;
        }
        new.iter().for_each(|one| dictionary::add(slice.held(), one));
        true
    });
    if !kept.map_err(stopped)? {
        return Err(READ_ONLY.to_owned());
    }
    made().insert(folder.clone());
    Ok(folder)
}

/// The turn to install.
fn turn(cancel: &CancelToken) -> Result<Turn, String> {
    loop {
        match INSTALLING.try_lock() {
            Ok(turn) => return Ok(Turn::new(turn)),
            Err(TryLockError::Poisoned(turn)) => return Ok(Turn::new(turn.into_inner())),
            Err(TryLockError::WouldBlock) => {}
        }
        cancel.check().map_err(|stop| format!("{FAILED} ({stop})"))?;
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Who has it runs no scripts meanwhile: the pool has a thread more.
struct Turn(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'static, ()>);

impl Turn {
    fn new(guard: MutexGuard<'static, ()>) -> Self {
        BUSY.store(true, Ordering::Relaxed);
        run::resize_pool();
        Self(guard)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Relaxed);
        run::resize_pool();
    }
}

/// Has pip collect, or build, the wheels of a requirement and of what it needs.
fn download(name: &str, root: &Path, cancel: &CancelToken) -> Result<Requirement, String> {
    let temporary = Temporary::new(root)?;
    let wheels = temporary.path().join("wheels");
    let mut words = vec!["wheel".to_owned(), "--wheel-dir".to_owned(), wheels.to_string_lossy().into_owned()];
    // In whole seconds, as pip wants it.
    let patience = settings::PYTHON_INSTALL_REQ_MAX_IDLE_TIME.count().div_ceil(1_000);
    words.extend(["--timeout".to_owned(), patience.to_string()]);
    if let Some(url) = settings::REQUIREMENTS_INDEX_URL.words() {
        words.extend(["--index-url".to_owned(), url]);
    }
    if let Some(folder) = settings::REQUIREMENTS_WHEEL_DIR.words() {
        // The folder in the place of an index.
        words.extend(["--no-index".to_owned(), "--find-links".to_owned(), folder]);
    }
    words.extend(["--".to_owned(), name.to_owned()]);
    pip(&words, temporary.path(), cancel)?;
    let read = || -> std::io::Result<Vec<(String, Vec<u8>)>> {
        let files = fs::read_dir(&wheels)?.collect::<Result<Vec<_>, _>>()?;
        let content =
            |file: fs::DirEntry| Ok((file.file_name().to_string_lossy().into_owned(), fs::read(file.path())?));
        files.into_iter().map(content).collect()
    };
    Ok(Requirement::new(name.to_owned(), read().map_err(|error| format!("the wheels can't be read: {error}"))?))
}

/// Makes the folder of a set from the wheels alone; it is there as a whole or not at all.
fn make(folder: &Path, set: &[Arc<Requirement>], root: &Path, cancel: &CancelToken) -> Result<(), String> {
    let temporary = Temporary::new(root)?;
    let wrong = |error: std::io::Error| format!("the packages can't be written: {error}");
    let site = temporary.path().join("site");
    fs::create_dir_all(&site).map_err(wrong)?;
    let mut words = vec!["install".to_owned(), "--no-index".to_owned(), "--no-compile".to_owned()];
    words.extend(["--target".to_owned(), site.to_string_lossy().into_owned()]);
    for (number, requirement) in set.iter().enumerate() {
        let wheels = temporary.path().join(number.to_string());
        fs::create_dir_all(&wheels).map_err(wrong)?;
        for (file, content) in &requirement.wheels {
            fs::write(wheels.join(file), content).map_err(wrong)?;
        }
        words.extend(["--find-links".to_owned(), wheels.to_string_lossy().into_owned()]);
    }
    words.push("--".to_owned());
    words.extend(set.iter().map(|requirement| requirement.name.clone()));
    pip(&words, temporary.path(), cancel)?;
    match fs::rename(&site, folder) {
        // Another server that shares the place was faster.
        Err(_) if folder.exists() => Ok(()),
        renamed => renamed.map_err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_no_order_and_no_options() {
        let names: &[&[u8]] = &[b"b", b" a==1.0 ", b"b"];
        assert_eq!(checked(names), Ok(vec!["a==1.0".to_owned(), "b".to_owned()]));
        for bad in [&b""[..], b" ", b"--index-url=x", b"a\nb", b"\xff"] {
            assert!(checked(&[bad]).is_err(), "{bad:?}");
        }
    }
}
