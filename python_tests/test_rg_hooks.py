"""Command hooks: register(hook=...) stands in the place of a command, register(commands=...) waits for its events."""

import time

import pytest
import redis

from gears import error
from helpers import in_background, in_lua, in_multi, plain, wait_until
from registrations import entries, ids, register, stats, unregister_all


pytestmark = pytest.mark.usefixtures("no_registrations")


MODES = ("async", "async_local", "sync")

#: A hook of HSET that adds a field and passes it on.
STAMP = """
def stamp(words):
    return call_next(*words[1:], 'stamp', 1)
GB('CommandReader').map(stamp).register(hook='HSET', convertToStr=False, {options})
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_hook_stands_in_the_place_of_the_command(r, mode):
    register(r, STAMP.format(options=f"mode='{mode}'"))
    assert r.hset("h", "a", 1) == 2
    assert r.execute_command("hSeT", "h", "b", 2) == 1
    assert r.hgetall("h") == {b"a": b"1", b"b": b"2", b"stamp": b"1"}
    assert in_multi(r, "HSET", "m", "a", 1) == 2
    assert in_lua(r, "HSET", "l", "a", 1) == 2
    assert r.hget("m", "stamp") == r.hget("l", "stamp") == b"1"
    unregister_all(r)
    assert r.hset("h2", "a", 1) == 1


def test_the_record_is_the_command(r):
    register(r, "GB('CommandReader').foreach(lambda w: execute('RPUSH', 'log', repr(w))).map(lambda w: 'done')"
                ".register(hook='append', mode='sync')")
    assert r.execute_command("APPEND", "k\0", b"\xff") == b"done"
    assert eval(r.lindex("log", 0), {"bytearray": bytearray}) == ["APPEND", "k\0", bytearray(b"\xff")]
    assert not r.exists("k\0")


def test_replies_have_their_types(r):
    register(r, "GB('CommandReader').map(lambda w: call_next(*w[1:])).register(hook='mget', convertToStr=False, mode='sync')")
    register(r, "GB('CommandReader').map(lambda w: call_next(*w[1:])).register(hook='get', convertToStr=False)")
    register(r, "GB('CommandReader').map(lambda w: call_next(*w[1:])).register(hook='incr')")
    r.set("a", "x")
    assert r.mget("a", "none") == [b"x", None]
    assert r.get("a") == b"x" and r.get("none") is None
    assert r.execute_command("INCR", "n") == b"1", "as text, since convertToStr is on"
    with pytest.raises(redis.ResponseError, match="WRONGTYPE|not an integer"):
        r.incr("a")


@pytest.mark.parametrize("steps, text", [
    (".flatmap(lambda w: [1, 2])", "Command hook must return exactly one result"),
    (".filter(lambda w: False)", "Command hook must return exactly one result"),
    (".map(lambda w: 1 / 0)", "ZeroDivisionError"),
    (".map(lambda w: flat_error('ERR not today'))", "not today"),
])
def test_a_hook_has_one_result(r, steps, text):
    register(r, f"GB('CommandReader'){steps}.register(hook='set', mode='sync')")
    with pytest.raises(redis.ResponseError, match=text):
        r.set("k", 1)


def test_the_newest_hook_comes_first(r):
    for number in (1, 2):
        register(r, f"GB('CommandReader').map(lambda w: call_next(w[1], w[2] + '{number}')).register(hook='set', mode='sync')")
    register(r, "GB('CommandReader').map(lambda w: call_next(w[1], w[2] + '3')).register(hook='set')")
    assert r.set("k", "")
    assert r.get("k") == b"321"
    # Nothing can come before one that does not run at once.
    refusal = error(r, "GB('CommandReader').register(hook='SET', mode='sync')")
    assert "Can not override a none sync registration" in refusal
    r.execute_command("RG.UNREGISTER", ids(r)[1])
    r.set("k", "")
    assert r.get("k") == b"31"


def test_hooks_of_one_script(r):
    """They run inside each other in one interpreter."""
    register(r, """
depth = 0
def outer(words):
    global depth
    depth += 1
    return call_next(words[1], words[2] + ' outer')
def inner(words):
    global depth
    depth += 1
    assert depth == 2
    depth = 0
    return call_next(words[1], words[2] + ' inner')
GB('CommandReader').map(inner).register(hook='set', mode='sync')
GB('CommandReader').map(outer).register(hook='set', mode='sync')
""")
    r.set("k", "is")
    assert r.get("k") == b"is outer inner"
    assert in_multi(r, "SET", "k", "is") and r.get("k") == b"is outer inner"


@pytest.mark.parametrize("mode", MODES)
def test_a_hook_that_executes_its_own_command_comes_to_an_end(r, mode):
    register(r, f"GB('CommandReader').map(lambda w: execute('HSET', *w[1:])).register(hook='hset', mode='{mode}')")
    with pytest.raises(redis.ResponseError, match="executions start each other"):
        r.hset("h", "a", 1)
    register(r, "GB('CommandReader').map(lambda w: execute('RG.TRIGGER', 't')).register(trigger='t', mode='sync')")
    with pytest.raises(redis.ResponseError, match="executions start each other"):
        r.execute_command("RG.TRIGGER", "t")
    assert r.ping()


def test_key_prefix(r):
    register(r, "GB('CommandReader').map(lambda w: call_next(*w[1:-1], 'hooked')).register(hook='mset', keyprefix='user:', mode='sync')")
    register(r, "GB('CommandReader').map(lambda w: 'mine').register(hook='zunionstore', keyprefix='to', mode='sync')")
    r.mset({"a": 1, "b": 2})
    r.mset({"a": 1, "user:b": 2})
    assert r.mget("a", "b", "user:b") == [b"1", b"2", b"hooked"]
    assert r.execute_command("ZUNIONSTORE", "x", 1, "a2") == 0
    assert r.execute_command("ZUNIONSTORE", "to", 1, "a2") == b"mine"


def test_what_scripts_execute_is_hooked_and_what_the_module_does_is_not(r):
    register(r, "GB('CommandReader').map(lambda w: 'hooked').register(hook='get', mode='sync')")
    register(r, "GB('CommandReader').map(lambda w: execute('GET', 'x')).register(trigger='t')")
    register(r, "GB('KeysReader').foreach(lambda x: execute('RPUSH', 'log', x['value'])).register('k', mode='sync')")
    r.set("k", "its value")
    assert r.lrange("log", 0, -1) == [b"its value"], "readers read as they always do"
    assert r.execute_command("RG.TRIGGER", "t") == [b"hooked"]


def test_inorder(r):
    register(r, "import time\n"
                "def slow(w):\n    time.sleep(0.05 if w[2] == 'a' else 0)\n    execute('APPEND', 'log', w[2])\n    return 'OK'\n"
                "GB('CommandReader').map(slow).register(hook='set', inorder=True)")
    other = redis.Redis(port=r.connection_pool.connection_kwargs["port"])
    with in_background(r.set, "k", "a"):
        time.sleep(0.02)
        other.set("k", "b")
    assert r.get("log") == b"ab"


def test_survives_a_restart(new_server):
    server = new_server()
    register(server.client(), STAMP.format(options="mode='sync'"))
    server.restart()
    client = server.client()
    wait_until(lambda: len(ids(client)) == 1)
    assert client.hset("h", "a", 1) == 2


def test_replicas_get_the_effects(new_server):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    register(p, STAMP.format(options="mode='sync'"))
    register(p, "GB('CommandReader').map(lambda w: call_next(w[1], w[2] + '!')).register(hook='set')")
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up" and len(ids(c)) == 2, 30)
    p.hset("h", "a", 1)
    p.set("k", "x")
    wait_until(lambda: c.hgetall("h") == {b"a": b"1", b"stamp": b"1"} and c.get("k") == b"x!")
    assert all(entry["RegistrationData"]["numTriggered"] == 0 for entry in entries(c))
    c.replicaof("NO", "ONE")
    c.hset("h2", "a", 1)
    assert c.hget("h2", "stamp") == b"1"


def test_rights_are_those_of_the_command(server, r):
    register(r, STAMP.format(options="mode='sync'"))
    r.execute_command("ACL", "SETUSER", "clerk", "on", ">secret", "~app:*", "+@hash", "-hdel", "+rg._hook")
    try:
        clerk = server.client(username="clerk", password="secret")
        assert clerk.hset("app:1", "a", 1) == 2
        with pytest.raises(redis.ResponseError, match="(?i)no.*perm"):
            clerk.hset("other", "a", 1)
        with pytest.raises(redis.ResponseError, match="(?i)no.*perm"):
            clerk.execute_command("RG._HOOK", "DEL", "app:1")
        with pytest.raises(redis.ResponseError, match="(?i)no.*perm"):
            clerk.execute_command("RG._HOOK", "HSET", "other", "a", 1)
    finally:
        r.execute_command("ACL", "DELUSER", "clerk")


def test_keys_are_those_of_the_command(r):
    def keys(*words):
        return plain(r.execute_command("COMMAND GETKEYS", "RG._HOOK", *words))

    assert keys("MSET", "a", 1, "b", 2) == ["a", "b"]
    assert keys("XREAD", "STREAMS", "s", "t", "0", "0") == ["s", "t"]


def test_memory_limits_hold(r):
    register(r, STAMP.format(options="mode='sync'"))
    r.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.ResponseError, match="OOM"):
            r.hset("h", "a", 1)
    finally:
        r.config_set("maxmemory", "0")


def test_functions_need_their_command(r):
    for call, text in (("call_next()", "Can not get CommandHook ctx"), ("get_command()", "Can not get command ctx"),
                       ("override_reply(1)", "Can not get command ctx")):
        assert text in error(r, call)
        assert text in r.execute_command("RG.PYEXECUTE", f"GB('ShardsIDReader').map(lambda x: {call}).run()")[1][0].decode()


@pytest.mark.parametrize("call, text", [
    ("GB('CommandReader').register(hook=1)", "hook argument is not string"),
    ("GB('CommandReader').register(hook='set', keyprefix=1)", "keyprefix argument is not string"),
    ("GB('CommandReader').register(hook='set', trigger='t')", "can not be given with keyprefix or hook"),
    ("GB('CommandReader').register(keyprefix='t')", "no trigger or hook argument was given"),
    ("GB('CommandReader').register(hook='nothing')", "Can not override an unexisting command"),
    ("GB('CommandReader').register(hook='multi')", "Can not override a command which are not allowed inside a script"),
    ("GB('CommandReader').register(hook='config')", "Can not override a command which are not allowed inside a script"),
    ("GB('CommandReader').register(hook='eval')", "Can not override a command which are not allowed inside a script"),
    ("GB('CommandReader').register(hook='rg.unregister')", "Can not override a command that scripts are managed with"),
    ("GB('CommandReader').register(hook='ping', keyprefix='a')", "by key prefix with none positive first key"),
    ("GB('CommandReader').register(hook='set')\nGB('CommandReader').register(hook='set')",
     "none sync registration which already created on this session"),
    ("GB().register('a', commands=5)", "given commands is not iterable"),
    ("GB().register('a', commands=[5])", "given command type is not string"),
    ("GB().register('a', commands=['nothing'])", "bad reply on COMMAND command"),
    ("GB().register('a', commands=['multi'])", "Can not hook a command which are not allowed inside a script"),
    ("GB().register('a', commands=['ping'])", "Can not hook a command by key prefix with none positive first key"),
    ("GB().register('', commands=['set'])", "Empty perfix given to command hooker"),
])
def test_refusals(r, call, text):
    assert text in error(r, call)
    assert ids(r) == []


# --- commands= ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_client_waits_for_the_executions(r, mode):
    register(r, "import time\ndef slow(x):\n    time.sleep(0.05)\n    execute('SET', 'seen', repr(get_command()))\n"
                f"GB('KeysReader').foreach(slow).register('user:*', commands=['HSET'], eventTypes=['hset'], mode='{mode}')")
    assert r.hset("user:1", "a", 1) == 1
    assert r.get("seen") == b"['HSET', 'user:1', 'a', '1']"
    r.delete("seen")
    r.hset("other", "a", 1)
    r.hincrby("user:1", "a", 1)
    time.sleep(0.1)
    assert not r.exists("seen") and stats(r)["numTriggered"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_miss_is_filled(r, mode):
    register(r, f"""
def fill(record):
    value = 'made for ' + record['key']
    execute('SET', record['key'], value)
    override_reply(value)
GB('KeysReader').foreach(fill).register('cache:*', commands=['get'], eventTypes=['keymiss'], readValue=False, mode='{mode}')
""")
    assert r.get("cache:1") == b"made for cache:1"
    assert r.get("cache:1") == b"made for cache:1"
    assert r.get("other") is None
    assert stats(r)["numTriggered"] == 1
    with r.pipeline(transaction=False) as pipe:
        for number in range(20):
            pipe.get(f"cache:{number}")
        assert pipe.execute() == [f"made for cache:{number}".encode() for number in range(20)]


def test_override_once_and_any_type(r):
    register(r, "def two(x):\n    override_reply([1, 'a', None])\n    override_reply(2)\n"
                "GB('KeysReader').foreach(two).register('k', commands=['append'], eventTypes=['append'])")
    assert r.execute_command("APPEND", "k", 1) == [1, b"a", None]
    assert "Can only override reply once" in stats(r)["lastError"]


def test_in_a_transaction_sync_is_linked_and_async_is_not(r):
    register(r, "GB('KeysReader').foreach(lambda x: override_reply('mine')).register('s', commands=['append'], mode='sync')")
    register(r, "GB('KeysReader').foreach(lambda x: override_reply('mine')).register('a', commands=['append'])")
    assert in_multi(r, "APPEND", "s", 1) == b"mine"
    assert in_lua(r, "APPEND", "s", 1) == b"mine"
    assert in_multi(r, "APPEND", "a", 1) == 1
    _, other = entries(r)
    wait_until(lambda: "Can not get command ctx" in (stats(r, other["id"])["lastError"] or ""))


def test_replies_of_watched_commands_are_what_they_were(server, r):
    register(r, "GB('KeysReader').register('*', commands=['set', 'hgetall', 'zrange', 'get', 'lpop', 'type'])")
    for protocol in (2, 3):
        client = server.client(protocol=protocol)
        assert client.execute_command("SET", "k", "v") == b"OK" or client.set("k", "v") is True
        client.hset("h", mapping={"a": 1})
        client.zadd("z", {"m": 1.5})
        assert client.hgetall("h") == {b"a": b"1"}
        # redis-py shapes both protocols' replies the same.
        assert [list(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [[b"m", 1.5]]
        assert client.get("nothing") is None and client.lpop("nothing") is None
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.get("h")
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            client.execute_command("GET")
    assert r.eval("return type(redis.call('SET', 'k', 1))", 0) == b"table", "a status is a status"


def test_a_client_that_goes_while_it_waits(server, r):
    register(r, "import time\nGB('KeysReader').foreach(lambda x: time.sleep(0.3)).register('k', commands=['set'])")
    impatient = server.client(socket_timeout=0.1)
    with pytest.raises(redis.TimeoutError):
        impatient.set("k", 1)
    impatient.close()
    wait_until(lambda: stats(r)["numSuccess"] == 1)
    assert r.set("k", 2)


def test_unregistered_while_a_client_waits(server, r):
    (one,) = register(r, "import time\nGB('KeysReader').foreach(lambda x: time.sleep(0.2)).register('k', commands=['set'])")
    clients = [server.client() for _ in range(4)]
    with in_background(clients[0].set, "k", 1), in_background(clients[1].set, "k", 2), in_background(clients[2].set, "k", 3):
        time.sleep(0.1)
        r.execute_command("RG.UNREGISTER", one, "ABORTPENDING")
    assert r.set("k", 4)


def test_dump(r):
    register(r, "GB('CommandReader').register(hook='Set', mode='sync')\nGB().register('a*', commands=['SET', 'del'])")
    hook, keys = entries(r)
    assert hook["RegistrationData"]["args"] == {"trigger": "set", "inorder": 0}
    assert plain(keys["RegistrationData"]["args"]["hookCommands"]) == ["set", "del"]


# --- coroutines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_hook_may_wait(r, mode):
    register(r, "import asyncio\nasync def slow(w):\n    await asyncio.sleep(0.05)\n    return call_next(w[1], w[2] + '!')\n"
                f"GB('CommandReader').map(slow).register(hook='set', convertToStr=False, mode='{mode}')")
    assert r.set("k", "x")
    assert r.get("k") == b"x!"


@pytest.mark.parametrize("mode", MODES)
def test_a_miss_that_is_filled_later(r, mode):
    register(r, "import asyncio\nasync def fill(x):\n    await asyncio.sleep(0.05)\n    assert get_command() == ['GET', x['key']]\n"
                "    override_reply('later')\n"
                f"GB().foreach(fill).register('c*', commands=['get'], eventTypes=['keymiss'], readValue=False, mode='{mode}')")
    assert r.get("c1") == b"later"


def test_an_older_hook_can_not_wait(r):
    register(r, "async def slow(w):\n    return 1\nGB('CommandReader').map(slow).register(hook='set', mode='sync')")
    register(r, "GB('CommandReader').map(lambda w: call_next(*w[1:])).register(hook='set', mode='sync')")
    with pytest.raises(redis.ResponseError, match="not allow|coroutine"):
        r.set("k", 1)
