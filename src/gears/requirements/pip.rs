//! How does pip run? As a process of its own, which ends when nobody waits for it any more.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::python;
use crate::redis::{self, Level};
use crate::sync::CancelToken;

/// How often it is looked whether pip has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Lines of pip's output that come into the server's log when it fails.
const SHOWN: usize = 20;

/// The server waits for any child of the process, so that what became of ours may be gone: it is written down.
const KEEP_STATUS: &str =
    r#"log=$1; status=$2; shift 2; "$@" >"$log" 2>&1; echo $? >"$status.new"; mv "$status.new" "$status""#;

/// Runs `pip` with these words, with its output in `folder`.
///
/// # Errors
/// One line that says why it failed.
pub(super) fn pip<S: AsRef<OsStr>>(words: &[S], folder: &Path, cancel: &CancelToken) -> Result<(), String> {
    let python = python::executable().ok_or("there is no python3 beside the module's libpython")?;
    let (log, status) = (folder.join("log"), folder.join("status"));
    let _ = fs::remove_file(&status);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", KEEP_STATUS, "sh"]).args([&log, &status]).arg(python);
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = Running(command.spawn().map_err(|error| format!("pip can't be started: {error}"))?);
    while !status.exists() {
        if let Some(stop) = cancel.stopped() {
            return Err(format!("stopped: {stop}"));
        }
        // Also where the shell itself was ended.
        if child.0.try_wait().is_ok_and(|ended| ended.is_some()) && !status.exists() {
            return Err("pip was ended".to_owned());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if fs::read(&status).is_ok_and(|status| status.trim_ascii() == b"0") {
        return Ok(());
    }
    let output = fs::read(&log).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
        redis::log(Level::Warning, &format!("Interlock: pip: {line}"));
    }
    let error = lines.iter().rfind(|line| line.starts_with("ERROR: ")).or(lines.last());
    Err(error.map_or_else(|| "pip failed".to_owned(), |line| (*line).to_owned()))
}

/// A process group that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
            let group = self.0.id().to_string();
            let mut kill = Command::new("/bin/sh");
            let _ = kill.args(["-c", r#"kill -s KILL -- "-$1""#, "sh", &group]).stderr(Stdio::null()).status();
            let _ = self.0.wait();
        }
    }
}

/// A folder that is gone when this is dropped.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    /// A new folder in `root`.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(root: &Path) -> Result<Self, String> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(".new-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = root.join(name);
        // Left behind by a process of the same number that was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What was just ended may write a last file meanwhile.
        for _ in 0..10 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}
