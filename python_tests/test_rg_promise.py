"""A call can't meet an unknown script: RG.FCALL, RG.PYEXECUTESHA and RG.TRIGGER in pipelines, transactions and Lua, against
a client that flushes scripts, restarts and failovers."""

import hashlib
import threading
import time

import pytest
import redis

from functions import load, source
from helpers import LANES, config, in_lane, in_lua, in_multi, wait_until

LIBRARY = source("shop", "@rg.function\ndef count(keys, args):\n    return execute('INCR', keys[0])")
SCRIPT = "GB('ShardsIDReader').map(lambda shard: execute('INCR', 'sha')).run()"
SUM = hashlib.sha1(SCRIPT.encode()).hexdigest()
REGISTER = "GB('CommandReader').map(lambda words: execute('INCR', words[1])).register(trigger='count', mode='%s')"

CALLS = {
    "fcall": ("RG.FCALL", "count", 1, "fcall"),
    "sha": ("RG.PYEXECUTESHA", SUM, "SCOPE", "script"),
    "trigger": ("RG.TRIGGER", "count", "trigger"),
}


def number(reply):
    """What a call has counted."""
    if isinstance(reply, list) and isinstance(reply[0], list):
        reply = reply[0]
    return int(reply[0]) if isinstance(reply, list) else int(reply)


def set_up(client, mode="async_local"):
    load(client, LIBRARY)
    client.execute_command("RG.PYLOAD", SCRIPT)
    client.execute_command("RG.PYEXECUTE", REGISTER % mode)


class Flusher:
    """Another client, which flushes all scripts and functions that the server itself has, all the time."""

    def __init__(self, server):
        self.client, self.stopped, self.rounds = server.client(), threading.Event(), 0
        self.error = None

    def __enter__(self):
        self.thread = threading.Thread(target=self._flush, daemon=True)
        self.thread.start()
        return self

    def _flush(self):
        try:
            while not self.stopped.is_set():
                self.client.script_flush()
                self.client.function_flush()
                self.rounds += 1
        except Exception as error:
            self.error = error

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(60)
        assert self.error is None and self.rounds > 0


@pytest.mark.parametrize("mode", ["async_local", "sync"])
def test_against_a_client_that_flushes(new_server, mode):
    server = new_server("PYTHON-INLINE-LIMIT", 30_000)
    client = server.client()
    set_up(client, mode)
    rounds, each = 20, 100
    with Flusher(server):
        for _ in range(rounds):
            for transaction in (True, False):
                with client.pipeline(transaction=transaction) as pipe:
                    for _ in range(each):
                        for words in CALLS.values():
                            pipe.execute_command(*words)
                    replies = pipe.execute()
                assert all(isinstance(number(reply), int) for reply in replies)
            for words in CALLS.values():
                client.eval("return redis.call(unpack(ARGV))", 0, *words)
    count = rounds * (2 * each + 1)
    assert [int(client.get(key)) for key in ("fcall", "sha", "trigger")] == [count] * 3


FORMS = {
    "pipeline": lambda client, words: pipelined(client, words, False),
    "transaction": lambda client, words: pipelined(client, words, True),
    "multi": lambda client, words: in_multi(client, *words),
    "lua": lambda client, words: in_lua(client, *words),
}


def pipelined(client, words, transaction):
    with client.pipeline(transaction=transaction) as pipe:
        pipe.execute_command(*words)
        pipe.incr("after")
        reply, after = pipe.execute()
    assert after == 1
    return reply


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
def test_the_first_call_after_a_restart(new_server, form, call):
    """Also while the interpreters of before are still being made, which takes a while for one worker."""
    server = new_server("PYTHON-WORKERS", 1, "PYTHON-INLINE-LIMIT", 30_000)
    client = server.client()
    client.execute_command("RG.PYEXECUTE", "import time\ntime.sleep(0.3)\nGB().register('none*')")
    set_up(client)
    server.restart()
    assert number(FORMS[form](server.client(), CALLS[call])) == 1


@pytest.mark.parametrize("form", FORMS)
def test_the_first_call_after_a_failover(new_server, form):
    primary, replica = new_server(), new_server("PYTHON-INLINE-LIMIT", 30_000)
    set_up(primary.client())
    client = replica.client()
    client.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: client.info("replication").get("master_link_status") == "up", 30)
    # What a file that is loaded brings is there with it; what comes over the link, when the replica has caught up.
    last = primary.client()
    last.execute_command("RG.PYLOAD", "more = 1")
    # On the connection that wrote it.
    assert last.wait(1, 30_000) == 1
    primary.kill()
    client.replicaof("NO", "ONE")
    for words in CALLS.values():
        client.delete("after")
        assert number(FORMS[form](client, words)) == 1
    assert client.execute_command("RG.PYEXISTS", hashlib.sha1(b"more = 1").hexdigest()) == [1]


def test_calls_go_on_while_a_library_is_replaced(new_server):
    server = new_server()
    client, other = server.client(), server.client()
    load(client, LIBRARY)
    end = time.monotonic() + 2
    stopped = threading.Event()

    def replace():
        version = 0
        while time.monotonic() < end:
            version += 1
            load(other, LIBRARY + f"\n# {version}", "REPLACE")
        stopped.set()

    thread = threading.Thread(target=replace)
    thread.start()
    calls = 0
    while not stopped.is_set():
        with client.pipeline(transaction=calls % 2 == 0) as pipe:
            for _ in range(10):
                pipe.execute_command("RG.FCALL", "count", 1, "n")
            replies = pipe.execute()
        calls += 10
        assert replies[-1] == calls and sorted(replies) == list(range(calls - 9, calls + 1))
    thread.join()


# --- the bound of RG.PYLOAD -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
def test_the_cache_is_bounded_and_nothing_is_evicted(server, r, lane):
    sums = [in_lane(server, lane, "RG.PYLOAD", f"# {lane} {number}\n" + "x" * 1000) for number in range(3)]
    with config(r, script_cache_memory=3500):
        refused = str(in_lane(server, lane, "RG.PYLOAD", "y" * 1000))
        assert "of 3500 bytes for scripts are used: raise search.script-cache-memory" in refused
        # What is there is loaded again without an error, and stays.
        assert in_lane(server, lane, "RG.PYLOAD", f"# {lane} 0\n" + "x" * 1000) == sums[0]
        assert in_lane(server, lane, "RG.PYEXISTS", *sums) == [1, 1, 1]
        assert in_lane(server, lane, "RG.PYUNLOAD", sums[0], "nothing", sums[1].upper()) == 2
        assert in_lane(server, lane, "RG.PYLOAD", "y" * 1000) == hashlib.sha1(b"y" * 1000).hexdigest().encode()
        assert in_lane(server, lane, "RG.PYEXISTS", *sums) == [0, 0, 1]
    r.execute_command("RG.PYUNLOAD", sums[2], hashlib.sha1(b"y" * 1000).hexdigest())
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        r.execute_command("RG.PYUNLOAD")
