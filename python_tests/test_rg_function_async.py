"""RG.FCALL of functions that are coroutines: the client waits, nobody else does."""

import contextlib
import time

import pytest
import redis

from functions import fcall, fcall_error, load, source
from gears import at_most, gears_config, wait_freed
from helpers import as_map, in_background, in_lane, wait_until

WAITS = source("waits", """
import asyncio
@rg.function
async def wait(keys, args):
    'Waits for a key.'
    while not execute('EXISTS', keys[0]):
        await asyncio.sleep(0.005)
    execute('RPUSH', 'done', *args)
    return {'key': keys[0], 'count': execute('LLEN', 'done')}
@rg.function
async def fails(keys, args):
    await asyncio.sleep(0)
    raise ValueError('this and that')
@rg.function
async def flat(keys, args):
    flat_error('WRONG way')
@rg.function(readonly=True)
async def look(keys, args):
    await asyncio.sleep(0)
    return execute(*args)
@rg.function
def returns_one(keys, args):
    return wait(keys, args)
@rg.function
async def strange(keys, args):
    return object()
@rg.function
async def counts(keys, args):
    results, errors = await GB('PythonReader').count().run(lambda: (yield from range(7)))
    return [results, errors]
@rg.function(mode='sync')
def atomic_one(keys, args):
    return wait(keys, args)
""")


def tallies(client):
    """What RG.FUNCTION STATS counts, by function."""
    found = as_map(client.execute_command("RG.FUNCTION", "STATS"))["functions"]
    return {one["name"]: one for one in map(as_map, found)}


def running(client):
    """Calls that are under way."""
    return sum(one["running"] for one in tallies(client).values())


@pytest.fixture
def r(r):
    yield r
    r.execute_command("RG.FUNCTION", "FLUSH")
    wait_freed(r)


@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
@pytest.mark.parametrize("lane", ["pooled", "resp3", "safemode"])
def test_the_client_waits_until_the_coroutine_ends(server, r, lane, isolation):
    load(r, WAITS.replace("name=waits", f"name=waits isolation={isolation}"))
    with in_background(in_lane, server, lane, "RG.FCALL", "wait", 1, "go", "a", "b") as waiting:
        wait_until(lambda: running(r) == 1)
        assert r.ping() and not waiting
        r.set("go", 1)
    reply = waiting["value"]
    assert reply == ({b"key": b"go", b"count": 2} if lane == "resp3" else [b"key", b"go", b"count", 2])
    assert fcall(r, "returns_one", 1, "go", "c") == [b"key", b"go", b"count", 3]
    assert fcall(r, "counts") == [[b"7"], []]
    wait_until(lambda: running(r) == 0)


@pytest.mark.parametrize("lane", ["multi", "lua"])
def test_where_nobody_can_wait_it_says_so(server, r, lane):
    load(r, WAITS)
    text = str(in_lane(server, lane, "RG.FCALL", "wait", 1, "go", "a"))
    assert "the function is a coroutine, which can not be waited for in MULTI, in Lua and in mode sync" in text
    assert "can not be waited for" in fcall_error(r, "atomic_one", 1, "go")
    assert not r.exists("done")


def test_errors(r):
    load(r, WAITS)
    text = fcall_error(r, "fails")
    assert "ValueError: this and that" in text and "in fails" in text and "_interlock" not in text, text
    with gears_config(r, "PythonAttemptTraceback", 0):
        assert fcall_error(r, "fails") == "Error type: <class 'ValueError'>, Value: this and that"
    assert fcall_error(r, "flat") == "WRONG way"
    assert fcall_error(r, "strange").startswith("TypeError: a function can return None")
    counted = tallies(r)["fails"]
    assert (counted["calls"], counted["failures"], counted["running"]) == (2, 2, 0)


def test_a_function_that_never_writes_does_not_write_after_waiting_either(r):
    load(r, WAITS)
    r.set("a", "b")
    assert r.execute_command("RG.FCALL_RO", "look", 0, "GET", "a") == b"b"
    with pytest.raises(redis.ResponseError, match="Write commands are not allowed from read-only functions"):
        r.execute_command("RG.FCALL_RO", "look", 0, "SET", "a", "c")
    assert r.get("a") == b"b"


def test_many_wait_without_a_thread_each(server, r):
    load(r, WAITS)
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(in_background(fcall, server.client(), "wait", 1, "go", "x"))
        wait_until(lambda: running(r) == 50)
        with at_most(10):
            assert fcall(r, "look", 0, "GET", "go") is None
        r.set("go", 1)
    assert r.llen("done") == 50


def test_a_time_limit_and_a_client_that_goes_end_it(server, r):
    load(r, WAITS.replace("name=waits", "name=waits timeout=1500"))
    # The limit holds for loading it too, which imports asyncio.
    with at_most(20):
        assert "time limit" in fcall_error(r, "wait", 1, "go")
    load(r, WAITS, "REPLACE")
    client = server.client()
    connection = client.connection_pool.get_connection()
    connection.send_command("RG.FCALL", "wait", 1, "go")
    wait_until(lambda: running(r) == 1)
    connection.disconnect()
    wait_until(lambda: running(r) == 0)
    r.set("go", 1)
    time.sleep(0.05)
    assert not r.exists("done")


def test_a_library_that_is_replaced_ends_its_calls_first(server, r):
    load(r, WAITS)
    with in_background(fcall, server.client(), "wait", 1, "go", "x") as waiting:
        wait_until(lambda: running(r) == 1)
        load(r, WAITS, "REPLACE")
        r.set("go", 1)
    assert waiting["value"] == [b"key", b"go", b"count", 1]
    assert fcall(r, "wait", 1, "go", "y") == [b"key", b"go", b"count", 2]
