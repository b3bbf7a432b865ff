//! What a call costs. Not run by itself: `cargo test --release --test python_cost -- --ignored --nocapture`

#![allow(clippy::unwrap_used)]

mod python;

use std::sync::Arc;
use std::time::{Duration, Instant};

use interlock::python::{Run, Script, Want};
use interlock::sync::CancelToken;

use python::{eventually, python, scoped, FakeHost, FRESH, SHARED};

fn calls(name: &str, want: &Want, count: u32, threads: u32, source: &'static str) {
    let want = *want;
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let work = move || {
                let host = Arc::new(FakeHost::default());
                for _ in 0..count {
                    let script = Script::new(python().acquire(&want).unwrap());
                    script.exec(Run::new(host.clone(), CancelToken::new()), source.as_bytes()).unwrap();
                }
            };
            std::thread::Builder::new().stack_size(interlock::python::STACK_SIZE).spawn(work).unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let each = start.elapsed() / (count * threads);
    println!("{name}, {threads} threads: {each:?} a call");
}

#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_call() {
    let body = "x = execute('PING')";
    calls("scope script", &scoped(1), 20_000, 1, body);
    calls("scope script", &scoped(1), 10_000, 4, body);
    calls("shared", &SHARED, 10_000, 1, body);
    calls("with an execution", &scoped(2), 5_000, 1, "GB('PythonReader').run(lambda: 1)");
    calls("fresh", &FRESH, 100, 1, body);
    python().set_warm(16);
    eventually("the pool is full", Duration::from_secs(60), || python().stats().warm >= 16);
    let start = Instant::now();
    let taken: Vec<_> = (0..16).map(|_| python().acquire(&FRESH).unwrap()).collect();
    println!("taking a warm one: {:?}", start.elapsed() / 16);
    println!("memory of each: {} bytes", taken[0].memory());
    let start = Instant::now();
    python().set_warm(0);
    drop(taken);
    eventually("they end", Duration::from_secs(60), || python().stats().ending == 0);
    println!("ending: {:?} each", start.elapsed() / 16);
}
