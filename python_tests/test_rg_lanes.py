"""RG commands in every lane: pooled, RESP3, inside MULTI/EXEC, inside Lua, in SAFEMODE; on replicas too."""

import pytest
import redis

from gears import ID, background, executions, script, traceback_of, wait_done
from helpers import LANES, config, fill, in_all_lanes, in_lane, in_lua, in_multi, plain, wait_until

SAME = {
    "a run": script(records="range(5)", steps=".map(lambda x: x * 2)"),
    "a failing run": script(records="[1, 0]", steps=".map(lambda x: 1 // x)"),
    "count of keys": "GB().count().run('key:*')",
    "values of keys": "GB().map(lambda r: (r['key'], r['value'], r['type'])).sort().run('key:*')",
    "stream": "GB('StreamReader').map(lambda r: r['value']).run('stream')",
    "execute": script(records="[execute('GET', 'key:1')]"),
    "atomic": "with atomic():\n    x = execute('GET', 'key:1')\n" + script(records="[x]"),
    "numbers": script(records="[1, 2.5, True, [1, ['a']], b'x']", run=", convertToStr=False"),
    "an error": "raise ValueError('the reason')",
    "flat": "flat_error('only this')",
    "shared": "GB('ShardsIDReader').run()",
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME.keys())
def test_the_same_answer_in_every_lane(server, r, source):
    fill(r, 10)
    r.xadd("stream", {"f": "v"}, id="1-1")
    replies = {lane: plain(reply) for lane, reply in in_all_lanes(server, "RG.PYEXECUTE", source).items()}
    texts = {lane: str(reply).replace("ERR ", "") for lane, reply in replies.items()}
    if source == SAME["an error"] or source == SAME["flat"]:
        # Lua adds where it was called.
        assert all("the reason" in text or "only this" in text for text in texts.values()), texts
    else:
        assert len(set(texts.values())) == 1, texts


@pytest.mark.parametrize("mode", ["subinterpreter", "shared"])
@pytest.mark.parametrize("lane", LANES)
def test_isolation_in_every_lane(server, r, lane, mode):
    found = plain(in_lane(server, lane, "RG.PYEXECUTE", script(), "ISOLATION", mode))
    assert found == [["1"], []]


@pytest.mark.parametrize("lane", LANES)
def test_a_traceback_in_every_lane(server, r, lane):
    found = in_lane(server, lane, "RG.PYEXECUTE", "1 / 0")
    assert isinstance(found, redis.ResponseError) and "ZeroDivisionError" in str(found)
    if lane != "lua":
        assert traceback_of(str(found))


@pytest.mark.parametrize("lane", LANES)
def test_unblocking_in_every_lane(server, r, lane):
    found = in_lane(server, lane, "RG.PYEXECUTE", script(), "UNBLOCKING")
    execution = found.decode()
    assert ID.match(execution)
    wait_done(r, execution)
    assert r.execute_command("RG.GETRESULTS", execution) == [[b"1"], []]
    r.execute_command("RG.DROPEXECUTION", execution)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    "command",
    [
        ("RG.DUMPEXECUTIONS",),
        ("RG.PYDUMPSESSIONS",),
        ("RG.CONFIGGET", "MaxExecutions"),
        ("RG.GETRESULTS", "nothing"),
        ("RG.DROPEXECUTION", "nothing"),
        ("RG.ABORTEXECUTION", "nothing"),
        ("RG.GETEXECUTION", "nothing"),
        ("RG.GETRESULTSBLOCKING", "nothing"),
    ],
    ids=lambda command: command[0],
)
def test_other_commands_in_every_lane(server, r, lane, command):
    expected = in_lane(server, "pooled", *command)
    found = in_lane(server, lane, *command)
    if isinstance(expected, redis.ResponseError):
        assert isinstance(found, redis.ResponseError) and str(expected) in str(found)
    else:
        assert found == expected


def test_multi_is_one_step_for_everybody_else(server, r):
    source = "for _ in range(100): execute('INCR', 'a')\n"
    other = server.client()
    for _ in range(20):
        with r.pipeline(transaction=True) as pipe:
            pipe.execute_command("RG.PYEXECUTE", source)
            pipe.execute()
        assert int(other.get("a")) % 100 == 0


def test_lua_sees_what_the_script_wrote(r):
    source = "execute('SET', 'k', 'from python')"
    lua = "redis.call('RG.PYEXECUTE', ARGV[1]) return redis.call('GET', 'k')"
    assert r.eval(lua, 0, source) == b"from python"


def test_an_endless_script_ends_at_the_inline_limit(server, r):
    with config(r, python_inline_limit="200"):
        for inline in (in_multi, in_lua):
            for source in ("while True: pass", "import time\ntime.sleep(3600)"):
                assert isinstance(inline(r, "RG.PYEXECUTE", source), redis.ResponseError)
                assert r.ping()
        with config(r, safemode="yes"):
            found = in_lane(server, "pooled", "RG.PYEXECUTE", "while True: pass")
            assert isinstance(found, redis.ResponseError)


def test_other_threads_of_an_inline_script_may_not_reach_the_server(r):
    """They would wait for the lock that the script's own thread holds."""
    source = (
        "import threading\nfailed = []\n"
        "def ask():\n    try:\n        execute('PING')\n    except Exception as e:\n        failed.append(str(e))\n"
        "t = threading.Thread(target=ask)\nt.start()\nt.join(10)\n"
    ) + script(records="failed")
    (found,), errors = in_multi(r, "RG.PYEXECUTE", source)
    assert found and errors == []


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("around", ["{}", "with atomic():\n    {}"], ids=["plain", "atomic"])
def test_a_script_may_run_a_script(server, r, lane, around):
    """At once and inside the same slice; what the outer one holds stays its own."""
    inner = "with atomic(): execute('INCR', 'n')\nGB('ShardsIDReader').map(lambda r: execute('INCR', 'n')).run()"
    call = around.format(f"x = execute('RG.PYEXECUTE', {inner!r}); y = isInAtomicBlock(); execute('INCR', 'n')")
    source = call + "\n" + script(records="[x, bool(y)]")
    assert plain(in_lane(server, lane, "RG.PYEXECUTE", source)) == [["[['2'], []]", str("atomic" in around)], []]
    assert r.get("n") == b"3"


def test_safemode_as_a_load_argument(safemode_server):
    client = safemode_server.client()
    client.flushall()
    fill(client, 100)
    assert client.execute_command("RG.PYEXECUTE", "GB().count().run()") == [[b"100"], []]
    execution = background(client, "GB().count().run()")
    wait_done(client, execution)
    assert client.execute_command("RG.GETRESULTS", execution) == [[b"100"], []]
    client.execute_command("RG.DROPEXECUTION", execution)
    assert executions(client) == {}


def test_on_a_replica(new_server):
    primary = new_server()
    replica = new_server()
    primary.client().set("k", "v")
    client = replica.client()
    client.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
    wait_until(lambda: client.get("k") == b"v", 30)
    assert client.execute_command("RG.PYEXECUTE", "GB().map(lambda r: r['value']).run()") == [[b"v"], []]
