"""Libraries of functions survive: a restart from an RDB or an AOF, a kill, a full synchronisation, a failover; and a call
never meets a function that is not there yet."""

import hashlib

import pytest
import redis

from functions import fcall, fcall_error, libraries, library_interpreters, load, source
from helpers import PingWatch, in_lua, in_multi, wait_until

LIBRARY = source("shop", """
import time
time.sleep(0.05)
seen = []
@rg.function
def count(keys, args):
    seen.append(1)
    return execute('INCR', keys[0])
@rg.function(readonly=True, description='What is there.')
def look(keys, args):
    return execute('GET', keys[0])
@rg.function(mode='sync')
def step(keys, args):
    return execute('INCR', keys[0])
@rg.function
def remembered(keys, args):
    return len(seen)
""")

SHARED = source("other isolation=shared timeout=5000 maxmemory=1gb", "@rg.function\ndef other(keys, args):\n    return 'here'")


def shown(client):
    found = libraries(client, "WITHCODE")
    for entry in found.values():
        del entry["loaded"]
    return found


def set_up(client):
    for text in (LIBRARY, SHARED, source("gone", "@rg.function\ndef gone(keys, args): pass")):
        load(client, text)
    load(client, LIBRARY.replace("time.sleep(0.05)", "time.sleep(0.06)"), "REPLACE")
    client.execute_command("RG.FUNCTION", "DELETE", "gone")
    assert fcall(client, "count", 1, "n") == 1
    return shown(client)


def check(client, was, count=2):
    assert shown(client) == was
    assert fcall(client, "count", 1, "n") == count
    assert fcall(client, "other") == b"here"
    assert "Function not found" in fcall_error(client, "gone")


def rewrite(client):
    client.bgrewriteaof()
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"]
               and not client.info("persistence")["aof_rewrite_scheduled"], 20)


def test_rdb(new_server):
    server = new_server()
    was = set_up(server.client())
    for count in (2, 3):
        server.restart()
        check(server.client(), was, count)
    wait_until(lambda: all(one["loaded"] for one in libraries(server.client()).values()), what="all are loaded")
    assert len(library_interpreters(server.client())) == 1
    server.client().execute_command("RG.FUNCTION", "FLUSH")
    server.restart()
    assert shown(server.client()) == {}


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_aof_of_a_killed_server(new_server, preamble, rewritten):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble])
    client = server.client()
    was = set_up(client)
    client.execute_command("RG.PYLOAD", "kept = 1")
    client.execute_command("RG.PYEXECUTE", "GB('CommandReader').map(lambda w: 'called').register(trigger='t')")
    if rewritten:
        rewrite(client)
        if preamble == "no":
            # What is told once more is appended by the server's next round.
            wait_until(lambda: b"RG._SESSION2" in b"".join(
                path.read_bytes() for path in (server.folder / "appendonlydir").glob("*.incr.aof")))
    server.kill()
    server.start()
    client = server.client()
    check(client, was)
    assert client.execute_command("RG.PYEXISTS", hashlib.sha1(b"kept = 1").hexdigest()) == [1]
    assert client.execute_command("RG.TRIGGER", "t") == [b"called"]


def test_debug_reload_changes_nothing(new_server):
    server = new_server()
    client = server.client()
    was = set_up(client)
    client.execute_command("DEBUG", "RELOAD")
    check(client, was)
    assert fcall(client, "remembered") == 2


CALLS = {
    "pooled": lambda client: fcall(client, "step", 1, "n"),
    "multi": lambda client: in_multi(client, "RG.FCALL", "step", 1, "n"),
    "multi, other library": lambda client: in_multi(client, "RG.FCALL", "other", 0) and 2,
    "lua": lambda client: in_lua(client, "RG.FCALL", "count", 1, "n"),
    "read-only": lambda client: int(client.execute_command("RG.FCALL_RO", "look", 1, "n")) + 1,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
def test_the_first_call_after_a_start_waits_for_its_library(new_server, call, isolation):
    # A transaction may take long here: this is not about its limit.
    server = new_server("PYTHON-INLINE-LIMIT", 30_000)
    set_up(server.client())
    text = LIBRARY.replace("time.sleep(0.05)", "time.sleep(0.4)").replace("name=shop", f"name=shop isolation={isolation}")
    load(server.client(), text, "REPLACE")
    server.restart()
    assert CALLS[call](server.client()) == 2


def test_the_first_call_in_safemode(new_server):
    server = new_server("SAFEMODE", "PYTHON-INLINE-LIMIT", 30_000)
    set_up(server.client())
    server.restart()
    assert fcall(server.client(), "count", 1, "n") == 2


def test_many_libraries_do_not_hold_the_start_up(new_server):
    server = new_server("PYTHON-WORKERS", 2)
    client = server.client()
    for number in range(30):
        text = f"import time\ntime.sleep(0.05)\n@rg.function\ndef f{number}(keys, args):\n    return {number}"
        load(client, source(f"lib{number}", text))
    server.restart()
    client = server.client()
    assert not all(one["loaded"] for one in libraries(client).values())
    with PingWatch(server) as watch:
        with client.pipeline(transaction=False) as pipe:
            for number in range(30):
                pipe.execute_command("RG.FCALL", f"f{number}", 0)
            assert pipe.execute() == list(range(30))
    assert watch.percentile(50) < 0.5
    assert len(library_interpreters(client)) == 30


def test_replica_and_failover(new_server):
    primary, replica = new_server(), new_server("PYTHON-INLINE-LIMIT", 30_000)
    p, c = primary.client(), replica.client()
    load(c, source("mine", "@rg.function\ndef mine(keys, args): pass"))
    was = set_up(p)
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    wait_until(lambda: shown(c) == was, what="all that the primary has, and nothing else")
    load(p, source("late", "@rg.function\ndef late(keys, args):\n    return 'v1'"))
    load(p, source("late", "@rg.function\ndef late(keys, args):\n    return 'v2'"), "REPLACE")
    wait_until(lambda: shown(c) == shown(p))
    # It reads, it does not write.
    assert c.execute_command("RG.FCALL_RO", "look", 1, "n") == b"1"
    assert c.execute_command("RG.FCALL", "look", 1, "n") == b"1"
    for refused in (("RG.FCALL", "count", 1, "n"), ("RG.FUNCTION", "DELETE", "late"), ("RG.FUNCTION", "FLUSH"),
                    ("RG.FUNCTION", "LOAD", "REPLACE", SHARED), ("RG.FUNCTION", "RESTORE", "x")):
        with pytest.raises(redis.ReadOnlyError):
            c.execute_command(*refused)
    # What a function writes comes from the primary, once.
    assert fcall(p, "count", 1, "n") == 2
    assert in_multi(p, "RG.FCALL", "step", 1, "n") == 3
    wait_until(lambda: c.get("n") == b"3")
    p.execute_command("RG.FUNCTION", "DELETE", "other")
    wait_until(lambda: shown(c) == shown(p))
    payload = p.execute_command("RG.FUNCTION", "DUMP")
    p.execute_command("RG.FUNCTION", "FLUSH")
    wait_until(lambda: shown(c) == {})
    p.execute_command("RG.FUNCTION", "RESTORE", payload, "FLUSH")
    wait_until(lambda: shown(c) == shown(p) and len(shown(p)) == 2)
    wait_until(lambda: len(library_interpreters(c)) == 2, what="no orphan on the replica")
    primary.kill()
    c.replicaof("NO", "ONE")
    assert in_multi(c, "RG.FCALL", "late", 0) == b"v2"
    assert fcall(c, "count", 1, "n") == 4


def test_a_library_that_can_not_be_loaded_is_not_lost(new_server, tmp_path):
    helper = tmp_path / "its_module.py"
    helper.write_text("word = 'here'")
    server = new_server()
    load(server.client(), source("lib", f"import sys\nsys.path.append({str(tmp_path)!r})\nimport its_module\n"
                                        "@rg.function\ndef f(keys, args):\n    return its_module.word"))
    helper.unlink()
    server.restart()
    client = server.client()
    wait_until(lambda: "the library lib can't be loaded" in server.log(), what="a line in the log")
    for error in (fcall_error(client, "f"), str(in_multi(client, "RG.FCALL", "f", 0))):
        assert "the library lib can't be loaded" in error and "No module named 'its_module'" in error
    assert libraries(client)["lib"]["loaded"] == 0
    # As soon as it is possible again.
    helper.write_text("word = 'back'")
    assert fcall(client, "f") == b"back"
    assert libraries(client)["lib"]["loaded"] == 1


def test_a_library_that_never_ends_to_load(new_server, tmp_path):
    """It holds nobody up but its own callers; in a transaction for as long as that may take at most."""
    flag = tmp_path / "wait"
    server = new_server("PYTHON-INLINE-LIMIT", 200)
    client = server.client()
    load(client, source("lib timeout=300", f"import os\nwhile os.path.exists({str(flag)!r}): pass\n"
                                           "@rg.function\ndef f(keys, args):\n    return 1"))
    load(client, source("good", "@rg.function\ndef good(keys, args):\n    return 2"))
    flag.touch()
    server.restart()
    client = server.client()
    with PingWatch(server) as watch:
        assert "time limit reached" in fcall_error(client, "f")
        assert fcall(client, "good") == 2
    assert watch.percentile(50) < 0.5
    assert "time limit reached" in str(in_multi(client, "RG.FCALL", "f", 0))
    flag.unlink()
    client.config_set("search.python-inline-limit", 30_000)
    assert in_multi(client, "RG.FCALL", "f", 0) == 1
