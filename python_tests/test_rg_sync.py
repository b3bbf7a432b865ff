"""mode='sync': the callback has run when the command that caused the event answers, whatever it does to the command's keys.

Before Redis 7.2 the server has no moment for that, and a write inside its notification may end it.
"""

import pytest

from gears import results
from helpers import config, in_lua, in_multi, wait_until
from registrations import register, stats, wait_ended

pytestmark = pytest.mark.usefixtures("no_registrations")

# An event, and the commands of which the last one causes it. Several of these ended Redis 7.0, others read freed memory.
CASES = [
    ("set", [["SET", "a", 1, "EX", 10]]),
    ("expire", [["SET", "a", 1], ["GETEX", "a", "EX", 100]]),
    ("srem", [["SADD", "a", 1, 2, 3], ["SADD", "b", 9], ["SMOVE", "a", "b", 1]]),
    ("spop", [["SADD", "a", *range(100)], ["SPOP", "a", 50]]),
    ("zpopmin", [["ZADD", "a", *sum(([n, n] for n in range(50)), [])], ["ZPOPMIN", "a", 5]]),
    ("lpush", [["RPUSH", "a", 1, 2, 3], ["RPUSH", "b", 9], ["LMOVE", "a", "b", "LEFT", "LEFT"]]),
    ("xadd", [["XADD", "a", "1-1", "x", 1], ["XADD", "a", "MAXLEN", "1", "2-1", "x", 1]]),
    ("rename_from", [["RPUSH", "a", 1], ["RENAME", "a", "b"]]),
    ("hset", [["HSET", "a", "f", 1]]),
    ("sortstore", [["RPUSH", "a", 3, 2, 1], ["SORT", "a", "STORE", "b"]]),
    ("zunionstore", [["ZADD", "a", 1, "x"], ["ZUNIONSTORE", "b", 1, "a"]]),
    ("set", [["MSET", "a", 1, "b", 2]]),
]


def expected(server, before, last):
    """What the last command answers where nobody registered anything."""
    client = server.client(db=9)
    client.flushdb()
    for command in [*before, last]:
        reply = client.execute_command(*command)
    client.flushdb()
    return reply


@pytest.mark.parametrize("how", ["alone", "multi", "lua", "script"])
@pytest.mark.parametrize("event, commands", CASES, ids=lambda value: value if isinstance(value, str) else value[-1][0].lower())
def test_a_callback_may_delete_all_that_the_command_works_on(server, r, event, commands, how):
    *before, last = commands
    plain = expected(server, before, last)
    for command in before:
        r.execute_command(*command)
    register(r, f"def clear(x):\n    execute('DEL', 'a', 'b')\n    execute('INCR', 'calls')\n"
                f"GB().foreach(clear).register('*', mode='sync', eventTypes=['{event}'], readValue=False)")
    if how == "alone":
        reply = r.execute_command(*last)
    elif how == "multi":
        reply = in_multi(r, *last)
    elif how == "lua":
        reply = in_lua(r, *last)
    else:
        results(r, f"GB('ShardsIDReader').map(lambda _: execute(*{[str(word) for word in last]!r})).run()")
        reply = plain
    # It has run.
    assert int(r.get("calls")) == (2 if last[0] == "MSET" else 1) and not r.exists("a", "b")
    if last[0] != "SPOP":
        assert reply == plain or how == "lua"
    else:
        assert len(reply) == 50
    for number in range(20):
        r.set(f"other:{number}", number)
    assert r.ping()


def test_what_expires_is_called_back_although_no_command_wrote(r):
    register(r, "GB().foreach(lambda x: execute('RPUSH', 'log', x['key'] + x['event'])).register('gone*', mode='sync', eventTypes=['expired'])")
    for number in range(50):
        r.set(f"gone:{number}", 1, px=1)
    wait_until(lambda: r.llen("log") == 50)
    assert stats(r)["numSuccess"] == 50


def test_a_miss_is_called_back(r):
    register(r, "GB().foreach(lambda x: execute('SET', x['key'], 'made')).register('miss', mode='sync', eventTypes=['keymiss'])")
    assert r.get("miss") is None
    wait_until(lambda: r.get("miss") == b"made")


@pytest.mark.parametrize("how", ["multi", "pipeline"])
def test_misses_that_come_faster_than_they_are_worked_off_are_bounded(r, how):
    """Nobody can make clients that read wait: what is too much is given up, and counted."""
    misses, name = 20_000, "miss:" + "x" * 500
    register(r, "import time\nGB().foreach(lambda x: time.sleep(0.0005)).register('miss:*', mode='sync', eventTypes=['keymiss'])")
    with config(r, event_queue_bytes="256kb"):
        with r.pipeline(transaction=how == "multi") as pipe:
            for _ in range(misses):
                pipe.get(name)
            assert pipe.execute() == [None] * misses
        used = r.info("memory")["used_memory"]
        ended = wait_ended(r, misses, seconds=120)
    assert ended["numTriggered"] == misses == ended["numSuccess"] + ended["numAborted"], ended
    assert ended["numSuccess"] > 100
    if how == "multi":
        # They all wait for the end of the transaction, or for the next turn of the server.
        assert ended["numAborted"] > misses / 2, ended
        after = r.info("memory")["used_memory"]
        assert used - after < 8 << 20, (used, after)


def test_callbacks_do_not_feed_themselves_nor_each_other(r):
    register(r, "GB().foreach(lambda x: execute('HINCRBY', x['key'], 'version', 1))"
                ".register('doc:*', mode='sync', eventTypes=['hset', 'hincrby'])")
    assert r.hset("doc:1", "text", "a") == 1
    assert r.hgetall("doc:1") == {b"text": b"a", b"version": b"1"}
    assert in_multi(r, "HSET", "doc:1", "text", "b") == 0 and in_lua(r, "HSET", "doc:1", "text", "c") == 0
    assert r.hget("doc:1", "version") == b"3"
    # One that the first is the cause of.
    register(r, "GB().foreach(lambda x: execute('HINCRBY', x['key'], 'seen', 1))"
                ".register('doc:*', mode='sync', eventTypes=['hset', 'hincrby'])")
    r.hset("doc:2", "text", "a")
    found = {name: int(value) for name, value in r.hgetall("doc:2").items() if name != b"text"}
    # Each for the command itself and for what the other one did about it.
    assert found == {b"version": 2, b"seen": 2}
    assert r.ping()


def test_a_command_with_callbacks_that_write_by_the_same_command(r):
    register(r, "GB().foreach(lambda x: execute('HSET', x['key'], 'stamp', 'now'))"
                ".register('doc:*', mode='sync', eventTypes=['hset'], commands=['hset'])")
    assert r.hset("doc:1", "text", "a") == 1
    assert r.hgetall("doc:1") == {b"text": b"a", b"stamp": b"now"}


def test_commands_of_other_keys_and_reads_are_left_alone(server, r):
    register(r, "GB().foreach(lambda x: execute('INCR', 'calls')).register('mine:*', mode='sync', eventTypes=['set'])")
    r.config_resetstat()
    r.set("other", 1)
    r.get("mine:1")
    assert "cmdstat_rg._hook" not in r.info("commandstats")
    r.set("mine:1", 1)
    assert r.get("calls") == b"1"


def test_refusals_of_the_server_stay(server, r):
    register(r, "GB().foreach(lambda x: execute('INCR', 'calls')).register('mine:*', mode='sync')")
    r.rpush("mine:list", 1)
    before = r.get("calls")
    with pytest.raises(Exception, match="WRONGTYPE|wrong kind"):
        r.incr("mine:list")
    with pytest.raises(Exception, match="wrong number of arguments"):
        r.execute_command("SET", "mine:1")
    assert r.get("calls") == before
    # The user's rights are those to the command.
    r.execute_command("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all", "-set")
    client = server.client(username="reader", password="x")
    with pytest.raises(Exception, match="no permissions"):
        client.set("mine:1", 1)
    client.incr("mine:2")
    r.execute_command("ACL", "DELUSER", "reader")


def test_writes_are_replicated_as_they_were(new_server):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    register(p, "GB().foreach(lambda x: execute('HINCRBY', 'seen', x['key'], 1)).register('mine:*', mode='sync', eventTypes=['set', 'incrby'])")
    p.set("mine:1", 1, ex=1000)
    p.incr("mine:1")
    with p.pipeline(transaction=True) as pipe:
        pipe.set("mine:2", 1)
        pipe.incr("mine:2")
        pipe.execute()
    wait_until(lambda: c.hgetall("seen") == {b"mine:1": b"2", b"mine:2": b"2"})
    assert c.get("mine:1") == c.get("mine:2") == b"2" and c.ttl("mine:1") > 900
