//! The end of the server does not wait for scripts, and leaves no interpreter that could have ended.

#![allow(clippy::unwrap_used)]

mod python;

use std::time::{Duration, Instant};

use interlock::sync::Stop;

use python::{python, session, FRESH};

#[test]
fn shutdown_ends_what_can_end_and_does_not_wait_for_the_rest() {
    let registry = python();
    let busy = session(&FRESH);
    let run = busy.run();
    let cancel = run.cancel.clone();
    let thread = std::thread::spawn(move || busy.exec_raw(run, "while True: pass").is_err());
    let start = Instant::now();
    assert!(!registry.shutdown(Duration::from_millis(300)), "a script still runs");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(registry.acquire(&FRESH).unwrap_err().contains("shutting down"));
    cancel.cancel(Stop::Shutdown);
    assert!(thread.join().unwrap());
    assert!(registry.shutdown(Duration::from_secs(30)), "{:?}", registry.dump());
    assert_eq!(registry.dump().len(), 1, "only the main interpreter is left");
}
