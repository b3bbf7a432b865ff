//! A script that nothing can stop is reported. In a process of its own: where the GIL is shared, it holds all others.

#![allow(clippy::unwrap_used)]

mod python;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use python::{eventually, session, FRESH};

#[test]
fn a_loop_in_c_is_reported_and_holds_nobody_up() {
    let session = session(&FRESH);
    let reported = Arc::new(AtomicBool::new(false));
    let mut run = session.limited(Duration::from_millis(100));
    let flag = reported.clone();
    run.on_stuck = Some(Box::new(move || flag.store(true, Ordering::SeqCst)));
    // Holds its GIL for seconds without a line of Python.
    let source = "sum(range(100_000_000))";
    let thread = std::thread::spawn(move || session.exec_raw(run, source).is_err());
    eventually("the run is reported", Duration::from_secs(15), || reported.load(Ordering::SeqCst));
    thread.join().unwrap();
}
