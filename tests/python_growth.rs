//! Interpreters and memory do not accumulate, whatever scripts leave behind.

#![allow(clippy::unwrap_used)]

mod python;

use std::time::Duration;

use interlock::python::version;

use python::{eventually, on_large_stack, python, session, FRESH};

#[test]
fn nothing_is_left_of_many_scripts() {
    let cycle = |count: usize| {
        for at in 0..count {
            let source = match at % 4 {
                0 => "import json, re\ndef f(): return json.dumps([f.__name__])\nf()",
                1 => "raise ValueError('x' * 1000)",
                2 => "import threading\nthreading.Thread(target=lambda: None).start()",
                _ => "class A: pass\na = A(); a.a = a; big = list(range(10000))",
            };
            let session = session(&FRESH);
            let _ = on_large_stack(|| session.script.exec(session.run(), source.as_bytes()));
        }
        let gone = || {
            let stats = python().stats();
            stats.ending == 0 && stats.stuck == 0
        };
        eventually("interpreters end", Duration::from_secs(60), gone);
        resident()
    };
    // What the system's allocator and CPython keep for later use grows at first: what counts is that it ends.
    let mut before = cycle(100);
    for round in 1.. {
        let after = cycle(100);
        let growth = after.saturating_sub(before) / 100;
        println!("{growth} bytes a script stay after {round} rounds, {after} in all");
        if growth < 50_000 {
            break;
        }
        if version().starts_with("3.12.") {
            println!("CPython 3.12 itself keeps a quarter of a megabyte of each interpreter: not tested");
            break;
        }
        assert!(round < 8, "it does not end");
        before = after;
    }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * 4096
}
