"""register() of a StreamReader: what is read when, what becomes of it, and that nothing is lost."""

import time

import pytest
import redis

from gears import error
from helpers import PingWatch, in_multi, wait_until
from registrations import entries, ids, register, stats, unregister_all, wait_ended


pytestmark = pytest.mark.usefixtures("no_registrations")


#: Puts the ids of every batch into a list.
NOTE = """
def one(a, record):
    return (a or []) + [record['id']]
GB('StreamReader').accumulate(one).foreach(lambda ids: execute('RPUSH', 'log', repr(ids)))
""".strip()


def noted(client, count, seconds=20):
    """The batches that were noted, when there are so many."""
    wait_until(lambda: client.llen("log") >= count, seconds, what=f"{count} batches")
    return [eval(text) for text in client.lrange("log", 0, -1)]


def add(client, key, *numbers):
    for number in numbers:
        client.xadd(key, {"n": number}, id=f"{number}-1")


def groups(client, key):
    return {group["name"]: (group["pending"], group["last-delivered-id"]) for group in client.xinfo_groups(key)}


@pytest.mark.parametrize("mode", ["async", "async_local", "sync"])
def test_an_entry_starts_an_execution(r, mode):
    register(r, f"GB('StreamReader').foreach(lambda x: execute('RPUSH', 'log', repr(x))).register('s*', mode='{mode}')")
    add(r, "s1", 1)
    r.xadd("s2", {"a": "x", b"\xff": b"\xff"}, id="7-2")
    r.xadd("other", {"a": 1})
    r.set("s3", 1)
    wait_until(lambda: r.llen("log") == 2)
    found = [eval(text, {"bytearray": bytearray}) for text in r.lrange("log", 0, -1)]
    assert found == [
        {"key": "s1", "id": "1-1", "value": {"n": "1"}},
        {"key": "s2", "id": "7-2", "value": {"a": "x", b"\xff": bytearray(b"\xff")}},
    ]
    done = wait_ended(r, 2)
    assert (done["numTriggered"], done["numSuccess"], done["status"]) == (2, 2, "OK")
    wait_until(lambda: r.xlen("s1") == r.xlen("s2") == 0, what="worked off entries deleted")
    assert r.xlen("other") == 1


def test_sync_is_done_when_the_command_answers(r):
    register(r, f"{NOTE}.register('s', mode='sync')")
    add(r, "s", 1)
    assert noted(r, 1, 0.1) == [["1-1"]] and r.xlen("s") == 0
    assert in_multi(r, "XADD", "s", "2-1", "n", 1) and noted(r, 2, 0.1) == [["1-1"], ["2-1"]]
    r.eval("redis.call('XADD', 'n', '1-1', 'n', 1) redis.call('XADD', 's', '3-1', 'n', 1)", 0)
    assert noted(r, 3, 0.1)[-1] == ["3-1"]


def test_a_batch_is_full_or_has_waited(r):
    register(r, f"{NOTE}.register('full*', batch=3)")
    add(r, "full:1", 1, 2)
    add(r, "full:2", 1)
    add(r, "full:2", 2, 3, 4)
    assert noted(r, 1) == [["1-1", "2-1", "3-1"]]
    add(r, "full:1", 3)
    noted(r, 2)
    time.sleep(0.1)
    assert r.llen("log") == 2 and r.xlen("full:2") == 1
    unregister_all(r)
    r.delete("log")
    register(r, f"{NOTE}.register('timed', batch=100, duration=100)")
    begun = time.monotonic()
    add(r, "timed", 1, 2, 3)
    assert noted(r, 1) == [["1-1", "2-1", "3-1"]]
    assert time.monotonic() - begun >= 0.09
    lag = wait_ended(r, 1)
    assert lag["lastEstimatedLagMS"] >= 90 and float(lag["avgEstimatedLagMS"]) >= 90


def test_what_was_there_before_is_read_in_order(r):
    add(r, "s", *range(1, 301))
    r.sadd("not a stream", 1)
    register(r, f"{NOTE}.register('*', batch=7, duration=50)")
    wait_until(lambda: r.xlen("s") == 0)
    read = [one for batch in noted(r, 43) for one in batch]
    assert read == [f"{number}-1" for number in range(1, 301)]


def test_entries_that_other_registrations_add(r):
    register(r, "GB().foreach(lambda x: execute('XADD', 's', '*', 'key', x['key'])).register('k*', mode='sync')")
    register(r, "GB().foreach(lambda x: execute('XADD', 's', '*', 'key', x['key'])).register('k*', mode='async')")
    register(r, "GB('StreamReader').foreach(lambda x: execute('RPUSH', 'log', x['value']['key'])).register('s')")
    r.set("k1", 1)
    wait_until(lambda: r.lrange("log", 0, -1) == [b"k1", b"k1"])


def test_other_databases(server, r):
    register(r, f"{NOTE}.register('s')")
    with_data = server.client(db=3)
    add(with_data, "s", 1)
    assert noted(with_data, 1) == [["1-1"]] and not r.exists("log")
    with_data.flushdb()


def test_each_registration_sees_every_entry(r):
    register(r, "GB('StreamReader').foreach(lambda x: execute('INCR', 'fast')).register('s')")
    register(r, "import time\nGB('StreamReader').foreach(lambda x: (time.sleep(0.01), execute('INCR', 'slow'))).register('s')")
    # Somebody else's group loses nothing either.
    r.xgroup_create("s", "mine", "0", mkstream=True)
    add(r, "s", *range(1, 21))
    wait_until(lambda: r.get("fast") == r.get("slow") == b"20")
    assert r.xlen("s") == 20 and len(groups(r, "s")) == 3
    assert len(r.xreadgroup("mine", "me", {"s": ">"})[0][1]) == 20
    r.xack("s", "mine", *[f"{number}-1" for number in range(1, 21)])
    add(r, "s", 21)
    wait_until(lambda: r.get("slow") == b"21")
    wait_until(lambda: [one for one, _ in r.xrange("s")] == [b"21-1"])
    unregister_all(r)
    wait_until(lambda: list(groups(r, "s")) == [b"mine"], what="groups of registrations that went")


def test_without_trimming(r):
    register(r, f"{NOTE}.register('s', trimStream=False)", "ID", "one")
    add(r, "s", 1, 2)
    noted(r, 2)
    # An upgrade goes on where the old one was.
    register(r, f"{NOTE}.register('s', trimStream=False)", "ID", "one", "UPGRADE")
    add(r, "s", 3)
    assert noted(r, 3) == [["1-1"], ["2-1"], ["3-1"]] and r.xlen("s") == 3
    register(r, f"{NOTE}.register('s', trimStream=False)", "ID", "two", "REPLACE_WITH", "one")
    add(r, "s", 4)
    assert noted(r, 4)[3:] == [["4-1"]] and len(groups(r, "s")) == 1
    # A new registration begins with the stream.
    unregister_all(r)
    register(r, f"{NOTE}.register('s', trimStream=False)")
    assert len(noted(r, 8)) == 8


FAIL = """
def check(x):
    if int(x['value']['n']) == int(execute('GET', 'bad') or -1):
        raise Exception('bad number')
    execute('RPUSH', 'log', repr([x['id']]))
GB('StreamReader').foreach(check)
""".strip()


def test_continue_leaves_a_failure_behind(r):
    r.set("bad", 2)
    register(r, f"{FAIL}.register('s')")
    add(r, "s", 1, 2, 3)
    done = wait_ended(r, 3)
    assert noted(r, 2) == [["1-1"], ["3-1"]]
    assert (done["numSuccess"], done["numFailures"], done["status"]) == (2, 1, "OK")
    wait_until(lambda: r.xlen("s") == 0)


def test_retry_reads_the_same_again(r):
    r.set("bad", 2)
    register(r, f"{FAIL}.register('s', onFailedPolicy='Retry', onFailedRetryInterval=0.2)")
    add(r, "s", 1, 2, 3)
    failed = wait_until(lambda: stats(r)["numFailures"] >= 1 and stats(r))
    assert failed["status"] == "WAITING_FOR_RETRY_ON_FAILURE" and "bad number" in failed["lastError"]
    wait_until(lambda: stats(r)["numFailures"] >= 2)
    assert noted(r, 1) == [["1-1"]]
    r.delete("bad")
    assert noted(r, 3) == [["1-1"], ["2-1"], ["3-1"]]
    wait_until(lambda: stats(r)["status"] == "OK" and stats(r)["lastError"] is None)


def test_abort_ends_it_and_keeps_the_entries(r):
    r.set("bad", 2)
    (one,) = register(r, f"{FAIL}.register('s', onFailedPolicy='abort')")
    add(r, "s", 1, 2, 3)
    wait_until(lambda: stats(r)["status"] == "ABORTED")
    add(r, "s", 4)
    time.sleep(0.1)
    assert stats(r)["numTriggered"] == 2
    assert noted(r, 1) == [["1-1"]] and [one for one, _ in r.xrange("s")] == [b"2-1", b"3-1", b"4-1"]
    # Told to, it goes on with what failed.
    r.delete("bad")
    assert r.execute_command("RG.UNPAUSEREGISTRATIONS", one) == b"OK"
    assert noted(r, 4) == [["1-1"], ["2-1"], ["3-1"], ["4-1"]]


def test_pause(r):
    (one,) = register(r, f"{NOTE}.register('s')")
    (_, two) = register(r, f"{NOTE}.register('t')")
    assert r.execute_command("RG.PAUSEREGISTRATIONS", "ABORTPENDING", one, two) == b"OK"
    assert stats(r, one)["status"] == stats(r, two)["status"] == "PAUSED"
    add(r, "s", 1)
    time.sleep(0.1)
    assert not r.exists("log")
    with pytest.raises(redis.ResponseError, match="does not exists on shard"):
        r.execute_command("RG.UNPAUSEREGISTRATIONS", one, "nothing")
    assert stats(r, one)["status"] == "PAUSED"
    assert r.execute_command("RG.UNPAUSEREGISTRATIONS", one, two) == b"OK"
    assert noted(r, 1) == [["1-1"]]


def test_an_error_that_says_pause(r):
    (one,) = register(r, "GB('StreamReader').foreach(lambda x: flat_error('PAUSE for now') if execute('EXISTS', 'stop') else "
                         "execute('INCR', 'seen')).register('s')")
    r.set("stop", 1)
    add(r, "s", 1)
    wait_until(lambda: stats(r)["status"] == "PAUSED")
    assert stats(r)["lastError"] == "PAUSE for now"
    r.delete("stop")
    r.execute_command("RG.UNPAUSEREGISTRATIONS", one)
    wait_until(lambda: r.get("seen") == b"1" and r.xlen("s") == 0)


def test_streams_that_go_and_come(r):
    register(r, f"{NOTE}.register('s*', batch=2)")
    add(r, "s1", 1)
    r.delete("s1")
    add(r, "s1", 5, 6)
    assert noted(r, 1) == [["5-1", "6-1"]]
    add(r, "s1", 7)
    r.flushall()
    add(r, "s1", 1, 2)
    assert noted(r, 1) == [["1-1", "2-1"]]
    # A stream under another name is where it was.
    add(r, "other", 1, 2, 3)
    r.rename("other", "s2")
    assert noted(r, 2)[1] == ["1-1", "2-1"]
    add(r, "s2", 4)
    assert noted(r, 3)[2] == ["3-1", "4-1"]
    r.set("s2", 1)
    r.delete("s2")
    add(r, "s2", 1, 2)
    assert noted(r, 4)[3] == ["1-1", "2-1"]


def test_streams_that_are_made_again_at_once(r):
    """An entry that arrives while a turn finds its stream gone is not forgotten with it."""
    register(r, f"{NOTE}.register('s*', batch=2)")
    for number in range(300):
        add(r, f"s{number}", 1)
        r.delete(f"s{number}")
        add(r, f"s{number}", 5, 6)
    assert noted(r, 300) == [["5-1", "6-1"]] * 300


def test_a_group_that_somebody_destroyed(r):
    register(r, f"{NOTE}.register('s')")
    add(r, "s", 1)
    noted(r, 1)
    (group,) = groups(r, "s")
    r.xgroup_destroy("s", group)
    add(r, "s", 2)
    assert noted(r, 2)[1] == ["2-1"]


def test_dump(r):
    register(r, f"{NOTE}.register('s*', batch=2, duration=30, onFailedPolicy='RETRY', onFailedRetryInterval=5, "
                "trimStream=False, mode='async_local')")
    (entry,) = entries(r)
    assert entry["reader"] == "StreamReader"
    data = entry["RegistrationData"]
    assert list(data) == [
        "mode", "numTriggered", "numSuccess", "numFailures", "numAborted", "lastRunDurationMS", "totalRunDurationMS",
        "avgRunDurationMS", "lastEstimatedLagMS", "avgEstimatedLagMS", "lastError", "args", "status",
    ]
    assert data["args"] == {"batchSize": 2, "durationMS": 30, "stream": "s*", "trimStream": 0,
                            "onFailedPolicy": "retry", "retryInterval": 5}


@pytest.mark.parametrize("arguments, text", [
    ("batch='x'", "batch argument must be a number"),
    ("batch=0", "batch argument must be at least 1"),
    ("duration='x'", "duration argument must be a number"),
    ("duration=-1", "duration argument must be from 0"),
    ("onFailedPolicy='x'", "onFailedPolicy must be Continue/Abort/Retry"),
    ("onFailedPolicy=1", "onFailedPolicy must be a string (Continue/Abort/Retry)"),
    ("onFailedPolicy='retry', mode='sync'", "ExecutionMode sync can only be combined with OnFailedPolicy Continue"),
    ("onFailedRetryInterval='x'", "retryInterval argument must be a number"),
    ("trimStream=1", "pyTrimmStream argument must be a boolean"),
    ("eventTypes=['set']", "unexpected keyword argument 'eventTypes'"),
])
def test_refusals(r, arguments, text):
    assert text in error(r, f"GB('StreamReader').register('s', {arguments})")
    assert ids(r) == []


def test_a_time_limit_is_a_failure_and_the_entry_is_done(r):
    register(r, "def run(x):\n    while True: pass\nGB('StreamReader').foreach(run).register('s')", "TIMEOUT", 200)
    add(r, "s", 1)
    assert wait_ended(r, 1)["numFailures"] == 1
    wait_until(lambda: r.xlen("s") == 0)


def test_many_entries_and_one_after_the_other(server, r):
    register(r, "GB('StreamReader').foreach(lambda x: execute('RPUSH', 'log', x['value']['n'])).register('s')")
    count = 5000
    for start in range(0, count, 1000):
        with r.pipeline(transaction=False) as pipe:
            for number in range(start, start + 1000):
                pipe.xadd("s", {"n": number})
            pipe.execute()
    assert wait_ended(r, count, seconds=120)["numSuccess"] == count
    assert [int(number) for number in r.lrange("log", 0, -1)] == list(range(count))
    wait_until(lambda: r.xlen("s") == 0)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_coroutines_keep_the_order_and_are_acknowledged_at_their_end(r, mode):
    register(r, f"""
import asyncio
async def slow(x):
    await asyncio.sleep(0.05 if x['id'] == '1-1' else 0)
    execute('RPUSH', 'log', x['id'])
    if x['id'] == '2-1':
        flat_error('not this one')
GB('StreamReader').foreach(slow).register('s', mode='{mode}')
""")
    add(r, "s", 1, 2, 3)
    assert r.xlen("s") == 3
    done = wait_ended(r, 3)
    assert (done["numSuccess"], done["numFailures"]) == (2, 1)
    assert r.lrange("log", 0, -1) == [b"1-1", b"2-1", b"3-1"]
    wait_until(lambda: r.xlen("s") == 0)
    add(r, "s", 4)
    wait_until(lambda: r.llen("log") == 4)


def test_a_coroutine_that_fails_is_tried_again(r):
    register(r, """
async def check(x):
    if not execute('EXISTS', 'go'):
        flat_error('not yet')
    execute('RPUSH', 'log', x['id'])
GB('StreamReader').foreach(check).register('s', onFailedPolicy='retry', onFailedRetryInterval=0.1)
""")
    add(r, "s", 1, 2)
    wait_until(lambda: stats(r)["numFailures"] >= 2)
    assert not r.exists("log") and r.xlen("s") == 2
    r.set("go", 1)
    wait_until(lambda: r.lrange("log", 0, -1) == [b"1-1", b"2-1"] and r.xlen("s") == 0)


# --- survival ------------------------------------------------------------------------------------------------


COUNT = "GB('StreamReader').foreach(lambda x: execute('HINCRBY', 'seen', x['id'], 1)).register('s', batch=1)"


def hold(client):
    """Registers, works some entries off, then leaves some that are read but not done."""
    register(client, f"""
def check(x):
    if execute('EXISTS', 'stop'):
        flat_error('PAUSE')
    execute('HINCRBY', 'seen', x['id'], 1)
GB('StreamReader').foreach(check).register('s', trimStream=False)
""")
    add(client, "s", *range(1, 11))
    wait_until(lambda: client.hlen("seen") == 10)
    client.set("stop", 1)
    add(client, "s", *range(11, 21))
    wait_until(lambda: stats(client)["status"] == "PAUSED")
    assert client.hlen("seen") == 10
    client.delete("stop")


def check_rest(client):
    wait_until(lambda: ids(client), what="the registration is back")
    # What it was paused for is over, but it was not told so.
    assert stats(client)["status"] == "PAUSED"
    assert client.execute_command("RG.UNPAUSEREGISTRATIONS", *ids(client)) == b"OK"
    wait_until(lambda: client.hlen("seen") == 20, 20, what="the rest is read after the restart")
    assert set(client.hvals("seen")) == {b"1"}, "an acknowledged entry was read again"
    add(client, "s", 21)
    wait_until(lambda: client.hlen("seen") == 21)


def test_rdb(new_server):
    server = new_server()
    hold(server.client())
    server.restart()
    check_rest(server.client())


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_aof_of_a_killed_server(new_server, preamble):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble])
    hold(server.client())
    server.kill()
    server.start()
    check_rest(server.client())


def test_aof_that_was_rewritten(new_server):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    client = server.client()
    hold(client)
    client.bgrewriteaof()
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"]
               and not client.info("persistence")["aof_rewrite_scheduled"], 20)
    server.kill()
    server.start()
    check_rest(server.client())


def test_debug_reload(new_server):
    server = new_server()
    client = server.client()
    register(client, COUNT)
    add(client, "s", 1, 2)
    wait_until(lambda: client.hlen("seen") == 2)
    client.execute_command("DEBUG", "RELOAD")
    add(client, "s", 3)
    wait_until(lambda: client.hlen("seen") == 3)
    assert set(client.hvals("seen")) == {b"1"}


def test_replica_and_failover(new_server):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    hold(p)
    wait_until(lambda: c.hlen("seen") == 10 and len(ids(c)) == 1 and c.xlen("s") == 20)
    assert groups(c, "s") == groups(p, "s")
    time.sleep(0.2)
    assert stats(c)["numTriggered"] == 0, "a replica reads nothing"
    wait_until(lambda: not c.exists("stop"))
    primary.kill()
    c.replicaof("NO", "ONE")
    check_rest(c)


FAILS = "GB('StreamReader').foreach(lambda x: 1 / 0).register('s', onFailedPolicy='abort')"


def test_what_was_aborted_or_paused_stays_so_until_it_is_told_to_go_on(new_server):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    client = server.client()
    register(client, FAILS)
    aborted, paused = register(client, COUNT)
    add(client, "s", 1)
    wait_until(lambda: stats(client, aborted)["status"] == "ABORTED" and client.hlen("seen") == 1)
    client.execute_command("RG.PAUSEREGISTRATIONS", paused)
    add(client, "s", 2)
    for restart in (lambda: (server.kill(), server.start()), lambda: server.restart(save=False)):
        restart()
        client = server.client()
        wait_until(lambda: len(ids(client)) == 2)
        assert (stats(client, aborted)["status"], stats(client, paused)["status"]) == ("ABORTED", "PAUSED")
        add(client, "s", f"{int(client.xlen('s')) + 1}")
        assert stats(client, aborted)["numTriggered"] == stats(client, paused)["numTriggered"] == 0
    client.execute_command("RG.UNPAUSEREGISTRATIONS", paused)
    wait_until(lambda: client.hlen("seen") == 4)
    server.kill()
    server.start()
    client = server.client()
    wait_until(lambda: len(ids(client)) == 2)
    assert (stats(client, aborted)["status"], stats(client, paused)["status"]) == ("ABORTED", "OK")


def test_a_replica_knows_what_is_paused(new_server):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    (early,) = register(p, COUNT)
    p.execute_command("RG.PAUSEREGISTRATIONS", early)
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    wait_until(lambda: ids(c) == [early])
    assert stats(c)["status"] == "PAUSED"
    p.execute_command("RG.UNPAUSEREGISTRATIONS", early)
    wait_until(lambda: stats(c)["status"] == "OK")
    register(p, FAILS)
    late = ids(p)[1]
    p.execute_command("MULTI")
    add(p, "s", 1)
    p.execute_command("RG.PAUSEREGISTRATIONS", early)
    p.execute_command("EXEC")
    wait_until(lambda: len(ids(c)) == 2 and stats(c, early)["status"] == "PAUSED" and stats(c, late)["status"] == "ABORTED")
    with pytest.raises(redis.ReadOnlyError):
        c.execute_command("RG.UNPAUSEREGISTRATIONS", early)
    primary.kill()
    c.replicaof("NO", "ONE")
    c.xadd("s", {"n": 2})
    assert (stats(c, early)["status"], stats(c, late)["status"]) == ("PAUSED", "ABORTED")
    assert c.execute_command("RG.UNPAUSEREGISTRATIONS", early) == b"OK"
    wait_until(lambda: c.hlen("seen") == 2)


def test_a_kill_in_the_middle_loses_nothing(new_server):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    client = server.client()
    register(client, COUNT.replace("batch=1", "batch=5, duration=20, trimStream=True"))
    with client.pipeline(transaction=False) as pipe:
        for number in range(1, 2001):
            pipe.xadd("s", {"n": number}, id=f"{number}-1")
        pipe.execute()
    wait_until(lambda: client.hlen("seen") > 100)
    server.kill()
    server.start()
    client = server.client()
    wait_until(lambda: client.hlen("seen") == 2000 and client.xlen("s") == 0, 60)
    # At least once: what was under way when the server was killed may come again, and that is little.
    assert sum(map(int, client.hvals("seen"))) <= 2000 + 400


def test_large_batches_do_not_hold_the_server_up(server, r):
    register(r, f"{NOTE}.register('s', batch=2000)")
    with PingWatch(server) as watch:
        with r.pipeline(transaction=False) as pipe:
            for number in range(1, 4001):
                pipe.xadd("s", {"n": "x" * 100}, id=f"{number}-1")
            pipe.execute()
        assert [len(batch) for batch in noted(r, 2)] == [2000, 2000]
        wait_until(lambda: r.xlen("s") == 0)
    assert watch.percentile(99) < 1
