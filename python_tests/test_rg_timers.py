"""Timers: registerTE in memory and as a key; what starts, stops and keeps them."""

import time

import pytest
import redis

from gears import busy_interpreters, error, executions, interpreters, value, wait_freed
from helpers import PingWatch, config, in_background, in_lane, plain, wait_until
from registrations import ids, owned, register, sessions, unregister_all

#: Callbacks come a few times a second: tests are short, and a busy machine has time enough.
PERIOD = 0.05

ISOLATIONS = ["subinterpreter", "shared"]


@pytest.fixture(autouse=True)
def no_timers(r):
    """A test of the shared server begins and ends without timers and sessions."""

    def clear():
        unregister_all(r)
        r.flushall()
        for session in sessions(r):
            r.execute_command("RG.ABORTEXECUTION", session)
        wait_until(lambda: timers(r) == 0)
        wait_freed(r)

    clear()
    yield
    clear()


def te(body, key=None, period=PERIOD, before=""):
    """A script whose timer runs `body`, some lines."""
    lines = "\n".join("    " + line for line in body.splitlines())
    return f"{before}\ndef tick():\n{lines}\nregisterTE({period}, tick{'' if key is None else f', key={key!r}'})\n"


def timers(client):
    figures = plain(client.execute_command("IL.STATS"))
    return int(dict(zip(figures[::2], figures[1::2]))["timers"])


def number(client, key="n"):
    return int(client.get(key) or 0)


def wait_calls(client, count=2, key="n", seconds=15):
    """Waits until the timer has been called so many times more."""
    wanted = number(client, key) + count
    wait_until(lambda: number(client, key) >= wanted, seconds, what=f"{count} calls more")


def wait_stopped(client, key="n"):
    """Waits until the calls of a timer have ceased: none in many periods."""

    def ceased():
        before = number(client, key)
        time.sleep(10 * PERIOD)
        return number(client, key) == before

    wait_until(ceased, what="no more calls")


# --- calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("key", [None, "timer"])
def test_a_timer_calls_again_and_again(r, isolation, key):
    register(r, te("execute('INCR', 'n')", key), "ID", "mine", "ISOLATION", isolation)
    wait_calls(r, 3)
    assert timers(r) == 1 and list(sessions(r)) == ["mine"]
    # The session and its interpreter live while the timer does.
    assert owned(r) == (isolation == "subinterpreter")
    assert any(int(entry["owners"]) > 0 for entry in interpreters(r))
    r.execute_command("RG.ABORTEXECUTION", "mine") if key is None else r.delete(key)
    wait_stopped(r)
    wait_until(lambda: not sessions(r) and timers(r) == 0)
    wait_freed(r)


def test_the_period_of_whole_seconds_passes_before_the_first_call(r):
    start = time.monotonic()
    register(r, te("execute('INCR', 'n')", period=1))
    assert number(r) == 0
    wait_calls(r, 1)
    assert time.monotonic() - start >= 1


def test_the_module_has_it_too(r):
    register(r, "redisgears.registerTimeEvent(0.05, lambda: execute('INCR', 'n'), 'k')\n"
                "import redisgears as other\nother.registerTimeEvent(0.05, lambda: execute('INCR', 'm'))")
    wait_calls(r, 1)
    wait_calls(r, 1, "m")


def test_it_returns_whether_the_timer_was_made(r):
    r.set("there", 1)
    register(r, """
def nothing(): pass
made = [registerTE(100, nothing), registerTE(100, nothing, 'a'), registerTE(100, nothing, 'a'),
        registerTE(100, nothing, key='there'), registerTE(period_seconds=100, callback=nothing, key=None)]
execute('SET', 'made', repr(made))""")
    assert r.get("made") == b"[True, True, False, False, True]"
    assert timers(r) == 3 and r.get("there") == b"1"
    register(r, "execute('SET', 'made', repr(registerTE(100, lambda: None, 'a')))")
    assert r.get("made") == b"False" and timers(r) == 3


@pytest.mark.parametrize("arguments, text", [
    ("", "not enough arguments for time event"),
    ("1", "not enough arguments for time event"),
    ("1, 'f'", "callback must be a function"),
    ("1, len", "callback must be a function"),
    ("'1', lambda: 1", "time argument must be a long"),
    ("True, lambda: 1", "time argument must be a long"),
    ("0, lambda: 1", "time argument must be more than 0"),
    ("-1, lambda: 1", "time argument must be more than 0"),
    ("float('nan'), lambda: 1", "time argument must be more than 0"),
    ("10**12, lambda: 1", "at most 1000000000 seconds, not 1000000000000"),
    ("1, lambda: 1, 7", "key argument must be a string"),
    ("1, lambda x: 1", "callback must take no arguments"),
    ("1, lambda *, x: 1", "callback must take no arguments"),
    ("1, lambda: (yield)", "callback must not be a generator"),
])
def test_wrong_arguments(r, arguments, text):
    assert text in error(r, f"registerTE({arguments})")
    assert timers(r) == 0


def test_a_thread_of_the_script_can_not(r):
    found = error(r, """
from threading import Thread
said = []
def ask():
    try:
        registerTE(1, lambda: 1)
    except redisgears.GearsError as refused:
        said.append(str(refused))
thread = Thread(target=ask)
thread.start()
thread.join()
flat_error(said[0])""")
    assert found == "can not create time event on a python created thread"


def test_while_an_upgrade_runs_the_old_session_is_in_force(server, r):
    register(r, "GB('CommandReader').map(lambda words: registerTE(0.05, lambda: execute('INCR', 'n'))).register(trigger='start')\n"
             + te("pass", "timer", 100), "ID", "mine")
    with in_background(server.client().execute_command, "RG.PYEXECUTE", "import time\ntime.sleep(1)", "ID", "mine", "UPGRADE"):
        wait_until(lambda: len(busy_interpreters(r)) == 2)
        # Until it has succeeded the old session is the one in force.
        assert r.execute_command("RG.TRIGGER", "start") == [b"True"]
        assert r.copy("timer", "copied")
        wait_calls(r)
        assert timers(r) == 3
    wait_stopped(r)
    assert (timers(r), r.exists("timer", "copied")) == (0, 0)


def test_a_callback_can_do_what_a_step_can(r):
    r.mset({"a": 1, "b": 2})
    register(r, te("""
with atomic():
    execute('INCR', 'n')
    assert isInAtomicBlock()
GB().foreach(lambda x: execute('SADD', 'seen', x['key'])).run('[ab]')
log('tick')"""))
    wait_calls(r, 2)
    wait_until(lambda: r.smembers("seen") == {b"a", b"b"})


def test_a_callback_may_be_a_coroutine(r):
    register(r, te("""
import asyncio
async def later():
    await asyncio.sleep(0.01)
    execute('INCR', 'n')
return later()""") + "async def other():\n    execute('INCR', 'm')\nregisterTE(0.05, other)")
    wait_calls(r, 3)
    wait_calls(r, 3, "m")


def test_it_never_overlaps_itself_and_is_listed_while_it_runs(r):
    register(r, te("""
import time
execute('INCR', 'inside')
execute('APPEND', 'log', execute('GET', 'inside'))
time.sleep(0.2)
execute('DECR', 'inside')
execute('INCR', 'n')""", period=0.01))
    wait_until(lambda: [status for status, registered in executions(r).values()] == ["running"])
    wait_calls(r, 3)
    assert set(r.get("log").decode()) == {"1"}
    # One at a time, and none is kept when it has ended.
    assert len(executions(r)) <= 1


def test_nobody_waits_for_a_callback(server, r):
    with PingWatch(server) as watch:
        register(r, te("sum(range(3_000_000))\nexecute('INCR', 'n')", period=0.01))
        wait_calls(r, 2, seconds=30)
    assert watch.percentile(50) < 0.2


# --- the end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "timer"])
@pytest.mark.parametrize("how", ["raise ValueError('enough')", "import asyncio\nasync def f():\n    raise ValueError('enough')\nreturn f()"])
def test_an_exception_stops_it_for_ever(server, r, key, how):
    register(r, te(f"if execute('INCR', 'n') == 3:\n" + "\n".join("    " + line for line in how.splitlines()), key),
             "ID", "mine")
    wait_until(lambda: timers(r) == 0)
    wait_stopped(r)
    assert number(r) == 3
    assert r.exists("timer") == 0
    name = "of session mine" if key is None else "timer"
    wait_until(lambda: f"GEARS: timer {name} has failed and ends: " in server.log() and "enough" in server.log())
    wait_until(lambda: not sessions(r))
    wait_freed(r)


def test_a_call_has_the_time_limit_of_its_session(server, r):
    register(r, te("execute('INCR', 'n')\nwhile True: pass"), "TIMEOUT", 200)
    wait_until(lambda: timers(r) == 0)
    assert number(r) == 1
    wait_until(lambda: "time limit reached" in server.new_log())


def test_aborting_a_call_stops_its_timer(r):
    register(r, te("execute('INCR', 'n')\nwhile True: pass", "timer"))
    wait_until(lambda: number(r) == 1)
    (execution,) = executions(r)
    r.execute_command("RG.ABORTEXECUTION", execution)
    wait_until(lambda: timers(r) == 0 and not r.exists("timer"))
    assert number(r) == 1


def test_aborting_a_session_stops_its_timers_in_memory(r):
    # A call under way is stopped too, and is the last one: the other timer's first call comes later.
    register(r, te("execute('INCR', 'n')") + te("execute('INCR', 'm')", "timer", period=3), "ID", "mine")
    wait_calls(r)
    r.execute_command("RG.ABORTEXECUTION", "mine")
    wait_stopped(r)
    assert timers(r) == 1
    wait_calls(r, 1, "m")


def test_a_script_that_fails_starts_nothing(r):
    error(r, te("execute('INCR', 'n')") + te("execute('INCR', 'n')", "timer") + "GB().register('x*')\nflat_error('no')")
    assert (timers(r), ids(r), r.exists("timer")) == (0, [], 0)
    wait_freed(r)
    assert number(r) == 0


def test_nothing_starts_before_the_script_has_ended(r):
    register(r, te("execute('INCR', 'n')", period=0.01) + "import time\ntime.sleep(0.3)\nexecute('SET', 'early', execute('EXISTS', 'n'))")
    wait_calls(r)
    assert r.get("early") == b"0"


def test_a_key_that_was_taken_meanwhile_fails_the_whole_script(r):
    found = error(r, te("pass", "timer") + "GB().register('x*')\nexecute('SET', 'timer', 1)")
    assert found == "the key of a timer is there already: timer"
    assert (timers(r), ids(r), r.get("timer")) == (0, [], b"1")


@pytest.mark.parametrize("end", [
    lambda r: r.delete("timer"), lambda r: r.unlink("timer"), lambda r: r.flushall(), lambda r: r.flushdb(asynchronous=True),
    lambda r: r.set("timer", 1), lambda r: r.pexpire("timer", 1), lambda r: r.rename("timer", "timer2") and r.delete("timer2"),
    lambda r: r.eval("redis.call('DEL', 'timer')", 0) or True,
], ids=["del", "unlink", "flushall", "flushdb-async", "set", "expire", "rename", "lua"])
def test_the_end_of_its_key_stops_it(r, end):
    register(r, te("execute('INCR', 'n')", "timer"), "ID", "mine")
    wait_calls(r, 1)
    end(r)
    wait_until(lambda: timers(r) == 0 and not sessions(r))
    wait_stopped(r)
    wait_freed(r)


# --- sessions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "timer"])
@pytest.mark.parametrize("how", [("ID", "mine", "UPGRADE"), ("ID", "next", "REPLACE_WITH", "mine")])
def test_an_upgrade_ends_the_timers_of_the_old_script(r, key, how):
    register(r, te("execute('INCR', 'old')", key), "ID", "mine")
    wait_calls(r, 1, "old")
    register(r, te("execute('INCR', 'new')", key), *how)
    wait_calls(r, 2, "new")
    wait_stopped(r, "old")
    assert timers(r) == 1
    wait_until(lambda: owned(r) == 1, what="the old interpreter freed")
    # A script without timers ends them all, and their keys.
    register(r, "pass", "ID", how[1], "UPGRADE")
    wait_stopped(r, "new")
    assert (timers(r), r.exists("timer")) == (0, 0)
    wait_freed(r)


def test_an_upgrade_that_fails_leaves_the_old_timers(r):
    register(r, te("execute('INCR', 'old')", "timer"), "ID", "mine")
    with pytest.raises(redis.ResponseError):
        r.execute_command("RG.PYEXECUTE", te("execute('INCR', 'new')", "timer") + "1/0", "ID", "mine", "UPGRADE")
    wait_calls(r, 2, "old")
    assert number(r, "new") == 0 and timers(r) == 1


def test_the_id_of_a_session_with_a_timer_is_taken(r):
    register(r, te("pass"), "ID", "mine")
    with pytest.raises(redis.ResponseError, match="Session mine already exists"):
        r.execute_command("RG.PYEXECUTE", "pass", "ID", "mine")


def test_timers_and_registrations_share_globals(r):
    register(r, te("execute('SET', 'flushed', len(seen))", before="seen = []")
             + "GB('CommandReader').foreach(lambda words: seen.append(1)).register(trigger='see', mode='sync')")
    r.execute_command("RG.TRIGGER", "see")
    wait_until(lambda: r.get("flushed") == b"1")
    # Who is left keeps the session.
    for registration in ids(r):
        r.execute_command("RG.UNREGISTER", registration)
    r.delete("flushed")
    wait_until(lambda: r.get("flushed") == b"1")


def test_a_step_can_start_one_in_memory_but_not_in_a_key(r):
    register(r, """
def start(words):
    return registerTE(0.05, lambda: execute('INCR', 'n'))
async def later(words):
    return registerTE(0.05, lambda: execute('INCR', 'm'))
GB('CommandReader').map(start).register(trigger='start')
GB('CommandReader').map(later).register(trigger='later')
GB('CommandReader').map(lambda words: registerTE(1, lambda: None, 'timer')).register(trigger='key')""", "ID", "mine")
    assert r.execute_command("RG.TRIGGER", "start") == r.execute_command("RG.TRIGGER", "later") == [b"True"]
    wait_calls(r)
    wait_calls(r, 2, "m")
    with pytest.raises(redis.ResponseError, match="can only be called by the script itself"):
        r.execute_command("RG.TRIGGER", "key")
    register(r, "pass", "ID", "mine", "UPGRADE")
    wait_stopped(r)
    wait_freed(r)


def test_a_timer_can_start_another_one(r):
    register(r, te("if execute('INCR', 'first') == 1: registerTE(0.05, lambda: execute('INCR', 'n'))"))
    wait_calls(r)
    assert timers(r) == 2


def test_a_library_has_none(r):
    r.execute_command("RG.FUNCTION", "LOAD", "REPLACE", "#!python name=timed\n@redisgears.function\ndef f(keys, args):\n"
                      "    registerTE(1, lambda: None)\n")
    try:
        with pytest.raises(redis.ResponseError, match="no timer can be started here"):
            r.execute_command("RG.FCALL", "f", 0)
    finally:
        r.execute_command("RG.FUNCTION", "DELETE", "timed")


@pytest.mark.parametrize("lane", ["pooled", "resp3", "multi", "lua", "safemode"])
@pytest.mark.parametrize("key", [None, "timer"])
def test_lanes(server, r, lane, key):
    reply = in_lane(server, lane, "RG.PYEXECUTE", te("execute('INCR', 'n')", key))
    assert reply in (b"OK", "OK"), reply
    wait_calls(r)


def test_it_calls_in_safemode_too(r):
    with config(r, safemode="yes"):
        register(r, te("execute('INCR', 'n')", "timer"))
        wait_calls(r)


# --- keys -----------------------------------------------------------------------------------------------------


def test_the_key_as_the_server_sees_it(r):
    register(r, te("pass", "timer", period=100))
    assert r.type("timer") == b"rg_timeev"
    assert r.memory_usage("timer") > 100
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        r.incr("timer")
    # A dump holds a script: whoever may restore keys may not therefore run it.
    dump = r.dump("timer")
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        r.restore("other", 0, dump)
    with pytest.raises(redis.ResponseError, match="is for replicas and the AOF"):
        r.execute_command("RG._TIMER", "other", b"", -1)
    assert timers(r) == 1 and not r.exists("other")


def test_a_timer_goes_with_its_key(server, r):
    register(r, te("execute('INCR', 'n')", "timer"))
    wait_calls(r, 1)
    r.rename("timer", "renamed")
    wait_calls(r)
    assert timers(r) == 1
    r.move("renamed", 1)
    with server.client(db=1) as other:
        wait_calls(other)
        wait_stopped(r)
        r.swapdb(0, 1)
        before = number(other)
        wait_calls(r)
        assert number(other) == before
    assert timers(r) == 1
    r.delete("renamed")
    wait_stopped(r)


def test_a_copy_is_a_timer_of_its_own(r):
    register(r, te("execute('INCR', 'n')", "timer"), "ID", "mine")
    assert r.copy("timer", "second")
    wait_until(lambda: timers(r) == 2)
    r.delete("timer")
    wait_until(lambda: timers(r) == 1)
    wait_calls(r)
    r.delete("second")
    wait_until(lambda: not sessions(r))


def test_it_calls_in_its_database(server, r):
    with server.client(db=3) as other:
        other.delete("n")
        register(other, te("execute('INCR', 'n')", "timer") + te("execute('INCR', 'm')"))
        wait_calls(other)
        wait_calls(other, 2, "m")
        assert not r.exists("n", "m", "timer")
        other.flushdb()


# --- what survives --------------------------------------------------------------------------------------------

SCRIPT = """
runs = execute('INCR', 'runs')
seen = []
def first():
    seen.append(1)
    execute('INCR', 'n')
made = registerTE(0.05, lambda: execute('INCR', 'm'))
registerTE(0.05, first, 'timer')
registerTE(0.05, lambda: execute('INCR', 'g'), 'gone')
registerTE(0.05, lambda: execute('SET', 'seen', len(seen)), 'other')
"""

REGISTERS = SCRIPT + "GB('CommandReader').map(lambda words: len(seen)).register(trigger='seen')\n"

SCRIPTS = pytest.mark.parametrize("source", [SCRIPT, REGISTERS], ids=["timers", "registers"])


def set_up(client, source):
    register(client, source, "ID", "mine", "DESCRIPTION", "words")
    for key in ("n", "m", "g", "seen"):
        wait_calls(client, 1, key)
    client.delete("gone")
    wait_stopped(client, "g")


def check(client, count=2, registers=False):
    """The timers with keys go on, with globals of their own; the one in memory has ended."""
    wait_until(lambda: list(sessions(client)) == ["mine"], what="the session is back")
    assert sessions(client)["mine"][0] == "words"
    client.delete("seen")
    wait_calls(client)
    wait_until(lambda: number(client, "seen") > 0)
    assert timers(client) == count
    assert (number(client, "runs"), client.exists("gone")) == (1, 0)
    if registers:
        assert int(client.execute_command("RG.TRIGGER", "seen")[0]) > 0
    if count == 2:
        wait_stopped(client, "m")


@SCRIPTS
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_rdb(new_server, source, isolation):
    server = new_server("ISOLATION", isolation)
    set_up(server.client(), source)
    for _ in range(2):
        server.restart()
        check(server.client(), registers=source == REGISTERS)
    client = server.client()
    client.delete("timer", "other")
    unregister_all(client)
    wait_until(lambda: not sessions(client))
    wait_freed(client)
    server.restart()
    assert timers(server.client()) == 0 and not busy_interpreters(server.client())


@pytest.mark.parametrize("preamble", ["yes", "no"])
@SCRIPTS
def test_aof_of_a_killed_server(new_server, preamble, source):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble])
    client = server.client()
    set_up(client, source)
    client.rename("other", "another")
    server.kill()
    server.start()
    client = server.client()
    check(client, registers=source == REGISTERS)
    client.bgrewriteaof()
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"]
               and not client.info("persistence")["aof_rewrite_scheduled"], 20)
    server.kill()
    server.start()
    check(server.client(), registers=source == REGISTERS)
    assert server.client().type("another") == b"rg_timeev"


@SCRIPTS
def test_debug_reload(new_server, source):
    server = new_server()
    set_up(server.client(), source)
    server.client().execute_command("DEBUG", "RELOAD")
    # Those in memory are not part of the data set.
    check(server.client(), count=3, registers=source == REGISTERS)


@SCRIPTS
def test_replica_and_failover(new_server, source):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    set_up(p, source)
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    # One after the full synchronisation; what changes there changes here.
    register(p, te("execute('INCR', 'l')", "late"), "ID", "late")
    wait_until(lambda: timers(c) == 3)
    p.rename("late", "later")
    wait_until(lambda: c.type("later") == b"rg_timeev")
    # They do not call on a replica: it gets the effects.
    wait_calls(p)
    assert "READONLY" not in replica.log() and not executions(c)
    assert "READONLY" in error(c, te("pass", "mine"))
    primary.kill()
    c.replicaof("NO", "ONE")
    wait_until(lambda: set(sessions(c)) == {"late", "mine"})
    wait_calls(c)
    wait_calls(c, 2, "l")
    assert (timers(c), number(c, "runs")) == (3, 1)
    wait_stopped(c, "m")
    c.delete("timer", "other", "later")
    unregister_all(c)
    wait_freed(c)


def test_a_primary_that_becomes_a_replica_calls_no_more(new_server):
    first, second = new_server(), new_server()
    a, b = first.client(), second.client()
    register(a, te("execute('INCR', 'n')", "timer") + te("execute('INCR', 'm')"), "ID", "mine")
    wait_calls(a)
    a.replicaof("127.0.0.1", second.port)
    wait_until(lambda: a.info("replication").get("master_link_status") == "up", 30)
    # The key went with the data set; the other one waits.
    wait_until(lambda: timers(a) == 1)
    assert number(a, "m") == 0
    time.sleep(10 * PERIOD)
    assert number(b, "m") == 0 and "READONLY" not in first.log()
    a.replicaof("NO", "ONE")
    wait_calls(a, 2, "m")


def test_a_script_that_can_not_be_run_again_is_not_lost(new_server, tmp_path):
    helper = tmp_path / "its_timer.py"
    helper.write_text("word = 'here'")
    server = new_server()
    before = f"import sys\nsys.path.append({str(tmp_path)!r})\nimport its_timer"
    register(server.client(), te("execute('INCR', its_timer.word)", "timer", before=before))
    wait_calls(server.client(), 1, "here")
    helper.unlink()
    server.restart()
    wait_until(lambda: "can't be restored" in server.log(), what="a line in the log")
    assert server.client().type("timer") == b"rg_timeev"
    helper.write_text("word = 'back'")
    server.restart()
    wait_calls(server.client(), 1, "back")


def test_a_client_may_be_faster_than_the_script_that_is_run_again(new_server):
    server = new_server()
    slow = "import time\ntime.sleep(execute('EXISTS', 'slow'))\n"
    register(server.client(), slow + te("execute('INCR', 'old')", "timer") + te("execute('INCR', 'old')", "second"), "ID", "mine")
    wait_calls(server.client(), 1, "old")
    server.client().set("slow", 1)
    server.restart()
    client = server.client()
    register(client, te("execute('INCR', 'new')", "timer") + "GB().register('x*')", "ID", "mine", "UPGRADE")
    wait_calls(client, 2, "new")
    wait_stopped(client, "old")
    time.sleep(1.5)
    assert (timers(client), client.exists("second"), len(ids(client))) == (1, 0, 1)
    wait_calls(client, 2, "new")


@pytest.mark.parametrize("how", ["SHUTDOWN NOSAVE", "SHUTDOWN SAVE"])
def test_shutdown_while_callbacks_run(new_server, how):
    server = new_server()
    client = server.client()
    spin = "execute('INCR', 'n')\nwhile True: pass"
    register(client, te(spin, "timer") + te(spin) + te("execute('INCR', 'm')", "other", period=0.001))
    wait_calls(client, 1)
    with pytest.raises(redis.ConnectionError):
        client.execute_command(*how.split())
    assert server.wait(15) == 0
    server.start()
    # What the end of the server has stopped has not failed.
    kept = how == "SHUTDOWN SAVE"
    assert server.client().exists("timer", "other") == 2 * kept
    if kept:
        wait_calls(server.client(), 1)


def test_a_thousand_timers(r):
    register(r, "for at in range(1000):\n    registerTE(0.2, lambda: execute('INCR', 'n'), f'timer:{at}')", "ID", "mine")
    assert timers(r) == 1000
    wait_until(lambda: number(r) >= 1500, 30)
    assert value(r, "1 + 1") == 2
    register(r, "pass", "ID", "mine", "UPGRADE")
    assert r.keys("timer:*") == [] and timers(r) == 0
