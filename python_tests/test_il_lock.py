"""IL.LOCK, IL.UNLOCK, IL.RENEW, IL.LOCKINFO: who gets a lock, in which order, and what ends it."""

import pathlib
import time

import pytest
import redis

from blocking import Call, close_calls, waiters, waiting_for  # noqa: F401 (a fixture)
from helpers import LANES, as_map, in_lane, in_lua, in_multi, plain, reply_or_error, wait_until


def lock(client, name, owner, *options):
    return reply_or_error(lambda: client.execute_command("IL.LOCK", name, owner, *options))


def unlock(client, name, owner):
    return reply_or_error(lambda: client.execute_command("IL.UNLOCK", name, owner))


def info(client, name):
    return as_map(client.execute_command("IL.LOCKINFO", name))


def refused(reply, code):
    return isinstance(reply, redis.ResponseError) and str(reply).startswith(code)


# -- one owner, entering and leaving ---------------------------------------------------------------


def test_a_lock_is_reentrant(r):
    token, depth = lock(r, "l", "me")
    assert depth == 1
    assert lock(r, "l", "me") == [token, 2]
    assert lock(r, "l", "you") is None
    assert unlock(r, "l", "me") == 1
    assert lock(r, "l", "you") is None
    assert unlock(r, "l", "me") == 0
    assert r.exists("l") == 0


def test_each_ownership_has_a_larger_token(r):
    tokens = []
    for n in range(50):
        tokens.append(lock(r, "l", f"owner {n}")[0])
        unlock(r, "l", f"owner {n}")
    assert tokens == sorted(set(tokens))
    r.execute_command("IL.LOCK", "l", "x")
    r.delete("l")
    assert lock(r, "l", "y")[0] > tokens[-1]


def test_wrong_owner_and_free_lock_get_clear_errors(r):
    assert refused(unlock(r, "l", "me"), "NOTLOCKED")
    lock(r, "l", "me")
    assert refused(unlock(r, "l", "you"), "NOTOWNER")
    assert refused(reply_or_error(lambda: r.execute_command("IL.RENEW", "l", "you", "LEASE", 10)), "NOTOWNER")
    assert refused(reply_or_error(lambda: r.execute_command("IL.RENEW", "k", "you", "LEASE", 10)), "NOTLOCKED")


@pytest.mark.parametrize("command", [
    ("IL.LOCK", "l", "me"), ("IL.UNLOCK", "l", "me"), ("IL.RENEW", "l", "me", "LEASE", 5), ("IL.LOCKINFO", "l"),
])
@pytest.mark.parametrize("fill", [("SET", "l", "x"), ("IL.ONCE", "l"), ("XADD", "l", "*", "a", "b")])
def test_wrong_type(r, command, fill):
    r.execute_command(*fill)
    code = "the token" if command[0] == "IL.RENEW" and fill[0] == "IL.ONCE" else "WRONGTYPE"
    assert refused(reply_or_error(lambda: r.execute_command(*command)), code)


@pytest.mark.parametrize("words, complaint", [
    (("WAIT",), "WAIT is missing its value"), (("WAIT", "x"), "WAIT must be an integer"),
    (("WAIT", -1), "WAIT must be an integer"), (("LEASE", 0), "LEASE must be an integer"),
    (("LEASE", 1 << 60), "LEASE must be at most"), (("SOON",), "unknown option 'SOON'"),
])
def test_bad_options(r, words, complaint):
    reply = lock(r, "l", "me", *words)
    assert isinstance(reply, redis.ResponseError) and complaint in str(reply)
    assert r.exists("l") == 0


def test_wrong_number_of_arguments(r):
    for command in (("IL.LOCK", "l"), ("IL.UNLOCK", "l"), ("IL.RENEW", "l", "me", "LEASE"), ("IL.LOCKINFO",)):
        assert "wrong number of arguments" in str(reply_or_error(lambda: r.execute_command(*command)))


def test_any_bytes_are_a_name_and_an_owner(r):
    name, owner = b"\x00\xff\r\n %n", b"\r\n\x00owner%s"
    assert lock(r, name, owner)[1] == 1
    assert lock(r, name, owner[:-1]) is None
    assert r.execute_command("IL.LOCKINFO", name)[3] == owner
    assert unlock(r, name, owner) == 0
    assert lock(r, "", "")[1] == 1 and unlock(r, "", "") == 0


def test_databases_are_apart(server, r):
    other = server.client(db=3)
    other.flushdb()
    assert lock(r, "l", "me")[1] == 1
    assert lock(other, "l", "you")[1] == 1
    waiter = Call(server, "IL.LOCK", "l", "he", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    unlock(other, "l", "you")
    assert not waiter.ready(0.1)
    unlock(r, "l", "me")
    assert waiter.reply()[1] == 1


# -- waiting ---------------------------------------------------------------------------------------


def test_waiting_is_fair(server, r):
    lock(r, "l", "me")
    line = []
    for n in range(20):
        line.append(Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0 if n % 2 else 30_000))
        waiting_for(r, "l", n + 1)
    shown = info(r, "l")["line"]
    assert [as_map(one)["owner"] for one in shown] == [f"owner {n}" for n in range(20)]
    assert unlock(r, "l", "me") == 0
    last = 0
    for n, call in enumerate(line):
        token, depth = call.reply()
        assert token > last and depth == 1
        last = token
        assert not any(later.ready() for later in line[n + 1:])
        assert unlock(r, "l", f"owner {n}") == 0
    assert r.exists("l") == 0


def test_a_wait_that_is_over_answers_null(server, r):
    lock(r, "l", "me")
    calls = [Call(server, "IL.LOCK", "l", "you", "WAIT", wait) for wait in (300, 100, 200)]
    started = time.monotonic()
    assert [call.reply() for call in calls] == [None] * 3
    assert 0.25 < time.monotonic() - started < 5
    assert waiters(r, "l") == 0
    assert unlock(r, "l", "me") == 0 and r.exists("l") == 0


def test_null_is_null_in_resp3(server, r3):
    lock(r3, "l", "me")
    assert lock(r3, "l", "you") is None
    assert lock(r3, "l", "you", "WAIT", 20) is None
    assert isinstance(r3.execute_command("IL.LOCKINFO", "l"), dict)


def test_one_who_waits_and_enters_elsewhere_is_let_in(server, r):
    """An owner that waits twice gets both when it is its turn: it is the same owner."""
    lock(r, "l", "me")
    first = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    between = Call(server, "IL.LOCK", "l", "he", "WAIT", 20_000)
    waiting_for(r, "l", 2)
    second = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 3)
    unlock(r, "l", "me")
    token, depth = first.reply()
    assert (depth, second.reply()) == (1, [token, 2])
    assert not between.ready()
    assert [unlock(r, "l", "you"), unlock(r, "l", "you")] == [1, 0]
    assert between.reply()[1] == 1


def test_nobody_overtakes_the_line(server, r):
    """A lock that was freed behind our back belongs to whoever waits, not to whoever asks next."""
    lock(r, "l", "me")
    waiter = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    with r.pipeline(transaction=True) as pipe:
        pipe.delete("l")
        pipe.execute_command("IL.LOCK", "l", "he")
        assert pipe.execute() == [1, None]
    assert waiter.reply()[1] == 1
    assert info(r, "l")["owner"] == "you"


# -- leases ----------------------------------------------------------------------------------------


def test_the_lease_is_the_time_to_live(r):
    lock(r, "l", "me", "LEASE", 60_000)
    assert 50_000 < r.pttl("l") <= 60_000
    assert 50_000 < info(r, "l")["lease_ms"] <= 60_000
    lock(r, "l", "me")
    assert 50_000 < r.pttl("l")
    lock(r, "l", "me", "LEASE", 90_000)
    assert 80_000 < r.pttl("l")
    token, depth = r.execute_command("IL.RENEW", "l", "me", "LEASE", 20_000)
    assert depth == 3 and 10_000 < r.pttl("l") <= 20_000
    r.persist("l")
    assert info(r, "l")["lease_ms"] is None


def test_a_lease_that_is_over_frees_the_lock(r):
    token, _ = lock(r, "l", "me", "LEASE", 30)
    wait_until(lambda: info(r, "l")["state"] == "free")
    assert refused(unlock(r, "l", "me"), "NOTLOCKED")
    assert lock(r, "l", "you")[0] > token


def test_a_lease_that_is_over_hands_on_at_once(server, r):
    lock(r, "l", "me", "LEASE", 300)
    started = time.monotonic()
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000, "LEASE", 200)
    third = Call(server, "IL.LOCK", "l", "he", "WAIT", 20_000)
    assert call.reply()[1] == 1
    assert 0.2 < time.monotonic() - started < 2
    assert third.reply()[1] == 1
    assert time.monotonic() - started < 4
    assert refused(unlock(r, "l", "me"), "NOTOWNER")


def test_renewing_keeps_the_lock_from_those_who_wait(server, r):
    lock(r, "l", "me", "LEASE", 300)
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    for _ in range(5):
        r.execute_command("IL.RENEW", "l", "me", "LEASE", 600)
        assert not call.ready(0.15)
    assert call.reply()[1] == 1


def test_a_lease_cut_short_by_pexpire_is_heard(server, r):
    lock(r, "l", "me", "LEASE", 60_000)
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    r.pexpire("l", 50)
    assert call.reply(5)[1] == 1


# -- sessions --------------------------------------------------------------------------------------


def test_a_session_frees_its_locks_when_it_ends(server, r):
    holder = Call(server, "IL.LOCK", "a", "me", "SESSION")
    assert holder.reply()[1] == 1
    holder.connection.send_command("IL.LOCK", "b", "me", "SESSION", "LEASE", 60_000)
    assert holder.reply()[1] == 1
    holder.connection.send_command("IL.LOCK", "c", "me")
    assert holder.reply()[1] == 1
    assert info(r, "a")["session"] == holder.id
    waiter = Call(server, "IL.LOCK", "a", "you", "WAIT", 20_000)
    waiting_for(r, "a", 1)
    holder.close()
    assert waiter.reply()[1] == 1
    wait_until(lambda: r.exists("b") == 0)
    assert info(r, "a")["owner"] == "you" and info(r, "c")["state"] == "held"


def test_killing_a_session_frees_its_locks(server, r):
    holder = Call(server, "IL.LOCK", "a", "me", "SESSION")
    holder.reply()
    r.client_kill_filter(_id=holder.id)
    wait_until(lambda: info(r, "a")["state"] == "free" and r.exists("a") == 0)


def test_a_session_that_waited_owns_what_it_got(server, r):
    lock(r, "l", "me")
    waiter = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000, "SESSION")
    waiting_for(r, "l", 1)
    unlock(r, "l", "me")
    assert waiter.reply()[1] == 1
    assert info(r, "l")["session"] == waiter.id
    waiter.close()
    wait_until(lambda: r.exists("l") == 0)


def test_a_renamed_session_lock_is_free_too(server, r):
    holder = Call(server, "IL.LOCK", "a", "me", "SESSION")
    holder.reply()
    r.rename("a", "z")
    holder.close()
    wait_until(lambda: info(r, "z")["state"] == "free")
    assert lock(r, "z", "you")[1] == 1


def test_a_script_has_no_session(server, r):
    reply = in_lua(r, "IL.LOCK", "l", "me", "SESSION")
    assert isinstance(reply, redis.ResponseError) and "SESSION" in str(reply)
    assert r.exists("l") == 0


# -- what ends a wait ------------------------------------------------------------------------------


def test_client_unblock(server, r):
    lock(r, "l", "me")
    calls = [Call(server, "IL.LOCK", "l", "you", "WAIT", 0) for _ in range(2)]
    waiting_for(r, "l", 2)
    assert r.client_unblock(calls[0].id)
    assert calls[0].reply() is None
    assert r.client_unblock(calls[1].id, error=True)
    assert refused(calls[1].reply(), "UNBLOCKED")
    assert waiters(r, "l") == 0
    assert unlock(r, "l", "me") == 0 and r.exists("l") == 0
    # The connections go on.
    calls[0].connection.send_command("PING")
    assert calls[0].reply() == b"PONG"


def test_a_turn_and_client_unblock_in_one_round_of_the_event_loop(server, r):
    """The server forgets such a client, unless it is told of the turn at the very end of its round."""
    for n in range(5):
        lock(r, "l", "me")
        call = Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0)
        waiting_for(r, "l", 1)
        with r.pipeline(transaction=False) as pipe:
            pipe.execute_command("IL.UNLOCK", "l", "me")
            pipe.execute_command("CLIENT", "UNBLOCK", call.id)
            assert pipe.execute() == [0, 1]
        assert call.reply()[1] == 1
        call.connection.send_command("PING")
        assert call.reply() == b"PONG"
        assert unlock(r, "l", f"owner {n}") == 0


def test_a_client_that_is_killed_or_goes_leaves_the_line(server, r):
    lock(r, "l", "me")
    calls = []
    for n in range(4):
        calls.append(Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0))
        waiting_for(r, "l", n + 1)
    r.client_kill_filter(_id=calls[0].id)
    calls[1].close()
    waiting_for(r, "l", 2)
    calls[2].connection._sock.shutdown(2)
    waiting_for(r, "l", 1)
    unlock(r, "l", "me")
    assert calls[3].reply()[1] == 1
    assert info(r, "l")["owner"] == "owner 3"


@pytest.mark.parametrize("end", [
    lambda r: r.delete("l"),
    lambda r: r.unlink("l"),
    lambda r: r.pexpire("l", 1),
    lambda r: r.expireat("l", 1),
    lambda r: r.rename("l", "m"),
    lambda r: r.move("l", 5),
    lambda r: r.flushdb(),
    lambda r: r.flushall(),
    lambda r: r.flushall(asynchronous=True),
    lambda r: r.swapdb(0, 9),
    lambda r: r.eval("redis.call('DEL', KEYS[1])", 1, "l"),
], ids=["del", "unlink", "pexpire", "expireat", "rename", "move", "flushdb", "flushall", "flushall-async", "swapdb", "lua"])
def test_a_key_that_goes_hands_the_lock_on(server, r, end):
    """Whatever takes the key away, the name is free then, and the next in line gets it."""
    before, _ = lock(r, "l", "me")
    first = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    second = Call(server, "IL.LOCK", "l", "he", "WAIT", 20_000)
    waiting_for(r, "l", 2)
    end(r)
    token, depth = first.reply()
    assert (token > before, depth) == (True, 1)
    assert refused(unlock(r, "l", "me"), "NOTOWNER")
    assert unlock(r, "l", "you") == 0
    assert second.reply()[1] == 1


@pytest.mark.parametrize("end", [
    lambda r: r.set("l", "x"),
    lambda r: r.copy("other", "l", replace=True),
    lambda r: r.rename("other", "l"),
    lambda r: r.restore("l", 0, r.dump("other"), replace=True),
    lambda r: r.execute_command("SINTERSTORE", "l", "s"),
    lambda r: in_multi(r, "SET", "l", "x"),
], ids=["set", "copy", "rename", "restore", "sinterstore", "multi"])
def test_a_key_that_is_overwritten_answers_wrongtype(server, r, end):
    r.set("other", 1)
    r.sadd("s", 1)
    lock(r, "l", "me")
    calls = [Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 20_000) for n in range(3)]
    waiting_for(r, "l", 3)
    end(r)
    assert all(refused(call.reply(), "WRONGTYPE") for call in calls)
    assert refused(unlock(r, "l", "me"), "WRONGTYPE")


def test_those_who_wait_follow_the_name_not_the_key(server, r):
    """A lock of another owner that comes to the name is waited for like any other."""
    lock(r, "l", "me")
    lock(r, "other", "she")
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    r.rename("other", "l")
    assert not call.ready(0.1)
    assert unlock(r, "l", "she") == 0
    assert call.reply()[1] == 1


# -- lanes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_takes_and_leaves_a_lock(server, r, lane):
    token, depth = in_lane(server, lane, "IL.LOCK", "l", "me", "WAIT", 0)
    assert depth == 1 and in_lane(server, lane, "IL.LOCK", "l", "me") == [token, 2]
    assert in_lane(server, lane, "IL.UNLOCK", "l", "me") == 1
    assert refused(in_lane(server, lane, "IL.UNLOCK", "l", "you"), "NOTOWNER")
    shown = in_lane(server, lane, "IL.LOCKINFO", "l")
    assert as_map(shown)["owner"] == "me"
    assert in_lane(server, lane, "IL.UNLOCK", "l", "me") == 0


@pytest.mark.parametrize("lane", ["multi", "lua"])
def test_where_nobody_can_wait_the_answer_is_null(server, r, lane):
    lock(r, "l", "me")
    assert in_lane(server, lane, "IL.LOCK", "l", "you", "WAIT", 0) is None
    assert waiters(r, "l") == 0


def test_a_transaction_hands_on_to_those_who_wait(server, r):
    lock(r, "l", "me")
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    assert in_multi(r, "IL.UNLOCK", "l", "me") == 0
    assert call.reply()[1] == 1
    second = Call(server, "IL.LOCK", "l", "me", "WAIT", 20_000)
    waiting_for(r, "l", 1)
    assert in_lua(r, "IL.UNLOCK", "l", "you") == 0
    assert second.reply()[1] == 1


def test_watch_sees_a_lock_change(server, r):
    other = server.client()
    with r.pipeline(transaction=True) as pipe:
        pipe.watch("l")
        other.execute_command("IL.LOCK", "l", "me")
        pipe.multi()
        pipe.ping()
        with pytest.raises(redis.WatchError):
            pipe.execute()
    with r.pipeline(transaction=True) as pipe:
        pipe.watch("l")
        other.execute_command("IL.LOCKINFO", "l")
        other.execute_command("IL.LOCK", "l", "you")
        pipe.multi()
        pipe.ping()
        assert pipe.execute() == [True]


# -- a key like others -----------------------------------------------------------------------------


def test_a_lock_is_a_key(r):
    lock(r, "l", "me", "LEASE", 60_000)
    assert r.type("l") == b"InterLock"
    assert r.memory_usage("l") > 0
    assert r.keys("*") == [b"l"] == r.execute_command("IL.KEYS", "*", "TYPE", "InterLock")
    assert list(r.scan_iter(_type="InterLock")) == [b"l"]
    r.copy("l", "copy")
    assert info(r, "copy")["owner"] == "me" and 0 < r.pttl("copy") <= 60_000
    assert unlock(r, "copy", "me") == 0 and info(r, "l")["state"] == "held"
    dumped = r.dump("l")
    r.delete("l")
    r.restore("l", 0, dumped)
    assert info(r, "l")["owner"] == "me" and unlock(r, "l", "me") == 0


def test_a_broken_dump_is_refused(r):
    lock(r, "l", "me")
    dumped = bytearray(r.dump("l"))
    dumped[15] ^= 0xFF
    reply = reply_or_error(lambda: r.restore("k", 0, bytes(dumped)))
    assert isinstance(reply, redis.ResponseError) and r.ping()
    assert isinstance(reply_or_error(lambda: r.execute_command("IL._LOCK", "k", b"nonsense", -1)), redis.ResponseError)
    assert r.exists("k") == 0


def test_acl_and_key_positions(server, r):
    assert r.command_getkeys("IL.LOCK", "name", "me", "WAIT", 1) == ["name"]
    assert r.command_getkeys("IL.LOCKINFO", "name") == ["name"]
    r.execute_command("ACL", "SETUSER", "writer", "on", ">x", "~mine:*", "%R~seen:*", "+@all")
    try:
        user = server.client(username="writer", password="x")
        assert lock(user, "mine:l", "me")[1] == 1
        assert isinstance(lock(user, "other", "me"), redis.exceptions.NoPermissionError)
        assert isinstance(lock(user, "seen:l", "me"), redis.exceptions.NoPermissionError)
        assert info(user, "seen:l")["state"] == "free"
    finally:
        r.execute_command("ACL", "DELUSER", "writer")


def test_events_are_told(server, r):
    listener = server.client().pubsub()
    r.config_set("notify-keyspace-events", "KEA")
    try:
        listener.psubscribe("__keyspace@0__:l")
        lock(r, "l", "me", "LEASE", 60_000)
        unlock(r, "l", "me")
        seen = []
        wait_until(lambda: seen.append(listener.get_message(timeout=1)) or len(seen) > 2, 5)
        assert [m["data"] for m in seen if m and m["type"] == "pmessage"] == [b"il.lock", b"del"]
    finally:
        r.config_set("notify-keyspace-events", "")


def test_a_full_server_still_lets_locks_go(server, r):
    lock(r, "l", "me")
    r.config_set("maxmemory", 1)
    try:
        assert isinstance(lock(r, "k", "me"), redis.exceptions.OutOfMemoryError)
        assert unlock(r, "l", "me") == 0
    finally:
        r.config_set("maxmemory", 0)


def test_many_wait_without_a_thread_each(server, r):
    """1,000 clients wait for one lock; each gets it in turn, and the server stays as it was."""
    threads = lambda: len(list(pathlib.Path(f"/proc/{server.pid()}/task").iterdir()))
    before = threads()
    lock(r, "l", "me")
    calls = [Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0) for n in range(1000)]
    waiting_for(r, "l", 1000)
    assert threads() <= before + 1
    unlock(r, "l", "me")
    for n, call in enumerate(calls):
        assert call.reply()[1] == 1
        unlock(r, "l", f"owner {n}")
    assert r.exists("l") == 0
    for call in calls:
        call.close()


def test_the_line_shows_at_most_a_hundred(server, r):
    lock(r, "l", "me")
    calls = [Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0) for n in range(103)]
    waiting_for(r, "l", 103)
    assert len(info(r, "l")["line"]) == 100
    for call in calls:
        call.close()
    waiting_for(r, "l", 0)
    assert plain(info(r, "l")["line"]) == []


# -- Python functions ------------------------------------------------------------------------------


def script(client, text):
    return reply_or_error(lambda: client.execute_command("RG.PYEXECUTE", text))


def test_a_python_function_takes_and_leaves_locks(server, r):
    """From a worker thread: what it changes serves those who wait, as a client's command does."""
    assert script(r, "assert execute('IL.LOCK', 'l', 'py')[1] == 1") == b"OK"
    calls = []
    for n in range(3):
        calls.append(Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 20_000))
        waiting_for(r, "l", n + 1)
    assert script(r, "assert execute('IL.LOCK', 'l', 'py 2', 'WAIT', '0') is None") == b"OK"
    assert script(r, "assert execute('IL.UNLOCK', 'l', 'py') == 0") == b"OK"
    assert calls[0].reply()[1] == 1
    assert script(r, "execute('DEL', 'l')") == b"OK"
    assert calls[1].reply()[1] == 1
    assert script(r, "execute('PEXPIRE', 'l', '50')") == b"OK"
    assert calls[2].reply()[1] == 1
    script(r, "execute('IL.LOCK', 'k', 'py', 'SESSION')")
    assert r.exists("k") == 0


def test_a_session_taken_in_a_transaction(server, r):
    holder = server.client(single_connection_client=True)
    with holder.pipeline(transaction=True) as pipe:
        pipe.execute_command("IL.LOCK", "l", "me", "SESSION")
        assert pipe.execute()[0][1] == 1
    assert info(r, "l")["session"] is not None
    r.client_kill_filter(_id=info(r, "l")["session"])
    wait_until(lambda: r.exists("l") == 0)
