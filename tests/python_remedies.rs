//! Every remedy against a defect of CPython is needed: the same scenario with it, and without it.
//!
//! Python starts once in a process, so each scenario runs in a child: this test binary again, told by an
//! environment variable what to do.

#![allow(clippy::unwrap_used)]

mod python;

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use interlock::python::{own_gil, BootOptions};

use python::{eventually, python, session, start, FRESH};

const SCENARIO: &str = "INTERLOCK_TEST_SCENARIO";

/// Runs a scenario in a child; the last line it printed, or nothing if it crashed.
fn child(scenario: &str, remedy: bool) -> Option<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, format!("{scenario} {remedy}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().rev().find_map(|line| line.split("outcome=").nth(1).map(str::to_owned))
}

/// Not a test by itself: what a child does.
#[test]
fn child_process() {
    let Ok(told) = std::env::var(SCENARIO) else { return };
    let (scenario, remedy) = told.split_once(' ').unwrap();
    let remedy = remedy == "true";
    let options = BootOptions { warm: 0, ..BootOptions::default() };
    let outcome = match scenario {
        "ticker" => {
            start(BootOptions { ticker: remedy, ..options });
            starvation()
        }
        "heap" => {
            start(BootOptions { own_heap: remedy, ..options });
            growth()
        }
        "datetime" => {
            start(BootOptions { preload_datetime: remedy, ..options });
            end_two_with_datetime()
        }
        _ => {
            start(BootOptions { guard: remedy, ..options });
            close_a_descriptor()
        }
    };
    println!("outcome={outcome}");
    // CPython is not finalised, and neither is what a scenario left running.
    std::process::exit(0);
}

/// Whether another script gets its turn while one spins.
fn starvation() -> &'static str {
    let (spinner, other) = (session(&FRESH), session(&FRESH));
    let (told, done) = mpsc::channel();
    let run = spinner.limited(Duration::from_secs(8));
    std::thread::spawn(move || {
        // A loop with an end: without the remedy nobody could stop it either.
        let _ = spinner.exec_raw(run, "import time\nend = time.monotonic() + 6\nwhile time.monotonic() < end: pass");
    });
    std::thread::sleep(Duration::from_millis(300));
    std::thread::spawn(move || {
        other.exec("x = 1").unwrap();
        told.send(()).unwrap();
    });
    if done.recv_timeout(Duration::from_secs(3)).is_ok() {
        "turns"
    } else {
        "starved"
    }
}

/// Whether much memory stays of interpreters that have ended.
fn growth() -> &'static str {
    let cycle = |count: usize| {
        for _ in 0..count {
            session(&FRESH).exec("import json").unwrap();
        }
        eventually("interpreters end", Duration::from_secs(60), || python().stats().ending == 0);
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * 4096
    };
    let before = cycle(10);
    let growth = cycle(30).saturating_sub(before) / 30;
    if growth > 700_000 {
        "grows"
    } else {
        "stays"
    }
}

fn end_two_with_datetime() -> &'static str {
    for _ in 0..5 {
        let sessions = [session(&FRESH), session(&FRESH)];
        for session in &sessions {
            session.exec("import datetime; datetime.datetime.now()").unwrap();
        }
    }
    eventually("interpreters end", Duration::from_secs(30), || python().stats().ending == 0);
    "lives"
}

fn close_a_descriptor() -> &'static str {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open("/dev/null").unwrap();
    let closed = session(&FRESH).exec(&format!("import os; os.close({})", file.as_raw_fd())).is_ok();
    std::mem::forget(file);
    if closed {
        "closed"
    } else {
        "refused"
    }
}

#[test]
fn without_the_ticker_a_spinning_script_starves_the_others() {
    assert_eq!(child("ticker", true).as_deref(), Some("turns"));
    if !own_gil() {
        assert_eq!(child("ticker", false).as_deref(), Some("starved"));
    }
}

#[test]
fn without_reclaiming_each_interpreter_leaves_megabytes_behind() {
    assert_eq!(child("heap", true).as_deref(), Some("stays"));
    // In this build of the tests the system's allocator stands in for the server's, so what CPython does not give
    // back is all that stays.
    if own_gil() {
        println!("without: {:?}", child("heap", false));
    }
}

#[test]
fn without_datetime_in_the_main_interpreter_the_process_aborts() {
    assert_eq!(child("datetime", true).as_deref(), Some("lives"));
    if own_gil() {
        assert_eq!(child("datetime", false), None, "it crashes");
    }
}

#[test]
fn without_the_guard_a_script_closes_the_servers_descriptors() {
    assert_eq!(child("guard", true).as_deref(), Some("refused"));
    assert_eq!(child("guard", false).as_deref(), Some("closed"));
}
