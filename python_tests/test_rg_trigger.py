"""RG.TRIGGER: commands that scripts have registered, in every mode and lane."""

import threading

import pytest
import redis

from gears import error, executions
from helpers import LANES, in_lane, in_lua, in_multi, wait_until
from registrations import entries, register, stats, wait_ended


pytestmark = pytest.mark.usefixtures("no_registrations")


@pytest.mark.parametrize("mode", ["async", "async_local", "sync"])
@pytest.mark.parametrize("lane", LANES)
def test_the_record_is_the_list_of_words(server, r, mode, lane):
    register(r, f"GB('CommandReader').register(trigger='say', mode='{mode}')")
    assert in_lane(server, lane, "RG.TRIGGER", "say", "a", "b c") == [b"['say', 'a', 'b c']"]
    assert in_lane(server, lane, "RG.TRIGGERONKEY", "say", "key", "x") == [b"['say', 'key', 'x']"]


def test_every_result_is_an_element_and_an_error_is_the_reply(r):
    register(r, "GB('CommandReader').flatmap(lambda words: words[1:]).map(lambda word: int(word)).register(trigger='t', convertToStr=False)")
    assert sorted(r.execute_command("RG.TRIGGER", "t", 1, 2)) == [1, 2]
    with pytest.raises(redis.ResponseError, match="ValueError"):
        r.execute_command("RG.TRIGGER", "t", "x")
    assert (stats(r)["numSuccess"], stats(r)["numFailures"]) == (1, 1)
    assert executions(r) == {}


@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
def test_state_stays_between_calls(r, isolation):
    register(r, "calls = []\nGB('CommandReader').map(lambda w: (calls.append(w[1]), len(calls))[1]).register(trigger='t')",
             "ISOLATION", isolation)
    assert [r.execute_command("RG.TRIGGER", "t", "x") for _ in range(3)] == [[b"1"], [b"2"], [b"3"]]


def test_bytes_survive(r):
    register(r, "GB('CommandReader').map(lambda words: bytes(words[1])).register(trigger='t', convertToStr=False)")
    assert r.execute_command("RG.TRIGGER", "t", b"\xff\x00\xfe") == [b"\xff\x00\xfe"]


def test_names_are_case_sensitive_and_unknown_ones_are_an_error(r):
    register(r, "GB('CommandReader').register(trigger='Name')")
    with pytest.raises(redis.ResponseError, match="^subcommand not found$"):
        r.execute_command("RG.TRIGGER", "name")
    assert "trigger already registered" in error(r, "GB('CommandReader').register(trigger='Name')")
    assert len(entries(r)) == 1


def test_calls_in_order_wait_for_each_other(server, r):
    source = """
import time
def slow(words):
    if words[1] == '0':
        time.sleep(0.3)
    execute('RPUSH', 'log', words[1])
GB('CommandReader').foreach(slow).register(trigger='t', inorder=True)
"""
    register(r, source)
    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=server.client().execute_command, args=("RG.TRIGGER", "t", number)))
        threads[-1].start()
        wait_until(lambda: stats(r)["numTriggered"] == number + 1)
    for thread in threads:
        thread.join(20)
    assert r.lrange("log", 0, -1) == [b"0", b"1", b"2", b"3"]
    for inside in (in_multi, in_lua):
        assert "can not run a non-sync execution inside a MULTI/LUA" in str(inside(r, "RG.TRIGGER", "t", "9"))


def test_a_sync_call_is_atomic_and_limited(r):
    register(r, """
def twice(words):
    before = execute('INCR', 'n')
    return execute('INCR', 'n') - before
GB('CommandReader').map(twice).register(trigger='t', mode='sync')
GB('CommandReader').map(lambda w: [None for _ in iter(int, 1)]).register(trigger='endless', mode='sync')
""")
    assert r.execute_command("RG.TRIGGER", "t") == [b"1"]
    before = r.config_get("search.python-inline-limit")["search.python-inline-limit"]
    r.config_set("search.python-inline-limit", 100)
    try:
        with pytest.raises(redis.ResponseError, match="time limit reached"):
            r.execute_command("RG.TRIGGER", "endless")
    finally:
        r.config_set("search.python-inline-limit", before)
    assert r.execute_command("RG.TRIGGER", "t") == [b"1"]


def test_calls_beside_each_other(server, r):
    register(r, "import time\nGB('CommandReader').foreach(lambda w: time.sleep(0.01)).register(trigger='t')")
    clients = [server.client() for _ in range(8)]
    threads = [threading.Thread(target=lambda client=client: [client.execute_command("RG.TRIGGER", "t") for _ in range(20)])
               for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wait_ended(r, 160)["numSuccess"] == 160


def test_a_slow_call_holds_up_no_others(server, r):
    register(r, "import time\nGB('CommandReader').foreach(lambda w: time.sleep(float(w[1]))).register(trigger='t')")
    slow = threading.Thread(target=server.client().execute_command, args=("RG.TRIGGER", "t", "2"))
    slow.start()
    wait_until(lambda: executions(r))
    for _ in range(20):
        assert r.execute_command("RG.TRIGGER", "t", "0") == [b"['t', '0']"]
    assert slow.is_alive()
    slow.join(20)
    assert stats(r)["numSuccess"] == 21


@pytest.mark.parametrize("how", ["abort", "leave"])
def test_what_stops_one_call_stops_no_other(server, r, how):
    source = """
def work(words):
    while words[1] == 'endless':
        pass
    return words[1]
GB('CommandReader').map(work).register(trigger='t')
"""
    register(r, source)
    outcome = {}

    def endless():
        try:
            server.client().execute_command("RG.TRIGGER", "t", "endless")
        except redis.RedisError as error:
            outcome["error"] = str(error)

    thread = threading.Thread(target=endless)
    thread.start()
    wait_until(lambda: executions(r))
    assert r.execute_command("RG.TRIGGER", "t", "short") == [b"short"]
    if how == "abort":
        for execution in executions(r):
            r.execute_command("RG.ABORTEXECUTION", execution)
    else:
        r.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    thread.join(20)
    assert not thread.is_alive()
    if how == "abort":
        assert "aborted" in outcome["error"]
    wait_until(lambda: stats(r)["numFailures"] == 1)
    assert r.execute_command("RG.TRIGGER", "t", "short") == [b"short"]


def test_a_crowd_of_calls(server, r):
    register(r, """
async def later(words):
    override_reply(words[1])
    execute('INCR', 'n')
    await asyncio.sleep(0)
GB('CommandReader').map(lambda words: execute('INCR', 'n') and words[1]).register(trigger='now')
GB('CommandReader').map(later).register(trigger='later')
""")
    wrong = []

    def call(number):
        client = server.client()
        with client.pipeline(transaction=False) as pipe:
            for at in range(50):
                pipe.execute_command("RG.TRIGGER", ("now", "later")[at % 2], f"{number}-{at}")
            expected = [[f"{number}-{at}".encode()] if at % 2 == 0 else f"{number}-{at}".encode() for at in range(50)]
            found = pipe.execute()
            if found != expected:
                wrong.append((found, expected))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert r.get("n") == b"2000"


@pytest.mark.parametrize("mode", ["async", "async_local", "sync"])
def test_atomic_blocks_of_many_calls_are_whole(server, r, mode):
    """Also while the server's thread lends its lock for the calls' other questions."""
    register(r, "def pair(words):\n    execute('GET', 'left')\n    with atomic():\n        execute('INCR', 'left')\n"
                "        execute('INCR', 'right')\n    execute('GET', 'right')\n"
                f"GB('CommandReader').foreach(pair).register(trigger='pair', mode={mode!r})")

    def calls():
        with server.client() as client:
            for _ in range(20):
                with client.pipeline(transaction=False) as pipe:
                    for _ in range(10):
                        pipe.execute_command("RG.TRIGGER", "pair")
                    pipe.execute()

    threads = [threading.Thread(target=calls) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        left, right = r.mget("left", "right")
        assert left == right
    for thread in threads:
        thread.join()
    assert r.mget("left", "right") == [b"1200", b"1200"]
