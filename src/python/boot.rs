//! How does Python come up inside the server?
//!
//! Once per process, on the main thread: libpython's symbols are promoted, the allocator and the audit hook are put
//! in place, CPython is initialised, the runtime library is compiled, and the threads that watch, end and
//! prepare interpreters start. Each remedy against a known defect of CPython has its switch here.

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::ffi::{self, RawAllocator};
use super::interpreter::{Core, Isolation, State};
use super::{reaper, registry, watch};

/// The runtime library, in the order in which its modules are loaded.
const SOURCES: [(&CStr, &str); 12] = [
    (c"_interlock_guard", include_str!("lib/guard.py")),
    (c"_interlock_interrupt", include_str!("lib/interrupt.py")),
    (c"_interlock_loop", include_str!("lib/loop.py")),
    (c"_interlock_waiting", include_str!("lib/waiting.py")),
    (c"_interlock_steps", include_str!("lib/steps.py")),
    (c"_interlock_pipeline", include_str!("lib/pipeline.py")),
    (c"_interlock_registration", include_str!("lib/registration.py")),
    (c"_interlock_builder", include_str!("lib/builder.py")),
    (c"_interlock_function", include_str!("lib/function.py")),
    (c"_interlock_timer", include_str!("lib/timer.py")),
    (c"_interlock_profile", include_str!("lib/profile.py")),
    (c"_interlock_runtime", include_str!("lib/runtime.py")),
];

/// How Python is started.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// What all Python memory is taken from; `None`: the C library.
    pub allocator: Option<RawAllocator>,
    /// Free what an ended interpreter leaves behind. Only where each has its own GIL (CPython 3.13 and later), and
    /// there worth megabytes per interpreter. (With the shared GIL 3.11 leaves next to nothing behind, but 3.12 a
    /// quarter of a megabyte, for which there is no remedy: prefer `SCOPE script` there.)
    pub own_heap: bool,
    /// Make a script that computes let others have the GIL. Only does something where the GIL is shared, before
    /// CPython 3.13; there one script would freeze all others.
    pub ticker: bool,
    /// Import `datetime` first: CPython 3.12 and 3.13 abort otherwise when two interpreters that did have ended.
    pub preload_datetime: bool,
    /// Refuse calls that would hit the whole server.
    pub guard: bool,
    /// How many unused interpreters are kept ready.
    pub warm: usize,
    /// The `python3` whose `sys.prefix` and site-packages count, for example that of a virtual environment;
    /// `None`: the one that belongs to libpython.
    pub executable: Option<PathBuf>,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self {
            allocator: None,
            own_heap: true,
            ticker: true,
            preload_datetime: true,
            guard: true,
            warm: 4,
            executable: None,
        }
    }
}

/// The runtime library as every interpreter loads it.
pub(crate) struct Library {
    /// Names and compiled code.
    pub(crate) modules: Vec<(CString, Vec<u8>)>,
    /// The main interpreter's `sys.path`, serialised.
    pub(crate) path: Vec<u8>,
    /// Whether calls that would hit the server are refused.
    pub(crate) guarded: bool,
}

/// Starts Python. Once per process, on the main thread; CPython is never finalised, so the module
/// must never be unloaded.
///
/// # Errors
/// One line, when Python cannot be started or has been already.
pub fn boot(options: BootOptions) -> Result<(), String> {
    static ONCE: Mutex<()> = Mutex::new(());
    let _once = ONCE.lock().map_err(|_| "an earlier start of Python failed")?;
    if ffi::is_initialised() {
        return Err("Python is already initialised in this process".to_owned());
    }
    ffi::promote_libpython()?;
    let executable = options.executable.clone().or_else(executable);
    let executable = executable.and_then(|path| CString::new(path.into_os_string().into_vec()).ok());
    let (handle, objects, library) = ffi::initialise(&options, executable.as_deref(), &SOURCES)?;
    let main = Core::new(0, Isolation::Shared, handle, objects, State::InUse);
    let no_thread = |error: std::io::Error| format!("cannot start a thread: {error}");
    watch::start(options.ticker && !ffi::OWN_GIL).map_err(no_thread)?;
    reaper::start().map_err(no_thread)?;
    registry::start(library, main, options.warm).map_err(no_thread)?;
    Ok(())
}

/// The file's path without symbolic links, or the path as it is. Not by `canonicalize`, that is `realpath`, which lets its
/// caller free what libc has allocated: Valkey 8.1 loads modules with `RTLD_DEEPBIND`, and where the server is linked to
/// a shared jemalloc (Debian's) the two are different allocators then.
fn real_path(path: PathBuf) -> PathBuf {
    let file = std::fs::File::open(&path);
    let real = file.and_then(|file| std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())));
    real.unwrap_or(path)
}

/// The executable of the Python that libpython belongs to: one on PATH may be another version's.
pub fn executable() -> Option<PathBuf> {
    let version = ffi::version();
    let minor = version.split('.').nth(1)?;
    let library = real_path(PathBuf::from(std::ffi::OsString::from_vec(ffi::libpython()?.into_bytes())));
    let name = format!("bin/python3.{minor}");
    library.ancestors().skip(1).map(|dir: &Path| dir.join(&name)).find(|path| path.exists())
}
