"""register(): which events start an execution, what it gets, and what becomes of it."""

import pytest
import redis

from gears import error, executions, wait_freed
from helpers import PingWatch, in_multi, plain, wait_until
from registrations import entries, ids, owned, register, stats, unregister_all, wait_ended


pytestmark = pytest.mark.usefixtures("no_registrations")


#: Puts every record into a list which the registration is not about.
NOTE = "GB().foreach(lambda record: execute('RPUSH', 'log', repr(record)))"


def noted(r, count, seconds=20):
    """The records that were noted, when there are so many."""
    wait_until(lambda: r.llen("log") >= count, seconds, what=f"{count} records")
    return [eval(text, {"bytearray": bytearray}) for text in r.lrange("log", 0, -1)]


@pytest.mark.parametrize("mode", ["async", "async_local", "sync"])
def test_an_event_brings_the_key_as_it_was(r, mode):
    register(r, f"{NOTE}.register('user:*', mode='{mode}')")
    r.set("user:1", "Ada")
    r.hset("user:2", "name", "Grace")
    r.set("other", "x")
    r.delete("user:1")
    found = noted(r, 3)
    assert found == [
        {"key": "user:1", "event": "set", "type": "string", "value": "Ada"},
        {"key": "user:2", "event": "hset", "type": "hash", "value": {"name": "Grace"}},
        {"key": "user:1", "event": "del", "type": "empty", "value": None},
    ]
    assert wait_ended(r, 3)["numSuccess"] == 3


def test_values_of_every_type(r):
    register(r, f"{NOTE}.register('v:*')")
    r.rpush("v:list", "a", "b")
    r.sadd("v:set", "m")
    r.zadd("v:zset", {"m": 1.5})
    r.xadd("v:stream", {"f": "x"}, id="1-1")
    r.set("v:bytes", b"\xff")
    values = {record["key"]: record["value"] for record in noted(r, 5)}
    assert values == {
        "v:list": ["a", "b"], "v:set": {"m"}, "v:zset": {"m": 1.5}, "v:stream": [["1-1", {"f": "x"}]],
        "v:bytes": bytearray(b"\xff"),
    }


def test_prefix_is_a_star_at_the_end_or_one_key(r):
    register(r, f"{NOTE}.register('exact', readValue=False)")
    register(r, f"{NOTE}.register('st*r*', readValue=False)")
    register(r, f"{NOTE}.register('literal*', noScan=True, readValue=False)")
    for key in ("exact", "exact2", "st*ring", "string", "literal1", "literal*"):
        r.set(key, 1)
    r.set("exact", 2)
    found = [record["key"] for record in noted(r, 4)]
    assert sorted(found) == ["exact", "exact", "literal*", "st*ring"]


def test_event_types_and_key_types(r):
    register(r, f"{NOTE}.register('*', eventTypes=['SET', 'expired', 'keymiss'], keyTypes=['string', 'empty'], readValue=False)")
    r.set("a", 1)
    r.rpush("b", 1)
    r.set("c", 1, px=20)
    wait_until(lambda: not r.exists("c"))
    r.get("nothing")
    # Looking for the list is a miss too, as long as it is not there.
    wanted = {("a", "set"), ("c", "set"), ("c", "expired"), ("nothing", "keymiss")}
    wait_until(lambda: wanted <= {(record["key"], record["event"]) for record in noted(r, 4)})
    assert {record["event"] for record in noted(r, 4)} == {"set", "expired", "keymiss"}


def test_sync_is_done_when_the_command_answers(r):
    register(r, "GB().foreach(lambda x: execute('SET', 'copy:' + x['key'], x['value'])).register('user:*', mode='sync')")
    r.set("user:1", "Ada")
    assert r.get("copy:user:1") == b"Ada"
    assert in_multi(r, "SET", "user:2", "Grace") and r.get("copy:user:2") == b"Grace"
    r.eval("redis.call('SET', 'user:3', 'Lin')", 0)
    assert r.get("copy:user:3") == b"Lin"


def test_events_of_other_databases(server, r):
    register(r, f"{NOTE}.register('k', mode='async')")
    register(r, "GB().foreach(lambda x: execute('INCR', 'sync')).register('k', mode='sync')")
    other = server.client(db=3)
    other.set("k", 1)
    wait_until(lambda: other.llen("log") == 1)
    assert other.get("sync") == b"1" and not r.exists("sync", "log")
    other.flushdb()


def test_a_failure_is_counted_and_shown(r):
    register(r, "GB().map(lambda record: 1 / int(record['value'])).register('n:*')")
    r.set("n:1", 0)
    failed = wait_ended(r, 1)
    assert (failed["numTriggered"], failed["numFailures"]) == (1, 1) and "ZeroDivisionError" in failed["lastError"]
    r.set("n:1", 1)
    done = wait_ended(r, 2)
    assert (done["numSuccess"], done["lastError"]) == (1, None)
    assert sorted(executions(r).values()) == [("done", 1), ("done", 1)]
    r.execute_command("RG.CLEARREGISTRATIONSSTATS")
    assert stats(r)["numTriggered"] == stats(r)["numFailures"] == 0


def test_dump_shows_what_was_registered(r):
    register(r, "GB('KeysReader', desc='about').register('p*', eventTypes=['set'], mode='async_local')", "ID", "mine",
             "DESCRIPTION", "words")
    (entry,) = entries(r)
    assert list(entry) == ["id", "reader", "desc", "RegistrationData", "PD", "ExecutionThreadPool"]
    assert (entry["reader"], entry["desc"], entry["ExecutionThreadPool"]) == ("KeysReader", "about", "DefaultPool")
    data = entry["RegistrationData"]
    assert list(data) == ["mode", "numTriggered", "numSuccess", "numFailures", "numAborted", "lastRunDurationMS",
                          "totalRunDurationMS", "avgRunDurationMS", "lastError", "args"]
    assert data["mode"] == "async_local"
    assert data["args"] == {"regex": "p*", "eventTypes": ["set"], "keyTypes": None, "hookCommands": None}
    assert "'sessionName':'mine'" in entry["PD"] and entry["id"] in entry["PD"]
    (session,) = plain(r.execute_command("RG.PYDUMPSESSIONS"))
    session = dict(zip(session[::2], session[1::2]))
    assert (session["ID"], session["sessionDescription"], session["refCount"]) == ("mine", "words", 1)
    assert session["registrations"] == [entry["id"]]
    (verbose,) = plain(r.execute_command("RG.PYDUMPSESSIONS", "VERBOSE"))
    assert len(verbose[15][0]) == 10 and verbose[15][0][1] == entry["id"]


def test_the_last_registration_keeps_the_interpreter(r):
    first, second = register(r, "GB().register('a*')\nGB('CommandReader').register(trigger='t')", "ID", "two")
    assert owned(r) == 1
    assert r.execute_command("RG.UNREGISTER", first) == b"OK"
    assert owned(r) == 1 and ids(r) == [second]
    assert r.execute_command("RG.UNREGISTER", second) == b"OK"
    wait_freed(r)
    assert owned(r) == 0 and r.execute_command("RG.PYDUMPSESSIONS") == []
    with pytest.raises(redis.ResponseError, match="^execution is not registered$"):
        r.execute_command("RG.UNREGISTER", second)


def test_a_script_that_fails_registers_nothing(r):
    assert "oh no" in error(r, "GB().register('a*')\nGB('CommandReader').register(trigger='t')\nraise Exception('oh no')")
    assert ids(r) == []
    wait_freed(r)


def test_upgrade_takes_over_in_one_step_and_leaves_no_orphan(r):
    (old,) = register(r, "GB('CommandReader').map(lambda x: 'old').register(trigger='t')", "ID", "s")
    assert error(r, "1", "ID", "s") == "Session s already exists"
    assert "boom" in error(r, "GB('CommandReader').register(trigger='t')\nraise Exception('boom')", "ID", "s", "UPGRADE")
    assert ids(r) == [old] and r.execute_command("RG.TRIGGER", "t") == [b"old"]
    (new,) = register(r, "GB('CommandReader').map(lambda x: 'new').register(trigger='t')", "ID", "s", "UPGRADE")
    assert new != old and r.execute_command("RG.TRIGGER", "t") == [b"new"]
    wait_until(lambda: owned(r) == 1, what="the old interpreter freed")
    (other,) = register(r, "GB('CommandReader').map(lambda x: 'other').register(trigger='t')", "ID", "s2",
                        "REPLACE_WITH", "s")
    assert r.execute_command("RG.TRIGGER", "t") == [b"other"]
    wait_until(lambda: owned(r) == 1, what="the old interpreter freed")
    assert [session[1] for session in plain(r.execute_command("RG.PYDUMPSESSIONS"))] == ["s2"]
    assert error(r, "1", "ID", "s2", "REPLACE_WITH", "s2") == "Can not replace an existing session s2 with s2"
    assert error(r, "1", "ID", "x", "REPLACE_WITH", "nobody") == "Can not replace with nobody, session does not exists."
    # An upgrade that registers nothing takes the old registrations away too.
    assert r.execute_command("RG.PYEXECUTE", "1", "ID", "s2", "UPGRADE") == b"OK"
    assert ids(r) == [] and other
    wait_freed(r)


def test_callbacks_of_the_registration(r):
    register(r, "GB().register('a*', onRegistered=lambda: execute('SET', 'on', 1), onUnregistered=lambda: execute('SET', 'off', 1))")
    assert r.get("on") == b"1"
    unregister_all(r)
    wait_until(lambda: r.get("off") == b"1")


@pytest.mark.parametrize("call, text", [
    ("GB().register(5)", "regex argument must be a string"),
    ("GB().register('a', mode='fast')", "unknown execution mode"),
    ("GB().register('a', mode=5)", "execution mode must be a string"),
    ("GB().register('a', eventTypes=5)", "given eventTypes is not iterable"),
    ("GB().register('a', eventTypes=[5])", "given event type is not string"),
    ("GB().register('a', keyTypes=5)", "given keyTypes is not iterable"),
    ("GB().register('a', keyTypes=[5])", "given key type is not string"),
    ("GB().register('a', keyTypes=['tree'])", "unknown key type"),
    ("GB().register('a', readValue=1)", "readValue is not boolean"),
    ("GB().register('a', onRegistered=1)", "OnRegistered argument must be a function"),
    ("GB().register('a', prefx='b')", "unexpected keyword argument 'prefx'"),
    ("GB('PythonReader').register()", "given reader does not exists or does not support register"),
    ("GB('CommandReader').register()", "no trigger or hook argument was given"),
    ("GB('CommandReader').register(trigger=1)", "trigger argument is not string"),
    ("GB('CommandReader').register(trigger='t', inorder=1)", "inorder argument is be boolean"),
    ("GB('CommandReader').register(trigger='t', keyprefix='p')", "can not be given with keyprefix or hook"),
    ("GB('CommandReader').register(trigger='t')\nGB('CommandReader').register(trigger='t')",
     "trigger already registered in this session"),
])
def test_refusals(r, call, text):
    assert text in error(r, call)
    assert ids(r) == []


def test_a_step_can_not_register(r):
    _, errors = r.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').map(lambda x: GB().register('a')).run()")
    assert "register() can only be called by the script itself" in errors[0].decode()


def test_pause_is_for_other_readers(r):
    (registration,) = register(r, "GB().register('a')")
    for command, verb in (("RG.PAUSEREGISTRATIONS", "pause"), ("RG.UNPAUSEREGISTRATIONS", "unpause")):
        with pytest.raises(redis.ResponseError, match=f"^Reader KeysReader does not support {verb}$"):
            r.execute_command(command, registration, registration)
        with pytest.raises(redis.ResponseError, match="^Execution x does not exists on shard 0{40}$"):
            r.execute_command(command, "x", registration)
    with pytest.raises(redis.ResponseError, match="no registration to pause"):
        r.execute_command("RG.PAUSEREGISTRATIONS", "ABORTPENDING")


def test_a_burst_keeps_its_order_and_the_server_goes_on(server, r):
    register(r, "GB().foreach(lambda record: execute('RPUSH', 'log', record['value'])).register('n', eventTypes=['set'])")
    count = 20_000
    with PingWatch(server) as watch:
        for start in range(0, count, 1000):
            with r.pipeline(transaction=False) as pipe:
                for number in range(start, start + 1000):
                    pipe.set("n", number)
                pipe.execute()
        assert wait_ended(r, count, seconds=120)["numSuccess"] == count
    assert [int(number) for number in r.lrange("log", 0, -1)] == list(range(count))
    assert watch.percentile(99) < 1
    assert len(executions(r)) <= 100


def test_writers_pause_while_the_queue_is_full(server, r):
    """Nothing is lost as long as clients can be held up."""
    r.config_set("search.event-queue-bytes", "200kb")
    try:
        register(r, "GB().foreach(lambda record: execute('INCR', 'seen')).register('n', eventTypes=['set'], readValue=False)")
        for number in range(20_000):
            if number % 500 == 0:
                r.ping()
            r.set("n", number) if number % 50 else r.pipeline(transaction=False).set("n", number).execute()
            if number > 6000:
                break
        triggered = stats(r)["numTriggered"]
        done = wait_ended(r, triggered, seconds=120)
        assert done["numAborted"] == 0 and int(r.get("seen")) == triggered
        # One transaction can not be held up: what is too much is given up, and counted.
        r.eval("for n = 1, 30000 do redis.call('SET', 'n', n) end", 0)
        done = wait_ended(r, triggered + 30_000, seconds=120)
        assert done["numAborted"] > 0 and done["numSuccess"] + done["numAborted"] == triggered + 30_000
    finally:
        r.config_set("search.event-queue-bytes", "64mb")


