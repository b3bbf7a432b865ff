"""Commands that would end the server inside another command, or block who can't be blocked: each is an error, from everywhere
that a script can call it."""

import contextlib

import pytest
import redis

from helpers import plain, reply_or_error
from registrations import register

pytestmark = pytest.mark.usefixtures("no_registrations")

#: Whatever the words say, as the server's reply or as the error that it raised.
SCRIPT = """
def call(words):
    try:
        return execute(*words[1:])
    except Exception as error:
        return str(error)

def atomically(words):
    with atomic():
        return call(words)

async def later(words):
    return call(words)

GB('CommandReader').map(call).register(trigger='sync', mode='sync')
GB('CommandReader').map(call).register(trigger='async')
GB('CommandReader').map(later).register(trigger='coroutine')
GB('CommandReader').map(atomically).register(trigger='atomic')
"""

IN_LUA = "return redis.call(unpack(ARGV))"

WAYS = {
    "sync": ("RG.TRIGGER", "sync"),
    "async": ("RG.TRIGGER", "async"),
    "coroutine": ("RG.TRIGGER", "coroutine"),
    "atomic": ("RG.TRIGGER", "atomic"),
    "hook": ("RG._HOOK",),
    "sync in Lua": ("EVAL", IN_LUA, "0", "RG.TRIGGER", "sync"),
    "hook in Lua": ("EVAL", IN_LUA, "0", "RG._HOOK"),
}


def ask(client, way, *words):
    """What came of the words: the texts of the reply or of the error."""
    with contextlib.suppress(redis.ResponseError):
        # Its state must be a new one each time: some of these commands would change it.
        client.connection_pool.disconnect()
    return str(plain(reply_or_error(lambda: client.execute_command(*WAYS[way], *words))))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", ["SYNC", "PSYNC ? -1", "WAIT 1 100", "WAITAOF 0 1 100", "sync"])
def test_replication_is_not_for_scripts(server, r, way, words):
    register(r, SCRIPT)
    client = server.client()
    said = ask(client, way, *words.split())
    assert any(text in said for text in ("a script can not", "not allowed", "unknown command", "Unknown Redis command")), said
    assert r.ping() and r.info("replication")["connected_slaves"] == 0


@pytest.mark.parametrize("way", ["sync in Lua", "hook in Lua"])
@pytest.mark.parametrize("words", ["EVAL return(1) 0", "FCALL nothing 0", "SCRIPT FLUSH", "FUNCTION FLUSH", "EVALSHA x 0"])
def test_a_script_of_the_server_can_not_be_inside_another_one(server, r, way, words):
    register(r, SCRIPT)
    said = ask(server.client(), way, *words.split())
    assert "while one runs" in said or "not allowed" in said, said
    # Outside of one they can.
    assert r.execute_command("RG.TRIGGER", "sync", "EVAL", "return 'x'", "0") == [b"x"]
    assert r.execute_command("RG.TRIGGER", "async", "EVAL", "return 'x'", "0") == [b"x"]


def test_a_lua_script_whose_events_run_one(r):
    """The callback's error is its own; the script that caused the event has its reply."""
    register(r, "GB().foreach(lambda x: execute('EVAL', \"return redis.call('INCR', 'calls')\", 0)).register('k', mode='sync', eventTypes=['set'])")
    assert r.eval("redis.call('SET', 'k', 1) return 'done'", 0) == b"done"
    assert r.set("k", 2) and int(r.get("calls")) >= 1


@pytest.mark.parametrize("way", ["sync", "hook", "sync in Lua", "hook in Lua"])
@pytest.mark.parametrize("words", ["CLIENT KILL TYPE normal", "CLIENT KILL TYPE normal SKIPME no", "client kill id {id}"])
def test_a_command_can_not_kill_the_client_that_it_is_of(server, r, way, words):
    register(r, SCRIPT)
    client = server.client(single_connection_client=True)
    words = words.format(id=client.client_id()).split()
    said = str(plain(reply_or_error(lambda: client.execute_command(*WAYS[way], *words))))
    assert "CLIENT KILL can not run" in said or "not allowed" in said, said
    assert client.ping() and r.ping()


def test_others_can_be_killed_from_a_worker(server, r):
    register(r, SCRIPT)
    victim = server.client(single_connection_client=True)
    number = victim.client_id()
    assert r.execute_command("RG.TRIGGER", "async", "CLIENT", "KILL", "ID", number) == [b"1"]
    with pytest.raises(redis.ConnectionError):
        victim.ping()
