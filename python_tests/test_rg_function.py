"""RG.FUNCTION, RG.FCALL, RG.FCALL_RO: libraries of Python functions."""

import contextlib
import random
import threading
import time

import pytest
import redis

from functions import fcall, fcall_error, header, libraries, library_interpreters, load, load_error, source
from gears import at_most, wait_freed
from helpers import LANES, as_map, config, in_background, in_lane, in_lua, in_multi, plain, reply_or_error, wait_until

COUNT = source("shop", """
@redisgears.function
def count(keys, args):
    'Counts visits of a page.

    More of it.'
    return execute('INCRBY', keys[0], *args)

@redisgears.function(name='total', readonly=True, description='All visits.')
def _(keys, args):
    return sum(int(execute('GET', key) or 0) for key in keys)

@rg.function(mode='sync')
def both(keys, args):
    assert not isInAtomicBlock() or True
    return [execute('INCR', key) for key in keys]
""".replace("'Counts", "'''Counts").replace("it.'", "it.'''"))

ISOLATIONS = ("subinterpreter", "shared")


@pytest.fixture
def r(r):
    """No library is left to the next test."""
    yield r
    r.execute_command("RG.FUNCTION", "FLUSH")
    wait_freed(r)


# --- calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("lane", LANES)
def test_every_lane(server, r, lane, isolation):
    text = COUNT.replace("name=shop", f"name=shop isolation={isolation}")
    if lane == "lua":
        # As with Redis's own functions, no script may change libraries.
        assert "not allowed from script" in str(in_lane(server, lane, "RG.FUNCTION", "LOAD", text))
        load(r, text)
    else:
        assert in_lane(server, lane, "RG.FUNCTION", "LOAD", text) == b"shop"
    assert in_lane(server, lane, "RG.FCALL", "count", 1, "visits", 5) == 5
    assert in_lane(server, lane, "RG.FCALL", "both", 2, "visits", "other") == [6, 1]
    for command in ("RG.FCALL", "RG.FCALL_RO"):
        assert in_lane(server, lane, command, "total", 2, "visits", "other") == 7
    assert r.get("visits") == b"6"
    assert libraries(r)["shop"]["isolation"] == isolation


@pytest.mark.parametrize("lane", LANES)
def test_errors_in_every_lane(server, r, lane):
    load(r, COUNT + """
@rg.function
def fails(keys, args):
    raise ValueError('this and that')
@rg.function
def flat(keys, args):
    flat_error('WRONG way')
""")

    def error(*words):
        # A script's error ends with where the script was.
        return str(in_lane(server, lane, *words))

    assert "Function not found" in error("RG.FCALL", "nobody", 0)
    assert "Function not found" in error("RG.FCALL", b"\xff", 0)
    assert "Function not found" in error("RG.FCALL", "COUNT", 0)
    assert "Bad number of keys provided" in error("RG.FCALL", "count", "x")
    assert "Number of keys can't be greater than number of args" in error("RG.FCALL", "count", 1)
    assert "Number of keys can't be negative" in error("RG.FCALL", "count", -1)
    assert "Can not execute a script with write flag using *_ro command." in error("RG.FCALL_RO", "count", 1, "a")
    assert "ValueError: this and that" in error("RG.FCALL", "fails", 0)
    assert "WRONG way" in error("RG.FCALL", "flat", 0)
    assert "value is not an integer" in error("RG.FCALL", "count", 1, "a", "x")


def test_wrong_numbers_of_arguments(r):
    for words in (("RG.FCALL",), ("RG.FCALL", "f"), ("RG.FCALL_RO", "f"), ("RG.FUNCTION",), ("RG.FUNCTION", "LOAD"),
                  ("RG.FUNCTION", "DELETE"), ("RG.FUNCTION", "DELETE", "a", "b"), ("RG.FUNCTION", "DUMP", "a"),
                  ("RG.FUNCTION", "FLUSH", "a"), ("RG.FUNCTION", "STATS", "a"), ("RG.FUNCTION", "RESTORE")):
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            r.execute_command(*words)
    with pytest.raises(redis.ResponseError, match="unknown subcommand"):
        r.execute_command("RG.FUNCTION", "WHAT")
    assert len(r.execute_command("RG.FUNCTION", "HELP")) == 8


VALUES = [
    ("None", None, None),
    ("True", 1, True),
    ("7", 7, 7),
    ("2 ** 70", b"1180591620717411303424", 2 ** 70),
    ("1.5", b"1.5", 1.5),
    ("'text'", b"text", b"text"),
    ("'-ERR no error'", b"-ERR no error", b"-ERR no error"),
    ("'+OK'", b"+OK", b"+OK"),
    (r"b'\xff'", b"\xff", b"\xff"),
    (r"bytearray(b'\xfe')", b"\xfe", b"\xfe"),
    ("[1, ('a', None), []]", [1, [b"a", None], []], [1, [b"a", None], []]),
    ("{1}", [1], {1}),
    ("{'a': [1], 2: 'b'}", [b"a", [1], 2, b"b"], {b"a": [1], 2: b"b"}),
]


@pytest.mark.parametrize("expression, resp2, resp3", VALUES, ids=[value[0] for value in VALUES])
def test_results(r, r3, expression, resp2, resp3):
    load(r, source("lib", f"@rg.function\ndef f(keys, args):\n    return {expression}"))
    assert fcall(r, "f") == resp2
    answer = fcall(r3, "f")
    if isinstance(resp3, int) and abs(resp3) > 2 ** 63:
        answer = int(answer)
    elif isinstance(resp3, set):
        answer = set(answer)
    assert answer == resp3 and type(answer) is type(resp3)


def test_results_that_have_no_reply(r):
    load(r, source("lib", """
class Strange: pass
loop = []
loop.append(loop)
nested = {}
nested[1] = nested
@rg.function
def f(keys, args):
    return globals()[args[0]]
"""))
    assert fcall_error(r, "f", 0, "Strange").startswith("TypeError: a function can return None, bool, int")
    for name in ("loop", "nested"):
        assert "nested too deeply" in fcall_error(r, "f", 0, name)


def test_keys_and_arguments(r):
    load(r, source("lib", """
@rg.function
def show(keys, args):
    return repr((keys, args))
@rg.function
def nothing(keys=None, args=None, *rest, more=1):
    return [keys, args]
@rg.function
def star(*both):
    return len(both)
"""))
    assert fcall(r, "show", 2, "a", b"\xff", "b", "") == b"(['a', bytearray(b'\\xff')], ['b', ''])"
    assert fcall(r, "show", 0) == b"([], [])"
    assert fcall(r, "nothing", 0) == [[], []]
    assert fcall(r, "star", 0) == 2


def test_a_library_remembers(r):
    load(r, source("lib", "seen = []\n@rg.function\ndef f(keys, args):\n    seen.extend(args)\n    return len(seen)"))
    assert [fcall(r, "f", 0, "x", "y") for _ in range(3)] == [2, 4, 6]
    assert in_multi(r, "RG.FCALL", "f", 0, "x") == 7
    # Another library has its own names.
    load(r, source("other", "@rg.function\ndef g(keys, args):\n    return 'seen' in globals()"))
    assert fcall(r, "g") == 0


def test_a_function_calls_others_and_creates_executions(r):
    load(r, source("lib", """
@rg.function
def outer(keys, args):
    n = int(args[0])
    return n if n == 0 else n + execute('RG.FCALL', 'outer', 0, n - 1)
@rg.function
def executes(keys, args):
    GB('ShardsIDReader').foreach(lambda x: execute('INCR', 'executions')).run()
@rg.function(readonly=True)
def may_not(keys, args):
    GB('ShardsIDReader').run()
"""))
    assert fcall(r, "outer", 0, 3) == 6
    assert in_multi(r, "RG.FCALL", "outer", 0, 3) == 6
    assert fcall(r, "executes") is None
    wait_until(lambda: r.get("executions") == b"1")
    assert "a read-only function can not create executions" in fcall_error(r, "may_not")


def test_a_read_only_function_does_not_write(server, r):
    load(r, source("lib", "@rg.function(readonly=True)\ndef f(keys, args):\n    return execute(*args)"))
    r.set("a", 1)
    for lane in LANES:
        for command in ("RG.FCALL", "RG.FCALL_RO"):
            assert in_lane(server, lane, command, "f", 0, "GET", "a") == b"1"
            assert "Write commands are not allowed" in str(in_lane(server, lane, command, "f", 0, "SET", "a", 2))
    assert r.get("a") == b"1"


def test_a_sync_function_is_atomic(server, r):
    """Nobody sees the two keys differ, although the function takes its time."""
    load(r, source("lib", """
import time
@rg.function(mode='sync')
def step(keys, args):
    execute('INCR', keys[0])
    time.sleep(0.002)
    return execute('INCR', keys[1])
"""))
    fcall(r, "step", 2, "a", "b")

    def watch():
        client = server.client()
        return [client.mget("a", "b") for _ in range(300)]

    with in_background(watch) as seen:
        for _ in range(50):
            fcall(r, "step", 2, "a", "b")
    assert all(a == b for a, b in seen["value"])


def test_limits(r):
    load(r, source("slow timeout=100", "@rg.function\ndef forever(keys, args):\n    while True: pass"))
    with at_most(20):
        assert "time limit reached" in fcall_error(r, "forever")
        assert "time limit reached" in str(in_multi(r, "RG.FCALL", "forever", 0))
    with config(r, python_inline_limit=50), at_most(20):
        load(r, source("endless", "@rg.function(mode='sync')\ndef endless(keys, args):\n    while True: pass"))
        assert "time limit reached" in fcall_error(r, "endless")
    load(r, source("large maxmemory=20mb", "@rg.function\ndef large(keys, args):\n    return len(bytes(1 << 27))"))
    assert "MemoryError" in fcall_error(r, "large")


def test_a_client_that_goes_stops_its_call(server, r):
    load(r, source("lib", "import time\n@rg.function\ndef f(keys, args):\n    execute('SET', 'begun', 1)\n    time.sleep(600)"))
    other = server.client(socket_timeout=None)
    connection = other.connection_pool.get_connection()
    connection.send_command("RG.FCALL", "f", 0)
    wait_until(lambda: r.get("begun") == b"1")
    assert stats(r)["f"]["running"] == 1
    connection.disconnect()
    wait_until(lambda: stats(r)["f"]["running"] == 0)
    assert stats(r)["f"]["failures"] == 1


def stats(client):
    functions = as_map(client.execute_command("RG.FUNCTION", "STATS"))["functions"]
    return {entry["name"]: entry for entry in map(as_map, functions)}


# --- loading -------------------------------------------------------------------------------------------------


def test_list(r, r3):
    load(r, COUNT)
    load(r, source("b isolation=shared", "@rg.function\ndef f(keys, args): pass"))
    shown = plain(r3.execute_command("RG.FUNCTION", "LIST"))
    for library in shown:
        for function in library["functions"]:
            # Some versions of the client library make a list of a set.
            function["flags"] = list(function["flags"])
    assert shown == [
        {"library_name": "b", "engine": "PYTHON", "isolation": "shared", "loaded": 1, "functions": [
            {"name": "f", "description": None, "flags": [], "mode": "async_local"}]},
        {"library_name": "shop", "engine": "PYTHON", "isolation": "subinterpreter", "loaded": 1, "functions": [
            {"name": "both", "description": None, "flags": [], "mode": "sync"},
            {"name": "count", "description": "Counts visits of a page.", "flags": [], "mode": "async_local"},
            {"name": "total", "description": "All visits.", "flags": ["no-writes"], "mode": "async_local"}]},
    ]
    assert list(libraries(r)) == ["b", "shop"]
    assert list(libraries(r, "LIBRARYNAME", "s*")) == ["shop"]
    assert list(libraries(r, "libraryname", "none")) == []
    assert libraries(r, "WITHCODE", "LIBRARYNAME", "shop")["shop"]["library_code"] == COUNT
    for words, text in ((("WHAT",), "Unknown argument WHAT"), (("WITHCODE", "WITHCODE"), "Unknown argument WITHCODE"),
                        (("LIBRARYNAME",), "library name argument was not given")):
        with pytest.raises(redis.ResponseError, match=text):
            libraries(r, *words)
    counts = as_map(as_map(as_map(r.execute_command("RG.FUNCTION", "STATS"))["engines"])["PYTHON"])
    assert counts == {"libraries_count": 2, "functions_count": 4}
    fcall(r, "total", 1, "x")
    fcall_error(r, "count", 1, "x", "y")
    assert (stats(r)["total"]["calls"], stats(r)["total"]["failures"]) == (1, 0)
    assert (stats(r)["count"]["calls"], stats(r)["count"]["failures"]) == (1, 1)


REFUSED = [
    ("", "ERR Missing library metadata, the first line must be '#!python name=<library>'"),
    ("x = 1", "ERR Missing library metadata, the first line must be '#!python name=<library>'"),
    ("#!lua name=a\n", "ERR Engine 'lua' not found, expected python"),
    ("#!python\n", "ERR Library name was not given"),
    ("#!python name=a-b\n", "ERR Library names can only contain letters, numbers, or underscores"),
    ("#!python name=a color=red\n", "ERR Invalid metadata value given: color=red, expected name, isolation, timeout, maxmemory or requirement"),
    ("#!python name=a isolation=none\n", "isolation=none, expected subinterpreter or shared"),
    ("#!python name=a timeout=soon\n", "timeout=soon, expected a number of milliseconds"),
    ("#!python name=a maxmemory=much\n", "maxmemory=much, expected a number of bytes"),
    ("#!python name=a\nx = 1", "ERR No functions registered"),
    ("#!python name=a\nx = ", "ERR Error registering functions: .*SyntaxError"),
    ("#!python name=a\nimport time\ntime.x", "ERR Error registering functions: .*AttributeError"),
    ("#!python name=a\nexecute('SET', 'a', 1)", "the body of a library can not use the server"),
    ("#!python name=a\nGB().run()", "the body of a library can not use the server"),
    ("#!python name=a\nGB().register('*')", "nothing can be registered here"),
    ("#!python name=a\nwith atomic(): pass", "the body of a library can not use the server"),
]

REFUSED_DECLARATIONS = [
    ("@rg.function\nclass A: pass", "function argument must be a function"),
    ("@rg.function\ndef f(a): pass", "function f must take two arguments, keys and args"),
    ("@rg.function\ndef f(a, b, c): pass", "function f must take two arguments"),
    ("@rg.function\ndef f(a, b, *, c): pass", "function f must take two arguments"),
    ("@rg.function\nasync def f(a, b): yield", "function f must return a value: it can be no generator"),
    ("@rg.function(mode='sync')\nasync def f(a, b): pass", "function f of mode sync is atomic: it can be no coroutine"),
    ("@rg.function\ndef f(a, b): yield", "function f must return a value: it can be no generator"),
    ("@rg.function(name=1)\ndef f(a, b): pass", "function name must be a string"),
    ("@rg.function(name='a b')\ndef f(a, b): pass", "Function names can only contain letters"),
    ("@rg.function(readonly=1)\ndef f(a, b): pass", "readonly is not boolean"),
    ("@rg.function(mode='now')\ndef f(a, b): pass", "unknown mode of function f, expected one of async_local, sync"),
    ("@rg.function(description=1)\ndef f(a, b): pass", "function description must be a string"),
    ("@rg.function(what=1)\ndef f(a, b): pass", "unexpected keyword argument 'what'"),
    ("@rg.function\ndef f(a, b): pass\n@rg.function\ndef f(a, b): pass", "Function f already exists in the library"),
]


def test_what_is_refused_leaves_nothing(r):
    load(r, COUNT)
    refused = REFUSED + [(f"#!python name=a\n{text}", error) for text, error in REFUSED_DECLARATIONS]
    for text, error in refused:
        load_error(r, error, text)
        # And in the place of another library, which stays.
        if text.startswith("#!python name=a"):
            load_error(r, error, "REPLACE", text.replace("name=a", "name=shop"))
    load_error(r, "ERR Library 'shop' already exists", COUNT)
    load_error(r, "ERR Function 'both' already exists", COUNT.replace("name=shop", "name=other"))
    load_error(r, "ERR Unknown option given: ALWAYS", "ALWAYS", COUNT)
    assert fcall(r, "count", 1, "visits", 1) == 1
    assert list(libraries(r)) == ["shop"]
    wait_until(lambda: len(library_interpreters(r)) == 1, what="only the library's interpreter")


def test_functions_are_for_libraries(r):
    with pytest.raises(redis.ResponseError, match="functions can only be declared by a library, see RG.FUNCTION LOAD"):
        r.execute_command("RG.PYEXECUTE", "@rg.function\ndef f(keys, args): pass")
    # Nor can a function declare another one later.
    load(r, source("lib", "@rg.function\ndef f(keys, args):\n    rg.function(lambda a, b: 1, name='g')"))
    assert "functions can only be declared by the body of a library" in fcall_error(r, "f")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_replace_and_delete_leave_no_interpreter(r, isolation):
    def version(number):
        return source(f"lib isolation={isolation}", f"@rg.function\ndef f(keys, args):\n    return {number}\n"
                      f"@rg.function\ndef only_{number}(keys, args): pass")

    for number in range(5):
        load(r, version(number), "REPLACE")
        assert fcall(r, "f") == number
    assert "Function not found" in fcall_error(r, "only_3")
    alive = 1 if isolation == "subinterpreter" else 0
    wait_until(lambda: len(library_interpreters(r)) == alive, what="the replaced ones are gone")
    assert r.execute_command("RG.FUNCTION", "DELETE", "lib") == b"OK"
    wait_until(lambda: library_interpreters(r) == [])
    assert "Function not found" in fcall_error(r, "f")
    for name in ("lib", b"\xff", ""):
        with pytest.raises(redis.ResponseError, match="^Library not found$"):
            r.execute_command("RG.FUNCTION", "DELETE", name)
    for number in range(3):
        load(r, source(f"lib{number}", f"@rg.function\ndef f{number}(keys, args): pass"))
    assert r.execute_command("RG.FUNCTION", "FLUSH") == b"OK"
    assert libraries(r) == {}
    wait_freed(r)


def test_a_call_ends_in_the_library_that_it_began_in(server, r):
    load(r, source("lib", """
import time
@rg.function
def f(keys, args):
    execute('SET', 'begun', 1)
    while execute('GET', 'go') is None:
        time.sleep(0.01)
    return 'old'
"""))
    with in_background(lambda: fcall(server.client(), "f")) as old:
        wait_until(lambda: r.get("begun"))
        load(r, source("lib", "@rg.function\ndef f(keys, args):\n    return 'new'"), "REPLACE")
        assert fcall(r, "f") == b"new"
        assert len(library_interpreters(r)) == 2
        r.set("go", 1)
    assert old["value"] == b"old"
    wait_until(lambda: len(library_interpreters(r)) == 1)


def test_flushall_and_script_flush_keep_libraries(r):
    load(r, COUNT)
    r.flushall()
    r.script_flush()
    r.function_flush()
    assert fcall(r, "count", 1, "visits", 2) == 2


def test_dump_and_restore(r):
    load(r, COUNT)
    load(r, source("b isolation=shared timeout=500", "@rg.function\ndef f(keys, args):\n    return 'dumped'"))
    payload = r.execute_command("RG.FUNCTION", "DUMP")
    shown = libraries(r, "WITHCODE")

    def restore(*words):
        return r.execute_command("RG.FUNCTION", "RESTORE", payload, *words)

    with pytest.raises(redis.ResponseError, match="^Library 'b' already exists$"):
        restore()
    load(r, source("b", "@rg.function\ndef f(keys, args):\n    return 'newer'"), "REPLACE")
    load(r, source("c", "@rg.function\ndef g(keys, args): pass"))
    assert restore("REPLACE") == b"OK"
    assert fcall(r, "f") == b"dumped" and list(libraries(r)) == ["b", "c", "shop"]
    assert restore("flush") == b"OK"
    assert libraries(r, "WITHCODE") == shown
    r.execute_command("RG.FUNCTION", "DELETE", "b")
    load(r, source("c", "@rg.function\ndef f(keys, args): pass"))
    # All or nothing: shop would be new.
    r.execute_command("RG.FUNCTION", "DELETE", "shop")
    with pytest.raises(redis.ResponseError, match="^Function 'f' already exists$"):
        restore("APPEND")
    assert list(libraries(r)) == ["c"]
    r.execute_command("RG.FUNCTION", "FLUSH")
    assert in_multi(r, "RG.FUNCTION", "RESTORE", payload) == b"OK"
    assert libraries(r, "WITHCODE") == shown
    for bad in (b"", b"what", payload[:-1], payload + b"x"):
        with pytest.raises(redis.ResponseError, match="^DUMP payload version or checksum are wrong$"):
            r.execute_command("RG.FUNCTION", "RESTORE", bad, "REPLACE")
    with pytest.raises(redis.ResponseError, match="^Wrong restore policy given, value should be either FLUSH"):
        restore("WHAT")


def test_header():
    assert header("a").startswith("#!python name=a\n")


# --- keys and rights ------------------------------------------------------------------------------------------


def test_keys_are_found(r):
    def keys(*words):
        return plain(r.execute_command("COMMAND GETKEYS", *words))

    def flags(*words):
        ((key, flags),) = plain(r.execute_command("COMMAND GETKEYSANDFLAGS", *words))
        assert key == "a"
        return set(flags)

    assert keys("RG.FCALL", "f", 2, "a", "b", "c") == ["a", "b"]
    assert keys("RG.FCALL_RO", "f", 1, "a", "b") == ["a"]
    assert keys("RG.FCALL", "f", 0, "a") == []
    assert flags("RG.FCALL_RO", "f", 1, "a") == {"RO", "access"}
    assert flags("RG.FCALL", "f", 1, "a") == {"RW", "access", "update"}


def test_acl(server, r):
    load(r, COUNT)
    r.acl_setuser("caller", enabled=True, passwords=["+x"], reset=True, commands=["+rg.fcall", "+rg.fcall_ro", "+rg.function|list"],
                  keys=["mine:*"])
    client = server.client(username="caller", password="x")
    try:
        assert fcall(client, "count", 1, "mine:a", 1) == 1
        for refused in (lambda: fcall(client, "count", 1, "theirs", 1),
                        lambda: fcall(client, "count", 2, "mine:a", "theirs", 1),
                        lambda: client.execute_command("RG.FCALL_RO", "total", 1, "theirs"),
                        lambda: client.execute_command("RG.FUNCTION", "LOAD", COUNT),
                        lambda: client.execute_command("RG.FUNCTION", "FLUSH")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()
        assert list(libraries(client)) == ["shop"]
        assert r.get("mine:a") == b"1"
    finally:
        r.acl_deluser("caller")


def test_the_internal_command_is_not_for_clients(r):
    with pytest.raises(redis.ResponseError, match="is for replicas and the AOF"):
        r.execute_command("RG._FUNCTION", "ADD", "libraries")


# --- everything at once ---------------------------------------------------------------------------------------


def test_calls_while_libraries_come_and_go(new_server):
    """Each call answers what some version of its function says, or that there is none; nothing is left over."""
    server = new_server(config=["--appendonly", "yes"])
    names = ("a", "b", "c")

    def text(name, version):
        isolation = ("subinterpreter", "shared")[version % 2]
        return source(f"{name} isolation={isolation}", f"@rg.function(readonly=True)\ndef {name}(keys, args):\n"
                      f"    return [{name!r}, {version}, args[0]]\n")

    stopped = threading.Event()
    answers = []

    def call(seed):
        client, chance = server.client(), random.Random(seed)
        while not stopped.is_set():
            name, word = chance.choice(names), str(chance.random())
            words = (chance.choice(("RG.FCALL", "RG.FCALL_RO")), name, 0, word)
            form = chance.choice((lambda: client.execute_command(*words), lambda: in_multi(client, *words),
                                  lambda: in_lua(client, *words)))
            answer = reply_or_error(form)
            if isinstance(answer, Exception):
                assert "Function not found" in str(answer), answer
            else:
                assert answer[0] == name.encode() and answer[2] == word.encode(), answer
                answers.append(answer[1])

    def change(seed):
        client, chance = server.client(), random.Random(seed)
        version = 0
        while not stopped.is_set():
            name = chance.choice(names)
            version += 1
            what = chance.random()
            if what < 0.8:
                load(client, text(name, version), "REPLACE")
            elif what < 0.9:
                reply_or_error(lambda: client.execute_command("RG.FUNCTION", "DELETE", name))
            elif what < 0.95:
                payload = client.execute_command("RG.FUNCTION", "DUMP")
                client.execute_command("RG.FUNCTION", "FLUSH")
                reply_or_error(lambda: client.execute_command("RG.FUNCTION", "RESTORE", payload, "REPLACE"))
            else:
                reply_or_error(lambda: client.bgsave())

    with contextlib.ExitStack() as stack:
        for seed in range(4):
            stack.enter_context(in_background(call, seed))
        for seed in range(2):
            stack.enter_context(in_background(change, seed))
        stack.callback(stopped.set)
        time.sleep(4)
    assert len(set(answers)) > 5
    client = server.client()
    for version, name in enumerate(names):
        load(client, text(name, 2 * version), "REPLACE")
    wait_until(lambda: len(library_interpreters(client)) == 3, what="one interpreter for each")
    server.kill()
    server.start()
    assert [fcall(server.client(), name, 0, "x")[1] for name in names] == [0, 2, 4]
