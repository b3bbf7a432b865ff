//! What must be ready when the server forks to save?
//!
//! A child has only the thread that forked; a lock that another thread held stays locked in it for ever. What the child
//! needs of data behind such locks is therefore taken hold of just before, by the thread that forks.

use once_cell::sync::OnceCell;

use super::entry::guarded;
use super::lock;

/// What to do around a fork of the server's own.
#[derive(Clone, Copy)]
pub struct AroundFork {
    /// Before it, under the server's lock.
    pub before: fn(),
    /// After it, in the parent.
    pub after: fn(),
}

static HOOKS: OnceCell<AroundFork> = OnceCell::new();

/// Has `hooks` called around every fork of the thread that has the server's lock.
///
/// # Errors
/// When the system refuses, or there are hooks already.
pub(super) fn around(hooks: AroundFork) -> Result<(), String> {
    HOOKS.set(hooks).map_err(|_| "forks are watched already".to_owned())?;
    // SAFETY: the handlers live as long as the process: the module is never unloaded.
    match unsafe { libc::pthread_atfork(Some(before), Some(after), None) } {
        0 => Ok(()),
        code => Err(format!("can't watch forks: {}", std::io::Error::from_raw_os_error(code))),
    }
}

/// The server forks on its main thread, or in a command that a worker runs under the lock. A fork of any other thread
/// is a script's, and saves nothing.
fn is_the_servers() -> bool {
    lock::on_main_thread() || lock::held_here()
}

unsafe extern "C" fn before() {
    if let Some(hooks) = HOOKS.get().filter(|_| is_the_servers()) {
        guarded(hooks.before);
    }
}

unsafe extern "C" fn after() {
    if let Some(hooks) = HOOKS.get().filter(|_| is_the_servers()) {
        guarded(hooks.after);
    }
}
