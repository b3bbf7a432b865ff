"""What does one script see of another? Nothing, in sub-interpreters; and what it can break is guarded."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from gears import error, interpreters, results, script, value, values
from helpers import config

MODES = ("subinterpreter", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_same_names_in_parallel_scripts(server, r, mode):
    def one(n):
        setup = (
            f"import time\nglobal_value = {n}\n"
            f"def function(x):\n    return x * {n}\n"
            f"class Thing:\n    number = {n}\n"
            "time.sleep(0.05)"
        )
        expression = "(function(10), Thing.number, global_value, [function(i) for i in range(3)])"
        return value(server.client(), expression, "ISOLATION", mode, setup=setup)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(24)))
    assert found == [(10 * n, n, n, [0, n, 2 * n]) for n in range(24)]


@pytest.fixture
def versions(tmp_path):
    """Folders with a module of one name and different content."""
    for number in (1, 2):
        folder = tmp_path / f"v{number}"
        folder.mkdir()
        (folder / "thing_with_versions.py").write_text(
            f"VERSION = {number}\ndef describe():\n    return 'version {number}'\n"
        )
    return tmp_path


def importing(versions, number):
    return (
        f"import sys, time\nsys.path.insert(0, {str(versions / f'v{number}')!r})\n"
        "import thing_with_versions\ntime.sleep(0.3)\n"
        "def seen():\n    import thing_with_versions as again\n    return (thing_with_versions.VERSION, again.describe())"
    )


def test_two_versions_of_one_module_at_the_same_time(server, r, versions):
    def one(number):
        return value(server.client(), "seen()", "ISOLATION", "subinterpreter", setup=importing(versions, number))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, [1, 2, 1, 2])) == [(n, f"version {n}") for n in (1, 2, 1, 2)]


def test_two_versions_that_stay_alive(r, versions):
    """In interpreters that are kept for their scripts, again and again."""
    for _ in range(3):
        for number in (1, 2):
            setup = importing(versions, number)
            assert value(r, "seen()", "SCOPE", "script", setup=setup) == (number, f"version {number}")


def test_modules_are_one_for_all_in_shared_mode(new_server, versions):
    """As documented: the first import wins."""
    r = new_server("ISOLATION", "shared").client()
    assert value(r, "seen()", setup=importing(versions, 1)) == (1, "version 1")
    assert value(r, "seen()", setup=importing(versions, 2)) == (1, "version 1")


def test_a_changed_standard_module_is_invisible_elsewhere(r):
    setup = "import json\njson.dumps = lambda x: 'patched'\njson.added = 1"
    for _ in range(3):
        assert value(r, "json.dumps([1])", setup=setup) == "patched"
        assert value(r, "(json.dumps([1]), hasattr(json, 'added'))", setup="import json") == ("[1]", False)


def test_builtins_are_not_shared(r):
    assert (
        r.execute_command("RG.PYEXECUTE", "import builtins\nbuiltins.len = lambda x: -1\nbuiltins.leaked = 1") == b"OK"
    )
    assert value(r, "(len([1, 2]), hasattr(__import__('builtins'), 'leaked'))") == (2, False)


def test_the_runtime_s_own_modules_are_not_shared(r):
    """A script that breaks GearsBuilder breaks it for itself."""
    assert (
        r.execute_command("RG.PYEXECUTE", "GearsBuilder.map = None\nGearsBuilder.run = None\nexecute = None") == b"OK"
    )
    assert value(r, "execute('PING')") == "PONG"


def test_globals_are_each_script_s_own_in_shared_mode(r):
    options = ("ISOLATION", "shared")
    r.execute_command("RG.PYEXECUTE", "only_here = 1\ndef execute(*a): return 'mine'", *options)
    assert value(r, "('only_here' in globals(), execute('PING'))", *options) == (False, "PONG")


def test_the_setting_decides_where_a_call_says_nothing(r):
    probe = "import sys\nsys.probe = getattr(sys, 'probe', 0) + 1"
    with config(r, isolation="shared"):
        first = value(r, "sys.probe", setup=probe)
        assert value(r, "sys.probe", setup=probe) == first + 1
        assert value(r, "sys.probe", "ISOLATION", "subinterpreter", setup=probe) == 1
    assert value(r, "sys.probe", setup=probe) == 1


# -- extension modules ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "module", "json re math datetime decimal sqlite3 ssl ctypes asyncio threading hashlib zlib socket random".split()
)
def test_standard_modules(r, mode, module):
    assert value(r, f"{module}.__name__", "ISOLATION", mode, setup=f"import {module}") == module


@pytest.fixture
def numpy_folder():
    numpy = pytest.importorskip("numpy")
    return str(pathlib.Path(numpy.__file__).parents[1])


def with_numpy(folder):
    return f"import sys\nsys.path.append({folder!r})\nimport numpy"


def test_numpy_in_shared_mode(r, numpy_folder):
    for _ in range(3):
        found = value(r, "int(numpy.arange(10).sum())", "ISOLATION", "shared", setup=with_numpy(numpy_folder))
        assert found == 45


def test_numpy_in_a_sub_interpreter_names_the_switch(r, numpy_folder):
    for _ in range(3):
        text = error(r, with_numpy(numpy_folder), "ISOLATION", "subinterpreter")
        assert "ImportError" in text and "ISOLATION shared" in text
    found = value(r, "int(numpy.ones(3).sum())", "ISOLATION", "shared", setup=with_numpy(numpy_folder))
    assert found == 3


# -- what interpreters cannot keep apart ------------------------------------------------------------

REFUSED = {
    "os._exit": "os._exit(1)",
    "os.abort": "os.abort()",
    "os.kill": "os.kill(os.getpid(), 9)",
    "os.kill with 0": "os.kill(0, 9)",
    "os.killpg": "os.killpg(os.getpgid(0), 9)",
    "signal.raise_signal": "signal.raise_signal(9)",
    "os.fork": "os.fork()",
    "os.forkpty": "os.forkpty()",
    "signal.signal": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "signal.alarm": "signal.setitimer(signal.ITIMER_REAL, 0.1)",
    "os.close": "os.close(0)",
    "os.closerange": "os.closerange(3, 1000)",
    "os.dup2": "os.dup2(os.open('/dev/null', os.O_RDONLY), 1)",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_calls_that_would_end_the_server_are_refused(server, r, call, mode):
    text = error(r, f"import os, signal\n{call}", "ISOLATION", mode)
    assert "PermissionError" in text or ("signal" in call and "ValueError" in text) or "RuntimeError" in text, text
    assert server.alive() and r.ping()
    assert server.client().ping()


@pytest.mark.parametrize("mode", MODES)
def test_the_server_s_sockets_are_not_closed(server, r, mode):
    """Every descriptor of the process, one by one."""
    source = (
        # An event loop's sockets are the interpreter's, but others need them.
        "import os\ncreateFuture()\nrefused = 0\nclosed = []\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n        what = os.readlink('/proc/self/fd/' + name)\n        os.close(int(name))\n        closed.append(what)\n"
        "    except PermissionError:\n        refused += 1\n"
        "    except OSError:\n        pass\n"
    )
    refused, closed = value(r, "(refused, closed)", "ISOLATION", mode, setup=source)
    # Another script of the shared interpreter may have left a file open: that one is not the server's.
    assert refused > 3 and set(closed) <= {"/dev/null"}
    assert server.client().ping()


@pytest.mark.parametrize("mode", MODES)
def test_a_script_closes_what_it_opened(r, mode, tmp_path):
    source = (
        "import os, socket, tempfile\n"
        f"path = {str(tmp_path / 'file')!r}\n"
        "fd = os.open(path, os.O_CREAT | os.O_RDWR)\nos.write(fd, b'x')\nos.close(fd)\n"
        "a, b = os.pipe()\nos.write(b, b'y')\nos.read(a, 1)\nos.close(a)\nos.close(b)\n"
        "c = os.dup(os.open(path, os.O_RDONLY))\nos.close(c)\n"
        "with open(path) as f: pass\n"
        "s = socket.socket()\ns.close()\n"
        "left, right = socket.socketpair()\nos.close(left.detach())\nright.close()\n"
        "with tempfile.TemporaryFile() as f: f.write(b'z')\n"
    )
    assert r.execute_command("RG.PYEXECUTE", source, "ISOLATION", mode) == b"OK"


def test_the_process_is_one_in_all_modes(server, r):
    pid = server.process.pid
    for mode in MODES:
        assert value(r, "os.getpid()", "ISOLATION", mode, setup="import os") == pid
    assert os.path.exists(f"/proc/{pid}")


# -- running together -------------------------------------------------------------------------------


@pytest.mark.shared_gil
def test_a_spinning_script_does_not_hold_up_the_others(server, r):
    """With one GIL for all interpreters, a spinning one must still let the others have it."""
    import time

    from helpers import in_background, reply_or_error

    other = server.client()
    spin = lambda: reply_or_error(lambda: other.execute_command("RG.PYEXECUTE", "while True: pass", "TIMEOUT", "4000"))  # noqa: E731
    with in_background(spin):
        time.sleep(0.3)
        start = time.monotonic()
        for _ in range(5):
            assert value(r, "1 + 1") == 2
        assert time.monotonic() - start < 3


def test_many_scripts_in_both_modes(server, r):
    def one(n):
        mode = MODES[n % 2]
        source = script(
            "import json, re, threading", "[json.dumps([1])]", ".map(lambda x: x + str(len(re.findall('1', x))))"
        )
        return results(server.client(), source, "ISOLATION", mode)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(60))) == [[b"[1]1"]] * 60
    assert any(entry["isolation"] == "shared" for entry in interpreters(r))
    assert values(r, "[1]") == [1]
