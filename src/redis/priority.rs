//! Who gets a processor when there are not enough? The server's thread before the module's, and those before long jobs and
//! indexing.

use std::cell::Cell;

/// By how much a thread steps back: the system's scheduler gives it a third of what it gives the server's thread when both
/// want a processor, and all of it when nobody else does. Not more: clients wait for these threads too.
const STEP: i32 = 5;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
    static STEPPED_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread wait for a processor when it wakes up, once and for ever, instead of taking one from a thread that
/// runs: that may be the server's, or hold the server's lock.
pub(super) fn give_way() {
    if GIVES_WAY.replace(true) {
        return;
    }
    // SAFETY: plain numbers; 0 stands for the calling thread. Where it fails the thread stays what it was.
    #[cfg(target_os = "linux")]
    unsafe {
        let priority: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority);
    }
}

/// Lets this thread step back behind the server's, once and for ever.
pub(super) fn step_back() {
    if STEPPED_BACK.replace(true) {
        return;
    }
    // SAFETY: numbers only. On Linux 0 stands for the calling thread alone; where it fails the thread stays what it was.
    #[cfg(target_os = "linux")]
    unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, now + STEP);
    }
}
