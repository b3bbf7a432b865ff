//! Who gets a processor when there are not enough? The server's thread before long jobs.

use std::cell::Cell;

/// The niceness of threads for long jobs: the system's scheduler gives them half of what it gives the server's
/// thread when both want a processor, and all of it when nobody else does. More would let them sit on the server's
/// lock for long, when they lose their processor in a slice.
const NICE: i32 = 3;

thread_local! {
    static STEPPED_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread step back behind the server's, from now on.
pub(super) fn step_back() {
    if STEPPED_BACK.replace(true) {
        return;
    }
    // SAFETY: no memory is involved. On Linux the call is about the calling thread; where it fails the thread
    // stays what it was.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
    }
}
