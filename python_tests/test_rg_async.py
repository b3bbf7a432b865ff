"""Coroutines and futures: in every step, in every mode, and what becomes of them when nobody waits any more."""

import pathlib
import threading
import time

import pytest
import redis

from gears import at_most, background, error, executions, interpreters, results, run, script, value, wait_done, wait_freed
from helpers import in_lane, in_lua, in_multi, reply_or_error, wait_until
from registrations import ids, register, stats, unregister_all, wait_ended

#: A coroutine that really waits, and longer for earlier records.
SLOW = "import asyncio\nasync def slow(x):\n    await asyncio.sleep(0.002 * (6 - x))\n    return {value}\n"


@pytest.fixture(autouse=True)
def none_left(r):
    yield
    unregister_all(r)
    wait_freed(r)
    wait_until(lambda: r.execute_command("RG.PYDUMPSESSIONS") == [], what="no session left")


# -- steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, steps, found",
    [
        ("x * 2", ".map(slow)", ["0", "2", "4", "6", "8"]),
        ("x % 2", ".filter(slow)", ["1", "3"]),
        ("execute('INCR', 'seen')", ".foreach(slow)", ["0", "1", "2", "3", "4"]),
        ("[x, x]", ".flatmap(slow)", ["0", "0", "1", "1", "2", "2", "3", "3", "4", "4"]),
        ("x", ".map(slow).map(slow).filter(slow)", ["1", "2", "3", "4"]),
        ("x", ".map(slow).limit(2, 1)", ["1", "2"]),
        ("x", ".map(slow).count()", ["5"]),
    ],
)
@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
def test_a_step_may_be_a_coroutine_and_order_stays(r, body, steps, found, isolation):
    source = script(SLOW.format(value=body), "range(5)", steps)
    assert [text.decode() for text in results(r, source, "ISOLATION", isolation)] == found


def test_reducers_may_be_coroutines(r):
    setup = "import asyncio\nasync def add(*a):\n    await asyncio.sleep(0.001)\n    return (a[-2] or 0) + a[-1]\n"
    assert results(r, script(setup, "range(5)", ".accumulate(add)")) == [b"10"]
    grouped = results(r, script(setup, "range(5)", ".groupby(lambda x: str(x % 2), add).map(lambda g: (g['key'], g['value'])).sort()"))
    assert grouped == [b"('0', 6)", b"('1', 4)"]
    grouped = results(r, script(setup, "range(5)", ".localgroupby(lambda x: 'all', add).map(lambda g: g['value'])"))
    assert grouped == [b"10"]


@pytest.mark.parametrize("steps, text", [(".groupby(f, lambda k, a, r: 1)", "extractor"), (".batchgroupby(lambda x: x, g)", "reduce")])
def test_where_coroutines_are_refused(r, steps, text):
    setup = "async def f(x): return x\nasync def g(k, r): return k\n"
    found, errors = run(r, script(setup, "[1]", steps))
    assert found == [] and text in errors[0].decode()


def test_what_a_coroutine_raises_is_its_text(r):
    setup = "async def f(x):\n    if x == 2:\n        raise ValueError('no two')\n    return x\n"
    found, errors = run(r, script(setup, "range(2000)", ".map(f)"))
    assert errors == [b"no two"]
    assert found[:2] == [b"0", b"1"] and len(found) < 2000


def test_many_records_wait_at_once_but_not_all(r):
    setup = """
import asyncio
now = most = 0
async def f(x):
    global now, most
    now += 1
    most = max(most, now)
    await asyncio.sleep(0.02)
    now -= 1
    return most
"""
    most = max(int(n) for n in results(r, script(setup, "range(3000)", ".map(f)")))
    assert 100 < most <= 1000


def test_execute_and_atomic_in_a_coroutine(r):
    setup = """
async def f(x):
    with atomic():
        before = execute('INCR', 'n')
        after = execute('INCR', 'n')
    return after - before
async def g(x):
    with atomic():
        await asyncio.sleep(0)
"""
    assert results(r, script(setup, "range(3)", ".map(f)")) == [b"1"] * 3
    assert run(r, script(setup, "range(1)", ".map(g)"))[1] == [b"await is not allow inside atomic block"]
    assert r.set("free", 1)


def test_awaiting_an_execution(r):
    setup = """
async def f(x):
    found, errors = await GB('PythonReader').map(lambda y: y + 1).run(numbers, convertToStr=False)
    return [found, errors]
def numbers():
    yield 1
    yield 2
"""
    assert results(r, script(setup, "[0]", ".map(f)")) == [b"[[2, 3], []]"]
    wait_until(lambda: executions(r) == {})


def test_is_async_allow(server, r):
    assert value(r, "isAsyncAllow()") is True
    assert results(r, script("async def f(x): return isAsyncAllow()", "[1]", ".map(f)")) == [b"False"]
    source = "GB('CommandReader').map(lambda w: isAsyncAllow()).register(trigger='allowed', mode='{0}')"
    register(r, source.format("sync"))
    assert r.execute_command("RG.TRIGGER", "allowed") == [b"True"]
    assert in_multi(r, "RG.TRIGGER", "allowed") == [b"False"]


# -- futures ---------------------------------------------------------------------------------------

LATER = """
from threading import Thread
import time
def later(function, *args):
    def body():
        time.sleep(0.02)
        function(*args)
    Thread(target=body).start()
"""


@pytest.mark.parametrize(
    "step, found",
    [
        (".map(f)", [b"7", b"7"]),
        (".filter(f)", [b"0", b"1"]),
        (".foreach(f)", [b"0", b"1"]),
        (".accumulate(lambda a, x: f(x))", [b"7"]),
    ],
)
def test_a_future_lets_its_record_go_on(r, step, found):
    setup = LATER + "def f(x):\n    future = gearsFuture()\n    later(future.continueRun, 7)\n    return future\n"
    assert results(r, script(setup, "range(2)", step)) == found


def test_a_future_that_fails_or_is_forgotten(r):
    setup = LATER + "def f(x):\n    future = gearsFuture()\n    later(future.continueFailed, 'not today')\n    return future\n"
    assert run(r, script(setup, "[1]", ".map(f)")) == ([], [b"not today"])
    forgotten = script("def f(x): return gearsFuture()", "[1]", ".map(f)")
    assert run(r, forgotten) == ([], [b"Async record did not called continue"])


@pytest.mark.parametrize(
    "body, text",
    [
        ("gearsFuture(1)", "Future gets no arguments"),
        ("(gearsFuture(), gearsFuture())", "Can not create async record twice on the same step"),
        ("gearsFuture().continueRun()", "Continue function expect an object"),
        ("[f.continueRun(1) for f in [gearsFuture()] * 2]", "Can not continue with the same future twice"),
    ],
)
def test_wrong_uses_of_futures(r, body, text):
    _, errors = run(r, script(f"def f(x):\n    return {body}\n", "[1]", ".map(f)"))
    assert text in errors[0].decode()


def test_futures_belong_to_steps_that_can_wait(r):
    assert "Future object can only be created inside certain execution steps" in error(r, "gearsFuture()")
    _, errors = run(r, script(steps=".repartition(lambda x: gearsFuture())"))
    assert "Step does not support async" in errors[0].decode()


def test_a_future_that_is_not_returned(r):
    assert results(r, script("def f(x):\n    gearsFuture()\n    return 3\n", "[1]", ".map(f)")) == [b"3"]
    assert results(r, script("def f(a, x):\n    gearsFuture()\n    return 3\n", "[1]", ".accumulate(f)")) == [b"None"]


def test_a_future_of_the_loop(r):
    setup = LATER + """
async def f(x):
    future, other = createFuture(), createFuture()
    later(setFutureResults, future, 'there')
    later(setFutureException, other, 'not there')
    try:
        await other
    except Exception as error:
        return [await future, str(error)]
"""
    assert results(r, script(setup, "[1]", ".map(f)")) == [b"['there', 'not there']"]


# -- coroutines beside the script --------------------------------------------------------------------


def test_a_coroutine_that_runs_by_itself(r):
    source = "async def f(x):\n    return execute('INCR', x)\nrunCoroutine(f('soon'))\nrunCoroutine(f('later'), None, 0.3)\n"
    assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    wait_until(lambda: r.get("soon") == b"1")
    assert r.get("later") is None and len(executions(r)) == 1
    wait_until(lambda: r.get("later") == b"1")
    wait_until(lambda: executions(r) == {})


def test_its_future_and_its_abort(r):
    setup = "async def g():\n    return 5\nasync def f(x):\n    future = createFuture()\n    runCoroutine(g(), future)\n    return await future\n"
    assert results(r, script(setup, "[1]", ".map(f)")) == [b"5"]
    assert r.execute_command("RG.PYEXECUTE", "import asyncio\nrunCoroutine(asyncio.sleep(1000))") == b"OK"
    (one,) = executions(r)
    assert r.execute_command("RG.ABORTEXECUTION", one) == b"OK"
    wait_until(lambda: executions(r) == {})


# -- registrations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "async_local", "sync"])
@pytest.mark.parametrize("lane", ["pooled", "safemode", "resp3"])
def test_a_trigger_that_waits(server, r, mode, lane):
    register(r, SLOW.format(value="execute('INCR', 'n')").replace("(x)", "(x, *_)").replace("6 - x", "6") +
             f"GB('CommandReader').map(slow).map(lambda n: n + 1).register(trigger='t', mode='{mode}', convertToStr=False)")
    assert in_lane(server, lane, "RG.TRIGGER", "t") == [2]
    assert stats(r)["numSuccess"] == 1 and executions(r) == {}


@pytest.mark.parametrize("inside", [in_multi, in_lua])
def test_where_nobody_can_wait(r, inside):
    register(r, "async def f(w): return 1\nGB('CommandReader').map(f).register(trigger='t', mode='sync')")
    assert "Creating async record is not allowed" in str(inside(r, "RG.TRIGGER", "t"))
    assert r.execute_command("RG.TRIGGER", "t") == [b"1"]


def test_events_wait_for_each_other(r):
    source = """
import asyncio
async def f(record):
    await asyncio.sleep(0.05 if record['key'] == 'e:0' else 0)
    execute('RPUSH', 'log', record['key'])
GB('KeysReader').foreach(f).register('e:*', mode='async')
"""
    register(r, source)
    for n in range(5):
        r.set(f"e:{n}", 1)
    assert wait_ended(r, 5)["numSuccess"] == 5
    assert r.lrange("log", 0, -1) == [b"e:0", b"e:1", b"e:2", b"e:3", b"e:4"]


def test_a_sync_event_goes_on_in_the_background(r):
    register(r, SLOW.format(value="execute('SET', 'seen', x)").replace("6 - x", "6") +
             "GB('KeysReader').map(lambda r: r['key']).foreach(slow).register('e:*', mode='sync')")
    with r.pipeline(transaction=True) as pipe:
        pipe.set("e:1", 1)
        assert pipe.execute() == [True]
    wait_until(lambda: r.get("seen") == b"e:1")
    assert wait_ended(r, 1)["numSuccess"] == 1


def test_calls_that_wait_do_not_take_the_workers(server, r):
    register(r, "import asyncio\nasync def f(w):\n    await asyncio.sleep(0.3)\n    return 1\nGB('CommandReader').map(f).register(trigger='t')")
    clients = [server.client() for _ in range(40)]
    calls = [threading.Thread(target=client.execute_command, args=("RG.TRIGGER", "t")) for client in clients]
    with at_most(8):
        for call in calls:
            call.start()
        # Sleeping one after the other on the workers would take three seconds and more.
        assert results(r, script()) == [b"1"]
        for call in calls:
            call.join(20)
    assert stats(r)["numSuccess"] == 40


def test_overriding_the_reply(r):
    source = """
import asyncio
async def f(words):
    override_reply(words[1])
    await asyncio.sleep(0)
    return 1
def twice(words):
    override_reply([1, 2])
    override_reply(3)
GB('CommandReader').map(f).register(trigger='t')
GB('CommandReader').map(twice).register(trigger='twice')
"""
    register(r, source)
    assert r.execute_command("RG.TRIGGER", "t", "mine") == b"mine"
    assert r.execute_command("RG.TRIGGER", "t", "+FINE") == b"FINE"
    with pytest.raises(redis.ResponseError, match="^broken$"):
        r.execute_command("RG.TRIGGER", "t", "-broken")
    assert r.execute_command("RG.TRIGGER", "twice") == [1, 2]
    assert "Can only override reply once" in stats(r, ids(r)[1])["lastError"]
    assert "Can not get command ctx" in error(r, "override_reply(1)")


# -- the end -----------------------------------------------------------------------------------------

ENDLESS = {
    "waits": "await asyncio.sleep(1000)",
    "spins": "while True: pass",
    "spins and swallows": "while True:\n        try:\n            pass\n        except BaseException:\n            pass",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_an_execution_that_waits_can_be_aborted(r, body):
    execution = background(r, script(f"import asyncio\nasync def f(x):\n    {body}\n", "range(3)", ".map(f)"))
    time.sleep(0.1)
    assert executions(r)[execution][0] == "running"
    assert r.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    wait_done(r, execution)
    (found, errors) = r.execute_command("RG.GETRESULTS", execution)
    assert found == [] and b"aborted" in errors[0]
    r.execute_command("RG.DROPEXECUTION", execution)


def test_a_time_limit_holds_for_waiting_too(r):
    source = script("import asyncio\nasync def f(x):\n    await asyncio.sleep(1000)\n", "[1]", ".map(f)")
    with at_most(10):
        assert "time limit reached" in str(run_or_error(r, source, "TIMEOUT", 200))


def run_or_error(client, source, *options):
    try:
        return run(client, source, *options)
    except redis.RedisError as refused:
        return refused


def test_a_client_that_goes_away_ends_its_execution(server, r):
    source = script("import asyncio\nasync def f(x):\n    await asyncio.sleep(1000)\n", "[1]", ".map(f)")
    other = server.client()
    thread = threading.Thread(target=lambda: run_or_error(other, source), daemon=True)
    thread.start()
    wait_until(lambda: executions(r))
    r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: executions(r) == {})


def test_sessions_have_loops_of_their_own(new_server):
    """Also where their threads began in the same way: the C part of asyncio is one for all interpreters before Python 3.12."""
    r = new_server().client()
    for number in range(5):
        register(r, f"""
import asyncio
async def wait(words):
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(3)))
    future = asyncio.Future()
    loop.call_later(0.01, future.set_result, words[1])
    return await future + str(asyncio.get_running_loop() is loop) + str(len(asyncio.all_tasks()))
async def quick(words):
    return words[1]
def own(words):
    # A loop on the thread of the step.
    return asyncio.run(wait(words))
GB('CommandReader').map(wait).register(trigger='wait{number}')
GB('CommandReader').map(quick).register(trigger='quick{number}')
GB('CommandReader').map(own).register(trigger='own{number}')""")
    for number in range(5):
        assert r.execute_command("RG.TRIGGER", f"quick{number}", "x") == [b"x"]
    calls = [(f"{kind}{number}", f"{number}") for _ in range(5) for number in range(5) for kind in ("wait", "own")]
    clients = [r.client() for _ in calls]
    for client, call in zip(clients, calls):
        client.connection.send_command("RG.TRIGGER", *call)
    replies = [client.connection.read_response() for client in clients]
    # How many tasks there are depends on the other calls.
    assert [reply[0].rstrip(b"0123456789") for reply in replies] == [f"{text}True".encode() for _, text in calls]
    for client in clients:
        client.close()


def test_loops_start_after_others_have_ended(new_server):
    """The C part of asyncio before Python 3.12 keeps what belongs to the first interpreter that imports it."""
    r = new_server().client()
    for number in range(4):
        register(r, "import asyncio\nasync def go(words):\n    for _ in range(5):\n        await asyncio.sleep(0.01)\n    return words[1]\n"
                    "GB('CommandReader').map(go).register(trigger='go', mode='sync')", "ID", "mine", "UPGRADE")
        with at_most(20):
            assert r.execute_command("RG.TRIGGER", "go", number) == [str(number).encode()]
        wait_until(lambda: sum(entry["state"] not in ("warm", "idle") for entry in interpreters(r)) == 1, what="the old interpreter ended")


@pytest.mark.parametrize("limit", ["2mb", "3mb", "4mb", "6mb", "8mb"])
def test_a_loop_that_can_not_start_for_want_of_memory_is_an_error(r, limit):
    source = script("async def f(x):\n    return x + 1", steps=".map(f)")
    with at_most(30):
        try:
            found, errors = run(r, source, "MAXMEMORY", limit)
        except redis.ResponseError as refused:
            found, errors = [], [str(refused).encode()]
    assert found == [b"2"] or b"MemoryError" in errors[0], (found, errors)
    # Others have theirs.
    assert results(r, source) == [b"2"]


def test_a_loop_that_is_ended_begins_anew(r):
    register(r, """
import asyncio
def leave():
    raise SystemExit
async def end(words):
    asyncio.get_running_loop().call_soon(leave)
    await asyncio.sleep(1000)
async def go(words):
    await asyncio.sleep(0)
    return words[1]
GB('CommandReader').map(end).register(trigger='end')
GB('CommandReader').map(go).register(trigger='go')""")
    for _ in range(3):
        # A call at the very moment at which the loop ends has an error too.
        wait_until(lambda: reply_or_error(lambda: r.execute_command("RG.TRIGGER", "go", "on")) == [b"on"], what="a loop")
        with pytest.raises(redis.ResponseError):
            r.execute_command("RG.TRIGGER", "end")
        wait_until(lambda: not executions(r), what="the execution gone")


def test_the_loop_ends_with_its_interpreter(server, r):
    def loops():
        names = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm")
        return sum(name.read_text().strip() == "py-loop" for name in names)

    before = loops()
    for _ in range(5):
        assert results(r, script("async def f(x): return x", "[1]", ".map(f)")) == [b"1"]
    register(r, "import asyncio\nasync def f(w):\n    asyncio.create_task(asyncio.sleep(1000))\n    return 1\nGB('CommandReader').map(f).register(trigger='t')")
    assert r.execute_command("RG.TRIGGER", "t") == [b"1"]
    assert loops() >= before + 1
    assert sum(entry["state"] == "in use" and entry["isolation"] != "shared" for entry in interpreters(r)) == 1
    unregister_all(r)
    wait_freed(r)
    wait_until(lambda: loops() == before, what="the loops' threads ended")
