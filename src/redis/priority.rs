//! Who gets a processor when there are not enough? The server's thread before long jobs, indexing and scans.

use std::cell::Cell;

/// By how much a thread steps back: the system's scheduler gives it a third of what it gives the server's thread when both
/// want a processor, and all of it when nobody else does. Not more: clients wait for these threads too.
const STEP: i32 = 5;

thread_local! {
    static STEPPED_BACK: Cell<bool> = const { Cell::new(false) };
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

/// While it lives, this thread waits for a processor when it wakes up, instead of taking one from a thread that runs:
/// that may be the server's. For bulk work, since it waits behind everybody else on the machine too.
pub struct GivingWay(());

impl GivingWay {
    pub(super) fn new() -> Self {
        set_policy(libc::SCHED_BATCH);
        Self(())
    }
}

impl Drop for GivingWay {
    fn drop(&mut self) {
        set_policy(libc::SCHED_OTHER);
    }
}

fn set_policy(policy: i32) {
    // SAFETY: plain numbers; 0 stands for the calling thread. Where it fails the thread stays what it was.
    #[cfg(target_os = "linux")]
    unsafe {
        let priority: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, policy, &raw const priority);
    }
}
