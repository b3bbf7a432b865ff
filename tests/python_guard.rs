//! What a script does to the process is refused, and the process lives.

#![allow(clippy::unwrap_used)]

mod python;

use std::os::fd::{AsRawFd, OwnedFd};

use python::{fails, ok, on_large_stack, session, FRESH, SHARED};

#[test]
fn calls_that_would_hit_the_server_are_refused() {
    for want in [FRESH, SHARED] {
        for call in [
            "os._exit(0)",
            "os.abort()",
            "os.kill(os.getpid(), 9)",
            "os.kill(0, 9)",
            "os.killpg(os.getpgrp(), 9)",
            "os.fork()",
            "os.forkpty()",
            "os.execv('/bin/true', ['true'])",
            "os.chdir('/')",
            "os.close(0)",
            "os.close(1)",
            "os.closerange(0, 1000)",
            "os.dup2(os.open('/dev/null', 0), 1)",
            "__import__('posix').close(0)",
            "__import__('posix')._exit(0)",
            "__import__('signal').signal(15, lambda *a: None)",
            "__import__('signal').alarm(1)",
            "__import__('signal').raise_signal(15)",
            "__import__('_signal').setitimer(0, 1)",
            "__import__('socket').close(0)",
        ] {
            let text = session(&want).exec(&format!("import os\n{call}")).expect_err(call);
            assert!(text.contains("PermissionError"), "{call} in {want:?}: {text}");
        }
    }
}

#[test]
fn a_foreign_descriptor_stays_open() {
    let file = std::fs::File::open("/dev/zero").unwrap();
    let fd = file.as_raw_fd();
    let text = fails(&format!("import os; os.close({fd})"));
    assert!(text.contains("PermissionError"), "{text}");
    // A number that was the script's once, and now is the server's.
    let session = session(&FRESH);
    session
        .exec("import os\nf = os.fdopen(os.open('/dev/null', 0)); fd = f.fileno(); f.close(); log(str(fd))")
        .unwrap();
    let number: i32 = session.host.logged()[0].trim_start_matches("Notice: ").parse().unwrap();
    let mine = loop {
        let next = file.try_clone().unwrap();
        if next.as_raw_fd() == number {
            break OwnedFd::from(next);
        }
        assert!(next.as_raw_fd() < number || next.as_raw_fd() > number + 100, "the number is free");
        std::mem::forget(next);
    };
    let text = session.exec("os.close(fd)").unwrap_err();
    assert!(text.contains("PermissionError"), "{text}");
    drop(mine);
}

#[test]
fn a_script_may_close_what_it_opened() {
    ok(r#"
import os, socket, tempfile, subprocess
fd = os.open("/dev/null", os.O_RDONLY); os.close(fd)
r, w = os.pipe(); os.write(w, b"x"); assert os.read(r, 1) == b"x"; os.close(r); os.close(w)
f = open("/dev/null"); os.close(os.dup(f.fileno())); f.close()
s = socket.socket(); fd = s.detach(); os.close(fd)
g = open("/dev/null"); os.close(g.fileno())
try: g.close()
except OSError: pass
try: os.close(fd)
except OSError as e: assert not isinstance(e, PermissionError)
a = os.open("/dev/null", 0); b = os.open("/dev/null", 0); os.dup2(a, b); os.closerange(a, a + 1); os.close(b)
with tempfile.NamedTemporaryFile() as t: t.write(b"1")
with tempfile.TemporaryDirectory() as d: open(d + "/x", "w").close()
assert subprocess.run(["true"]).returncode == 0
assert subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE).communicate(b"x")[0] == b"x"
os.kill(subprocess.Popen(["sleep", "5"]).pid, 9)
"#);
}

#[test]
fn recursion_without_end_is_an_error() {
    for source in [
        "def f(): return f()\nf()",
        "class A:\n    def __getattr__(self, name): return getattr(self, name + 'x')\nA().y",
        "class A:\n    def __repr__(self): return repr(self)\nrepr(A())",
        "class A:\n    def __eq__(self, other): return [self] == [other]\nA() == A()",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __getattr__(self, name): return getattr(self, name)\nA().y",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __eq__(self, other): return [self] == [other]\nA() == A()",
        "import json\nx = []\nfor _ in range(10**5): x = [x]\njson.dumps(x)",
        "f = lambda x: sorted([1, 2], key=f)\nf(1)",
        "import sys\nsys.setrecursionlimit(10**9)\nf = lambda x: sorted([1, 2], key=f)\nf(1)",
    ] {
        let session = session(&FRESH);
        let text = session.exec(source).expect_err(source);
        assert!(text.contains("RecursionError") || text.contains("MemoryError"), "{source}: {text}");
        // The inline lane has the stack of the server's main thread.
        let small = python::session(&FRESH);
        let run = small.run();
        let error = python::on_stack(8 << 20, || small.script.exec(run, source.as_bytes())).expect_err(source);
        let text = String::from_utf8_lossy(&error.text);
        assert!(text.contains("RecursionError") || text.contains("MemoryError"), "{source}: {text}");
    }
}

#[test]
fn nothing_else_breaks_an_interpreter() {
    let session = session(&FRESH);
    assert!(session.exec("import sys; sys.stdout = None; print('x')").is_ok());
    let bare = python::session(&FRESH);
    assert!(bare.exec("import sys; sys.modules.clear()").is_ok());
    assert!(bare.exec("raise SystemExit").is_err());
    assert!(session.exec("raise SystemExit").unwrap_err().contains("SystemExit"));
    assert!(session.exec("raise KeyboardInterrupt").unwrap_err().contains("KeyboardInterrupt"));
    assert!(session.exec("input()").is_err());
    let big = format!("x = '{}'", "y".repeat(10_000_000));
    on_large_stack(|| session.script.exec(session.run(), big.as_bytes())).unwrap();
    assert!(session.exec("print('a\\0%s%n' * 3); log('\\0%n%s')").is_ok());
    assert!(session.exec("print('\\ud800')").is_ok());
}
