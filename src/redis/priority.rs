//! Which threads should the system run first?
//!
//! Where processors are scarce, a thread that indexes must not take one from the server's thread, or from a worker
//! that holds the server's lock: both would keep every client waiting.

use std::cell::Cell;

/// By how much a thread in the background steps back. Not more: who waits for its own writes waits for it.
const STEP: i32 = 5;

thread_local! {
    static LOW: Cell<bool> = const { Cell::new(false) };
}

/// Lets the calling thread step back behind others, once and for ever.
pub(super) fn lower() {
    if LOW.replace(true) {
        return;
    }
    // SAFETY: numbers only. On Linux the id of a thread stands for it alone; where the system refuses, nothing is lost.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        let now = libc::getpriority(libc::PRIO_PROCESS, thread);
        libc::setpriority(libc::PRIO_PROCESS, thread, now + STEP);
    }
}
