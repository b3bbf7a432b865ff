//! Scripts do not see each other, interpreters do not accumulate, and memory has a limit.

#![allow(clippy::unwrap_used)]

mod python;

use std::time::{Duration, Instant};

use interlock::python::{own_gil, Isolation, Script, State};
use interlock::reply::Reply;

use python::{eventually, fails, python, scoped, session, FRESH, SHARED};

/// Two directories with a module of the same name and different content.
fn two_versions(name: &str) -> [String; 2] {
    ["1", "2"].map(|version| {
        let dir = std::env::temp_dir().join(format!("interlock-{}-{name}-{version}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{name}.py")), format!("version = {version}\n")).unwrap();
        dir.to_string_lossy().into_owned()
    })
}

#[test]
fn each_script_has_its_own_modules() {
    let dirs = two_versions("samename");
    let scripts = [session(&FRESH), session(&FRESH)];
    for (at, (script, dir)) in scripts.iter().zip(&dirs).enumerate() {
        let version = at + 1;
        script
            .exec(&format!(
                "import sys; sys.path.insert(0, {dir:?}); import samename; assert samename.version == {version}"
            ))
            .unwrap();
    }
    scripts[0].exec("assert samename.version == 1").unwrap();
    scripts[1].exec("import samename; assert samename.version == 2").unwrap();
}

#[test]
fn the_shared_interpreter_shares_modules_but_not_globals() {
    let dirs = two_versions("sharedname");
    let scripts = [session(&SHARED), session(&SHARED)];
    for (script, dir) in scripts.iter().zip(&dirs) {
        script
            .exec(&format!(
                "import sys; sys.path.insert(0, {dir:?}); import sharedname; assert sharedname.version == 1"
            ))
            .unwrap();
    }
    scripts[0].exec("x = 1").unwrap();
    assert!(scripts[1].exec("x").unwrap_err().contains("NameError"));
}

#[test]
fn a_patched_module_is_nobody_elses() {
    let first = session(&FRESH);
    first.exec("import json, os\njson.dumps = lambda x: 'patched'\nos.sep = '!'\nimport builtins; builtins.len = lambda x: 42").unwrap();
    session(&FRESH).exec("import json, os\nassert json.dumps(1) == '1' and os.sep == '/' and len('a') == 1").unwrap();
    first.exec("assert json.dumps(1) == 'patched' and len('a') == 42").unwrap();
}

#[test]
fn the_same_names_in_parallel_scripts_are_different_things() {
    let threads: Vec<_> = (0..4)
        .map(|at| {
            std::thread::spawn(move || {
                let session = session(&FRESH);
                let outcome = session.outcome(&format!(
                    "value = {at}\ndef f(r):\n    global value\n    for _ in range(100): value += 1\n    return value\n\
                     def reader():\n    for _ in range(10): yield 0\nGB('PythonReader').map(f).limit(1, 9).run(reader)"
                ));
                assert_eq!(outcome.results, [Reply::bulk((1000 + at).to_string())]);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn calls_of_one_script_share_an_interpreter_and_different_scripts_never_do() {
    let (first, second, other) = (session(&scoped(10)), session(&scoped(10)), session(&scoped(11)));
    assert_eq!(first.interpreter().id(), second.interpreter().id());
    assert_ne!(first.interpreter().id(), other.interpreter().id());
    first.exec("import sys; sys.mark = 1; x = 1").unwrap();
    second.exec("import sys; assert sys.mark == 1").unwrap();
    assert!(second.exec("x").unwrap_err().contains("NameError"), "globals are fresh");
    other.exec("import sys; assert not hasattr(sys, 'mark')").unwrap();
    let id = first.interpreter().id();
    drop((first, second));
    let info = python().dump().into_iter().find(|info| info.id == id).unwrap();
    assert_eq!((info.state, info.owners), (State::Idle, 0), "kept for the next call");
    assert_eq!(session(&scoped(10)).interpreter().id(), id);
}

#[test]
fn numpy_is_refused_with_advice_in_a_subinterpreter() {
    // Without numpy installed: a package that looks like it, to CPython before 3.12 by its name alone.
    if session(&SHARED).exec("import numpy").is_ok() {
        let text = fails("import numpy");
        assert!(text.contains("ISOLATION shared"), "{text}");
        session(&SHARED).exec("import numpy; assert numpy.arange(3).sum() == 3").unwrap();
    } else {
        eprintln!("numpy is not installed: not tested");
    }
    // An extension module of the standard library that CPython refuses in sub-interpreters.
    if own_gil() {
        let text = fails("import readline");
        assert!(text.contains("ISOLATION shared") || text.contains("ModuleNotFoundError"), "{text}");
    }
}

#[test]
fn a_script_over_its_memory_limit_gets_an_error_and_nobody_else_notices() {
    let limited = |source: &str| {
        let session = session(&FRESH);
        let mut run = session.run();
        run.max_memory = Some(8 * 1024 * 1024);
        let error = session.exec_with(run, source);
        // The next run without a limit is not affected.
        session.exec("x = bytes(50_000_000)").unwrap();
        error
    };
    for source in ["x = bytes(50_000_000)", "x = []\nwhile True: x.append(str(len(x)))", "x = 'y' * 10**8"] {
        let text = limited(source).expect_err(source);
        assert!(text.contains("MemoryError"), "{text}");
        assert!(text.contains("line"), "the traceback is complete: {text}");
    }
    limited("x = bytes(1_000_000)").expect("below the limit");
    limited("try:\n    x = bytes(50_000_000)\nexcept MemoryError:\n    x = 1").expect("it can be caught");
}

#[test]
fn the_pool_refills_and_follows_its_target() {
    let registry = python();
    let one = session(&FRESH);
    let id = one.interpreter().id();
    assert!(registry.dump().iter().any(|info| info.id == id));
    drop(one);
    eventually("the pool is full", Duration::from_secs(30), || registry.stats().warm >= 2);
    let start = Instant::now();
    let taken = registry.acquire(&FRESH).unwrap();
    assert!(start.elapsed() < Duration::from_millis(200), "a ready one costs nothing");
    assert_eq!(taken.isolation(), Isolation::Subinterpreter);
    drop(Script::new(taken));
}
