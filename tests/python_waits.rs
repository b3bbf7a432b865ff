//! Scripts that wait are stopped too, and threads that they leave behind end with them.

#![allow(clippy::unwrap_used)]

mod python;

use std::time::{Duration, Instant};

use interlock::sync::{CancelToken, Stop};

use python::{eventually, session, FRESH, SHARED};

/// What a wait may take to notice that the run was stopped: a second, and room for a busy machine.
const SOON: Duration = Duration::from_secs(4);

fn stops(source: &str) {
    let session = session(&FRESH);
    let run = session.limited(Duration::from_millis(300));
    let start = Instant::now();
    let error = session.exec_raw(run, source).expect_err(source);
    let text = String::from_utf8_lossy(&error.text).into_owned();
    assert!(start.elapsed() < SOON, "{source}: {:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(300), "{source} did not wait: {text}");
    assert_eq!(error.stop, Some(Stop::TimedOut), "{source}: {text}");
}

#[test]
fn an_interpreter_ends_though_a_lock_stayed_taken() {
    let session = session(&FRESH);
    let source = "from concurrent.futures import thread\nthread._global_shutdown_lock.acquire()";
    let ended = interlock::python::registry().unwrap().stats().ended;
    session.exec(source).unwrap();
    drop(session);
    eventually("the interpreter ends", Duration::from_secs(15), || {
        interlock::python::registry().unwrap().stats().ended > ended
    });
}

#[test]
fn sleeps_and_locks_stop() {
    for source in [
        "import time; time.sleep(1000)",
        "from time import sleep\nwhile True: sleep(1)",
        "import threading; threading.Event().wait()",
        "import threading; threading.Event().wait(1000)",
        "import threading\nc = threading.Condition()\nwith c: c.wait()",
        "import threading\nl = threading.Lock(); l.acquire(); l.acquire()",
        "import _thread\nl = _thread.allocate_lock(); l.acquire(); l.acquire()",
        "import threading\nr = threading.RLock()\nt = threading.Thread(target=r.acquire); t.start(); t.join(); r.acquire()",
        "import threading; threading.Semaphore(0).acquire()",
        "import queue; queue.Queue().get()",
        "import queue; queue.SimpleQueue().get()",
        "import threading\nt = threading.Thread(target=threading.Event().wait); t.start(); t.join()",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as p: p.submit(__import__('time').sleep, 1000)",
    ] {
        stops(source);
    }
}

#[test]
fn descriptors_and_processes_stop() {
    for source in [
        "import socket; a, b = socket.socketpair(); a.recv(1)",
        "import socket; a, b = socket.socketpair(); a.makefile('rb').read(1)",
        "import socket; a, b = socket.socketpair(); a.sendall(bytes(100_000_000))",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.accept()",
        "import select; select.select([], [], [])",
        "import select; select.poll().poll()",
        "import select; select.epoll().poll()",
        "import asyncio; asyncio.run(asyncio.sleep(1000))",
        "import subprocess; subprocess.run(['sleep', '5'])",
        "import os; os.system('sleep 5')",
    ] {
        stops(source);
    }
}

#[test]
fn the_replacements_behave_like_the_originals() {
    python::ok(
        r#"
import threading, time, queue, socket, select, os, subprocess, asyncio
start = time.monotonic()
time.sleep(0.05); assert time.monotonic() - start >= 0.05
for bad in (-1, "x"):
    try: time.sleep(bad)
    except (ValueError, TypeError): pass
    else: assert False
lock = threading.Lock()
assert lock.acquire() and lock.locked() and not lock.acquire(False) and not lock.acquire(timeout=0.05)
free = threading.Lock()
assert free.acquire(timeout=0.05) and not free.acquire(timeout=0.05)
lock.release(); assert not lock.locked()
with lock: pass
try: lock.release()
except RuntimeError: pass
else: assert False
try: lock.acquire(False, 1)
except ValueError: pass
else: assert False
rlock = threading.RLock()
with rlock, rlock: pass
condition = threading.Condition()
seen = []
def waiter():
    with condition:
        with condition:
            condition.wait(5); seen.append(1)
t = threading.Thread(target=waiter, daemon=True); t.start(); time.sleep(0.05)
with condition: condition.notify_all()
t.join(5); assert seen and not t.is_alive()
event = threading.Event(); assert event.wait(0.01) is False; event.set(); assert event.wait()
q = queue.Queue()
try: q.get(timeout=0.01)
except queue.Empty: pass
threading.Thread(target=q.put, args=(7,)).start(); assert q.get(timeout=5) == 7
s = queue.SimpleQueue(); s.put(1); assert s.get() == 1
a, b = socket.socketpair()
a.settimeout(0.05)
try: a.recv(1)
except TimeoutError: pass
else: assert False
a.setblocking(False)
try: a.recv(1)
except BlockingIOError: pass
else: assert False
a.setblocking(True)
data = os.urandom(1_000_000)
def sender(): b.sendall(data); b.close()
threading.Thread(target=sender).start()
got = b""
while chunk := a.recv(65536): got += chunk
assert got == data
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname()); peer, _ = server.accept()
peer.send(b"x"); assert select.select([client], [], [], 5)[0] == [client]
ep = select.epoll(); ep.register(client.fileno(), select.EPOLLIN); assert ep.poll(5)
try: socket.create_connection(("127.0.0.1", 1), timeout=5)
except ConnectionRefusedError: pass
else: assert False
async def main():
    await asyncio.sleep(0.01)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: 5)
assert asyncio.run(main()) == 5
assert subprocess.run(["sh", "-c", "echo hi; exit 3"], capture_output=True).returncode == 3
assert os.waitstatus_to_exitcode(os.system("exit 4")) == 4
assert Thread is not None and isinstance(t, Thread)
class Sub(Thread):
    def run(self): self.x = 1
s = Sub(); s.start(); s.join(); assert s.x == 1
assert copy.copy([1]) == [1]
"#,
    );
}

#[test]
fn threads_of_a_script_belong_to_its_run() {
    let session = session(&FRESH);
    session
        .exec("import threading\nout = []\nt = threading.Thread(target=lambda: out.append(execute('PING'))); t.start(); t.join()\nassert out == ['PONG'], out")
        .unwrap();
    let inline = {
        let mut run = session.run();
        run.inline = true;
        run
    };
    let source = "out = []\ndef ask():\n    try: out.append(execute('PING'))\n    except rg.GearsError as e: out.append(str(e))\n\
        t = threading.Thread(target=ask); t.start(); t.join()\nassert 'inline' in out[0], out\nassert execute('PING') == 'PONG'";
    session.script.exec(inline, source.as_bytes()).map_err(|e| String::from_utf8(e.text)).unwrap();
    // A thread that outlives its run cannot ask any more.
    session
        .exec("import time\nlate = []\ndef later():\n    time.sleep(0.2)\n    try: execute('PING')\n    except rg.GearsError as e: late.append(str(e))\nthreading.Thread(target=later).start()")
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    session.exec("assert late and 'over' in late[0], late").unwrap();
}

#[test]
fn threads_left_behind_end_with_their_script() {
    for want in [FRESH, SHARED] {
        for source in [
            "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()",
            "import threading, time\ndef f():\n    while True:\n        try: time.sleep(100)\n        except BaseException: pass\nthreading.Thread(target=f, daemon=True).start()",
            "import queue, threading\nthreading.Thread(target=queue.Queue().get).start()",
            "import atexit\n@atexit.register\ndef f():\n    while True: pass",
            "class D:\n    def __del__(self):\n        while True: pass\nd = D()",
        ] {
            let session = session(&want);
            session.exec(source).unwrap();
            let id = session.interpreter().id();
            let core = session.interpreter().clone();
            drop(session);
            drop(core);
            if want == FRESH {
                let listed = || python::python().dump().iter().any(|info| info.id == id);
                eventually(source, Duration::from_secs(15), || !listed());
            }
        }
    }
    // Those of the shared interpreter are gone too.
    let watcher = session(&SHARED);
    let gone = "import sys; own = sys._current_frames(); assert len(own) == 1, own";
    eventually("threads of the shared interpreter end", Duration::from_secs(15), || watcher.exec(gone).is_ok());
}

#[test]
fn a_token_without_limit_can_be_cancelled_by_hand() {
    let session = session(&FRESH);
    let token = CancelToken::new();
    let mut run = session.run();
    run.cancel = token.clone();
    let thread = std::thread::spawn(move || session.exec_raw(run, "import time; time.sleep(1000)"));
    std::thread::sleep(Duration::from_millis(200));
    token.cancel(Stop::Aborted);
    assert_eq!(thread.join().unwrap().unwrap_err().stop, Some(Stop::Aborted));
}
