"""What does bad input get? One clear answer, and a server that goes on."""

import pytest
import redis

from gears import at_most, error, gears_config, results, run, script, traceback_of, value, wait_freed
from helpers import PingWatch, reply_or_error, wait_until

# -- the text of an error ----------------------------------------------------------------------------


def test_an_exception_is_a_printed_traceback(r):
    lines = traceback_of(error(r, "def f():\n    raise ValueError('the reason')\nf()"))
    assert lines[0] == "Traceback (most recent call last):\n"
    assert lines[-1] == "ValueError: the reason\n"
    assert 'File "<string>", line 3, in <module>' in "".join(lines)
    assert "line 2, in f" in "".join(lines)


def test_a_syntax_error_shows_where(r):
    text = "".join(traceback_of(error(r, "x = 1\nif x\n")))
    assert "SyntaxError" in text and "line 2" in text


def test_an_error_is_one_line(r):
    text = error(r, "raise ValueError('one\\ntwo')")
    assert "\n" not in text and "\\n" in text


def test_an_error_keeps_other_letters(r):
    assert "žluť 日本" in error(r, "raise ValueError('žluť 日本')")


def test_chained_exceptions(r):
    text = error(r, "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('second')")
    assert "ZeroDivisionError" in text and "KeyError" in text


def test_a_record_s_error_has_the_same_form(r):
    _, errors = run(r, script(steps=".map(lambda r: 1 / 0)"))
    lines = traceback_of(errors[0].decode())
    assert lines[0] == "Traceback (most recent call last):\n"
    assert lines[-1] == "ZeroDivisionError: division by zero\n"
    assert all("File" not in line or "<string>" in line for line in lines), lines


def test_without_tracebacks(r):
    with gears_config(r, "PythonAttemptTraceback", 0):
        assert error(r, "1 / 0") == "Error type: <class 'ZeroDivisionError'>, Value: division by zero"
        _, errors = run(r, script(steps=".map(lambda r: 1 / 0)"))
        assert errors == [b"Error type: <class 'ZeroDivisionError'>, Value: division by zero"]
    assert "Traceback" in error(r, "1 / 0")


def test_an_exception_without_a_text(r):
    setup = "class Odd(Exception):\n    def __str__(self):\n        raise KeyError('x')\n"
    assert "Odd" in error(r, setup + "raise Odd()")


@pytest.mark.parametrize("text", ["%n%s%n", "a\\x00b", "\\ud800", "\\r\\nOK\\r\\n", "x" * 100_000])
def test_odd_texts_in_exceptions(r, text):
    assert "ValueError" in error(r, f"raise ValueError('{text}')")
    assert r.ping()


# -- scripts ------------------------------------------------------------------------------------------


def test_nul_in_a_script(r):
    assert "null" in error(r, "x = 1\0y = 2")


def test_a_script_that_is_not_text(r):
    assert reply_or_error(lambda: r.execute_command("RG.PYEXECUTE", b"x = '\xff\xfe'"))
    assert r.ping()


def test_format_signs_in_a_script(r):
    assert value(r, "'%n%s%d' % () if False else '%n'") == "%n"


def test_windows_line_ends(r):
    assert r.execute_command("RG.PYEXECUTE", "x = 1\r\nif x:\r\n    execute('SET', 'k', x)\r\n") == b"OK"
    assert r.get("k") == b"1"


def test_a_script_of_ten_megabytes(r):
    source = "x = '" + "a" * 10_000_000 + "'\n" + script(records="[len(x)]")
    assert results(r, source) == [b"10000000"]
    source = "x = 1\n" * 100_000 + script(records="[x]")
    assert results(r, source) == [b"1"]


def test_a_result_of_a_hundred_megabytes(server, r):
    client = server.client(socket_timeout=120)
    with PingWatch(server) as watch:
        (found,) = results(client, script(records="['x' * 100_000_000]"))
    assert len(found) == 100_000_000
    # Copying it out to the socket is the server's own work; anything above is a hold-up.
    assert watch.worst() < 3


def test_a_generator_that_raises_midway(r):
    found, errors = run(r, script("def f():\n    yield 1\n    yield 2\n    raise ValueError('midway')", "f()"))
    assert found == [b"1", b"2"] and len(errors) == 1 and b"midway" in errors[0]


def test_recursion_without_end(r):
    assert "RecursionError" in error(r, "def f(): return f()\nf()")
    _, errors = run(r, script("def f(r): return f(r)", steps=".map(f)"))
    assert b"RecursionError" in errors[0]
    assert r.ping()


def test_recursion_through_c_without_end(r):
    setup = "class X:\n    def __repr__(self): return repr(self)\n"
    assert "RecursionError" in error(r, setup + "repr(X())")
    assert "RecursionError" in error(r, "def f(x): return sorted([x], key=f)\nf(1)")
    setup = "x = []\nfor _ in range(100000): x = [x]\n"
    assert "RecursionError" in error(r, setup + "repr(x)")
    assert r.ping()


def test_printing_goes_to_the_log(server, r):
    assert r.execute_command("RG.PYEXECUTE", "print('printed', 1)\nprint('%n%s')") == b"OK"
    wait_until(lambda: "printed 1" in server.log() and "%n%s" in server.log())
    assert r.execute_command("RG.PYEXECUTE", "import sys\nsys.stderr.write('to stderr\\n')") == b"OK"
    wait_until(lambda: "to stderr" in server.log())


def test_printing_without_end_of_line_is_bounded(server, r):
    before = len(server.log())
    assert r.execute_command("RG.PYEXECUTE", "for _ in range(200): print('y' * 1_000_000, end='')") == b"OK"
    assert len(server.log()) - before < 50_000_000


@pytest.mark.parametrize("call", ["sys.exit()", "sys.exit(3)", "raise SystemExit('text')", "exit()", "quit(1)"])
def test_leaving_is_an_error_as_any_other(r, call):
    text = error(r, "import sys\n" + call)
    assert "SystemExit" in text or "NameError" in text
    assert r.ping()


def test_leaving_in_a_step(r):
    found, errors = run(r, script("import sys", steps=".map(lambda r: sys.exit(1))"))
    assert found == [] and len(errors) == 1 and b"SystemExit" in errors[0]


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "GeneratorExit", "BaseException"])
def test_base_exceptions(r, what):
    assert what in error(r, f"raise {what}('x')")
    _, errors = run(r, script(f"def f(r): raise {what}('x')", steps=".map(f)"))
    assert len(errors) == 1
    assert r.ping()


def test_raising_what_is_no_exception(r):
    assert "TypeError" in error(r, "raise 1")


# -- threads that a script leaves behind -------------------------------------------------------------


def test_threads_left_running(r):
    """They end with the script's last owner, and its interpreter goes."""
    source = (
        "import threading\ndef spin():\n    while True: pass\nfor _ in range(3): threading.Thread(target=spin).start()"
    )
    with at_most(30):
        assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    wait_freed(r, 30)


def test_threads_left_waiting(r):
    source = "import threading, time\nthreading.Thread(target=lambda: time.sleep(3600)).start()\nthreading.Thread(target=threading.Event().wait).start()"
    with at_most(30):
        assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    wait_freed(r, 30)


def test_a_thread_that_raises(server, r):
    source = "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()"
    assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    wait_until(lambda: "ZeroDivisionError" in server.log())


def test_a_thread_that_outlives_the_run_cannot_reach_the_server(r):
    source = (
        "import threading, time\ndef later():\n    time.sleep(0.5)\n    execute('SET', 'late', 1)\n"
        "threading.Thread(target=later).start()"
    )
    r.execute_command("RG.PYEXECUTE", source)
    wait_freed(r, 30)
    assert not r.exists("late")


# -- builder arguments, as a client sees them -----------------------------------------------------------


@pytest.mark.parametrize(
    "source, text",
    [
        ("GB(1)", "reader argument must be a string"),
        ("GB('KeysReader', '*', 5)", "desc argument must be a string"),
        ("GB('NoSuchReader')", "The given reader does not exists"),
        ("GB().map(1)", "map argument must be a function"),
        ("GB().map()", "wrong number of args to map function"),
        ("GB().limit('x')", "limit argument must be a number"),
        ("GB().groupby(1, lambda k, a, r: 1)", "groupby argument must be a function"),
        ("GB().run(1)", "regex argument must be a string"),
        ("GB().run('*', noScan=1)", "exactMatch value is not boolean"),
        ("GB().run('*', readValue=1)", "readValue value is not boolean"),
        ("GB('StreamReader').run('s', fromId=1)", "fromId argument must be a string"),
        ("GB('PythonReader').run('x')", "pyreader argument must be a function"),
        ("GB('CommandReader').run()", "Given reader do not support run or not exists"),
        ("GB().run(prefix='x*')", "'prefix'"),
    ],
)
def test_builder_errors(r, source, text):
    lines = traceback_of(error(r, source))
    assert text in lines[-1]


def test_after_every_error_the_next_script_is_served(r):
    for source in ("1/0", "if", "import sys; sys.exit()", "import nosuchmodule", "raise KeyboardInterrupt"):
        with pytest.raises(redis.ResponseError):
            r.execute_command("RG.PYEXECUTE", source)
        assert value(r, "1") == 1
    wait_freed(r)
