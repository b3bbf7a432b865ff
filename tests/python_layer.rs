//! Scripts run, ask the host, return values, and are stopped.

#![allow(clippy::unwrap_used)]

mod python;

use std::time::{Duration, Instant};

use interlock::python::host::{PlanInfo, StepInfo};
use interlock::python::{own_gil, version, Isolation};
use interlock::reply::Reply;
use interlock::sync::Stop;

use python::{ended, eventually, fails, ok, scoped, session, FRESH, SHARED};

#[test]
fn a_script_runs_in_each_isolation() {
    for want in [FRESH, SHARED, scoped(1)] {
        let session = session(&want);
        session.exec("import json, ctypes, datetime\nx = 1").unwrap();
        session.exec("assert x == 1").unwrap();
    }
    assert!(version().starts_with("3."), "{}", version());
}

#[test]
fn execute_maps_arguments_and_replies() {
    ok(r#"
assert execute() == []
assert execute("PING") == "PONG"
assert execute("ECHO", b"\xff\x00") == bytearray(b"\xff\x00")
assert execute("ARGS", 1, 1.5, None, bytearray(b"x"), "\udcff", "a\0b") == ["1", "1.5", "None", "x", bytearray(b"\xff"), "a\0b"]
assert execute("NIL") is None
assert execute("ALL") == [7, 1.5, True, None, "ERR nested", {"k": [1]}, {"m", b"\xff"}, 123456789012345678901234567890]
try:
    execute("NOPE")
except redisgears.GearsError as error:
    assert str(error) == "ERR unknown command", error
    assert type(error).__module__ + "." + type(error).__name__ == "gears.error"
else:
    assert False
for call in (lambda: execute(b"PING"), lambda: execute(1)):
    try:
        call()
    except rg.GearsError as error:
        assert str(error) == "the given command must be a string"
    else:
        assert False
assert hashtag() == redisgears.getMyHashTag() == "06S"
assert configGet("known") == "value" and configGet("other") is None and gearsConfigGet("other", 3) == 3
"#);
    assert!(fails("execute('DEEP')").contains("nested too deeply"));
    assert!(fails("execute('PANIC')").contains("SystemError"));
}

#[test]
fn results_become_replies() {
    let session = session(&FRESH);
    let outcome = session.outcome(
        r#"
loop = [1]
loop.append(loop)
deep = []
for _ in range(100_000):
    deep = [deep]
values = [[1, [True, False]], 2**63, -2**63, 1.5, "text", "+OK", "-ERR no", "+", b"\xff\x00", "\udcff\ud800",
          None, {}, (), set(), bytearray(b""), "a\0b", loop, deep]
def reader():
    yield from values
GB("PythonReader").run(reader, convertToStr=False)
"#,
    );
    let opaque = Reply::bulk("PY RECORD");
    let expected = [
        Reply::Array(vec![Reply::Int(1), Reply::Array(vec![Reply::Int(1), Reply::Int(0)])]),
        Reply::bulk("9223372036854775808"),
        Reply::Int(i64::MIN),
        Reply::bulk("1.500000"),
        Reply::bulk("text"),
        Reply::Status(b"OK".to_vec()),
        Reply::Error(b"ERR no".to_vec()),
        Reply::bulk("+"),
        Reply::Bulk(vec![0xff, 0]),
        Reply::Bulk(vec![0xed, 0xb3, 0xbf, 0xed, 0xa0, 0x80]),
        opaque.clone(),
        opaque.clone(),
        opaque.clone(),
        opaque.clone(),
        opaque,
        Reply::bulk("a\0b"),
    ];
    assert_eq!(outcome.results, expected);
    let errors: Vec<_> = outcome.errors.iter().map(|text| String::from_utf8_lossy(text)).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].contains("contains itself"), "{errors:?}");
    assert!(errors[1].contains("nested too deeply"), "{errors:?}");
}

#[test]
fn a_plan_is_announced_and_reads_keys_in_batches() {
    let session = session(&FRESH);
    let plans = session.exec("GB('KeysReader', desc='d').map(lambda r: r).run('*', convertToStr=False)").unwrap();
    let created = session.host.created.lock().unwrap().clone();
    assert_eq!(plans[0].id, "0-1");
    assert_eq!(*plans[0].info, created[0]);
    let step = |kind: &str| {
        let steps = &created[0].steps;
        steps.iter().any(|step: &StepInfo| step.kind == kind)
    };
    let PlanInfo { reader, description, .. } = &created[0];
    assert_eq!((reader.as_str(), description.as_deref()), ("KeysReader", Some("d")));
    assert!(step("map") && step("collect"), "{created:?}");
    drop(plans);

    let session = python::session(&FRESH);
    let values = session.outcome("GB().map(lambda r: [r['key'], r['type'], r['value'], r['event']]).run()");
    assert_eq!(values.errors, Vec::<Vec<u8>>::new());
    let texts: Vec<_> = values.results.iter().map(|reply| format!("{reply:?}")).collect();
    assert_eq!(values.results.len(), 3, "{texts:?}");
    assert_eq!(values.results[0], Reply::bulk("['a', 'string', '1', None]"));
    assert_eq!(values.results[1], Reply::bulk("[bytearray(b'\\xff'), 'hash', {'f': 'v'}, None]"));
    assert_eq!(values.results[2], Reply::bulk("['s', 'stream', [], None]"));

    let names = python::session(&FRESH).outcome("GB().run('*', convertToStr=False, readValue=False)");
    assert_eq!(names.results.len(), 3);
    let bad = python::session(&FRESH).outcome("GB().run('bad')");
    assert!(String::from_utf8_lossy(&bad.errors[0]).contains("ERR no such keys"), "{bad:?}");
}

#[test]
fn an_execution_inside_a_step_is_handed_back() {
    let session = session(&FRESH);
    let plans = session
        .exec(
            "def step(r):\n    GB('PythonReader').run(lambda: flat_error('inner'))\n    return r\n\
             def reader():\n    yield 1\nGB('PythonReader').map(step).run(reader)",
        )
        .unwrap();
    let (outcome, nested) = session.script.run_plan(session.run(), &plans[0]).unwrap();
    let outcome = ended(outcome);
    assert_eq!((outcome.results, outcome.errors), (vec![Reply::bulk("1")], vec![]));
    let (inner, _) = session.script.run_plan(session.run(), &nested[0]).unwrap();
    let inner = ended(inner);
    assert_eq!((inner.results, inner.errors), (vec![], vec![b"inner".to_vec()]));
}

#[test]
fn errors_are_the_printed_traceback() {
    let text = fails("def f():\n    raise ValueError('no')\nf()");
    assert!(text.starts_with("['Traceback (most recent call last):\\n', '  File \"<string>\", line 3"), "{text}");
    assert!(text.ends_with("'ValueError: no\\n']"), "{text}");
    assert!(fails("sys.exit").contains("NameError"));
    assert!(fails("import sys; sys.exit('bye')").contains("SystemExit: bye"));
    assert!(fails("x = = 1").contains("SyntaxError"));
    assert!(fails("x = 1\0").contains("null bytes"), "{}", fails("x = 1\0"));
    assert_eq!(fails("flat_error('exactly this')"), "exactly this");
    let session = session(&FRESH);
    let mut run = session.run();
    run.traceback = false;
    let text = session.exec_with(run, "raise ValueError('no')").unwrap_err();
    assert_eq!(text, "Error type: <class 'ValueError'>, Value: no");
    assert!(fails("class E(Exception):\n    def __str__(self): raise self\nraise E()").contains("E"));
}

#[test]
fn a_spinning_script_stops() {
    for source in [
        "while True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "def f():\n    try: f()\n    finally: f()\nf()",
        "def reader():\n    while True: yield 1\nfor _ in reader(): pass",
    ] {
        let session = session(&FRESH);
        let run = session.limited(Duration::from_millis(50));
        let cancel = run.cancel.clone();
        let start = Instant::now();
        let error = session.exec_raw(run, source).expect_err("it is stopped");
        let late = start.elapsed().saturating_sub(Duration::from_millis(50));
        assert!(late < Duration::from_secs(2), "{source}: {late:?}");
        let text = String::from_utf8_lossy(&error.text).into_owned();
        // A recursion that is stopped may fail of being too deep on its way out.
        assert!(text.contains("gears.forcestopped") || text.contains("RecursionError"), "{source}: {text}");
        assert_eq!(error.stop, Some(Stop::TimedOut));
        assert_eq!(cancel.stopped(), Some(Stop::TimedOut));
        // The interpreter is as good as before.
        session.exec("assert execute('PING') == 'PONG'").unwrap();
    }
}

#[test]
fn a_run_that_must_stop_does_not_begin() {
    let session = session(&FRESH);
    let run = session.run();
    run.cancel.cancel(Stop::Disconnected);
    let error = session.exec_raw(run, "x = 1").unwrap_err();
    assert_eq!(error.stop, Some(Stop::Disconnected));
}

#[test]
fn one_run_is_stopped_and_its_neighbour_in_the_same_interpreter_is_not() {
    for want in [SHARED, scoped(2)] {
        let (first, second) = (session(&want), session(&want));
        assert_eq!(first.interpreter().id(), second.interpreter().id());
        let neighbour = std::thread::spawn(move || {
            second.exec("import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass")
        });
        let error = first.exec_raw(first.limited(Duration::from_millis(200)), "while True: pass").unwrap_err();
        assert_eq!(error.stop, Some(Stop::TimedOut));
        neighbour.join().unwrap().expect("the neighbour is not disturbed");
    }
}

#[test]
fn a_spinning_script_does_not_starve_others() {
    let spinner = session(&FRESH);
    let run = spinner.run();
    let cancel = run.cancel.clone();
    let thread = std::thread::spawn(move || spinner.exec_with(run, "while True: pass"));
    std::thread::sleep(Duration::from_millis(100));
    let other = session(&FRESH);
    for _ in 0..5 {
        let start = Instant::now();
        other.exec("x = sum(range(10))").unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    cancel.cancel(Stop::Aborted);
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn dumps_show_what_interpreters_do() {
    let session = session(&FRESH);
    session.exec("x = 1").unwrap();
    let id = session.interpreter().id();
    let find = || python::python().dump().into_iter().find(|info| info.id == id);
    let info = find().expect("it is listed");
    assert_eq!((info.state.name(), info.owners, info.runs, info.running), ("in use", 1, 1, 0));
    assert_eq!(info.own_gil, own_gil());
    assert!(info.memory > 100_000, "{}", info.memory);
    let main = &python::python().dump()[0];
    assert_eq!((main.id, main.isolation), (0, Isolation::Shared));
    drop(session);
    eventually("the interpreter ends", Duration::from_secs(10), || find().is_none());
}

#[test]
fn print_and_log_reach_the_servers_log() {
    let session = session(&FRESH);
    session.exec("print('one\\ntwo', end='')\nlog('three', level='warning')\nlog('debug', 'four')").unwrap();
    assert_eq!(session.host.logged(), ["Notice: one", "Warning: three", "Debug: four", "Notice: two"]);
    assert!(fails("log(1)").contains("Log message must be a string"));
    assert!(fails("log('x', level='loud')").contains("Log level should be one of"));
}

#[test]
fn atomic_is_left_whatever_happens() {
    let session = session(&FRESH);
    session
        .exec("with atomic():\n    assert isInAtomicBlock()\n    execute('PING')\nassert not isInAtomicBlock()")
        .unwrap();
    assert!(session.exec("with atomic():\n    with atomic(): pass").unwrap_err().contains("Already inside"));
    assert!(session.exec("atomic().__enter__()\nraise ValueError()").is_err());
    let run = session.limited(Duration::from_millis(50));
    assert!(session.exec_with(run, "with atomic():\n    while True: pass").is_err());
    assert_eq!(*session.host.atomic.lock().unwrap(), 0);
}
