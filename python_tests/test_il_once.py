"""IL.ONCE and its companions: one computes, the others wait, everybody shares."""

import time

import pytest
import redis

from blocking import Call, close_calls, in_step, replica_of  # noqa: F401 (a fixture)
from helpers import LANES, as_map, in_lane, in_lua, in_multi, reply_or_error, wait_until
from test_il_lock import refused
from test_il_lock_durable import STORES, restart


def do(client, *command):
    return reply_or_error(lambda: client.execute_command(*command))


def compute(client, key, *options):
    """Asks, must be told to compute, and returns the token."""
    word, token = client.execute_command("IL.ONCE", key, *options)
    assert word == b"compute"
    return token


def state(client, key):
    reply = client.execute_command("IL.STATE", key)
    return reply if reply is None else as_map(reply)


def word(client, key):
    reply = state(client, key)
    return reply and reply["state"]


def waiting(client, key, count):
    wait_until(lambda: (state(client, key) or {}).get("waiting", 0) == count, what=f"{count} wait: {state(client, key)}")


# -- one computes ----------------------------------------------------------------------------------


def test_one_computes_and_all_share(server, r):
    token = compute(r, "q")
    calls = [Call(server, "IL.ONCE", "q", "WAIT", 20_000) for _ in range(50)]
    waiting(r, "q", 50)
    assert do(r, "IL.ONCE", "q") is None
    value = bytes(range(256)) * 100
    assert do(r, "IL.PUBLISH", "q", token, value) == b"OK"
    assert [call.reply() for call in calls] == [[b"ready", value]] * 50
    assert do(r, "IL.ONCE", "q") == [b"ready", value]
    assert do(r, "IL.ONCE", "q", "WAIT", 0, "LEASE", 10, "NOCOMPUTE") == [b"ready", value]
    shown = state(r, "q")
    assert (shown["state"], shown["runs"], shown["bytes"], shown["waiting"]) == ("completed", 1, len(value), 0)


def test_a_wait_that_is_over_answers_null(server, r, r3):
    compute(r, "q")
    assert do(r, "IL.ONCE", "q", "WAIT", 50) is None
    assert do(r3, "IL.ONCE", "q", "WAIT", 50) is None
    assert state(r, "q")["waiting"] == 0


def test_a_failure_is_shared(server, r):
    token = compute(r, "q")
    calls = [Call(server, "IL.ONCE", "q", "WAIT", 20_000) for _ in range(5)]
    waiting(r, "q", 5)
    assert do(r, "IL.FAIL", "q", token, "no %n luck\r\n") == b"OK"
    assert [call.reply() for call in calls] == [[b"failed", b"no %n luck\r\n"]] * 5
    assert do(r, "IL.ONCE", "q", "WAIT", 10) == [b"failed", b"no %n luck\r\n"]
    assert word(r, "q") == "errored" and state(r, "q")["message"] == "no %n luck\r\n"


def test_a_failure_with_retry_goes_to_the_next(server, r):
    token = compute(r, "q")
    calls = []
    for n in range(3):
        calls.append(Call(server, "IL.ONCE", "q", "WAIT", 20_000))
        waiting(r, "q", n + 1)
    assert do(r, "IL.FAIL", "q", token, "once more", "RETRY") == b"OK"
    what, second = calls[0].reply()
    assert what == b"compute" and second > token
    assert not calls[1].ready(0.05)
    assert refused(do(r, "IL.PUBLISH", "q", token, "old"), "STALE")
    assert do(r, "IL.PUBLISH", "q", second, "new") == b"OK"
    assert [call.reply() for call in calls[1:]] == [[b"ready", b"new"]] * 2
    assert state(r, "q")["runs"] == 2


def test_retry_with_nobody_waiting(r):
    token = compute(r, "q")
    assert do(r, "IL.FAIL", "q", token, "x", "RETRY") == b"OK"
    assert word(r, "q") == "known"
    assert compute(r, "q") > token


# -- leases ----------------------------------------------------------------------------------------


def test_a_holder_that_dies_is_replaced(server, r):
    token = compute(r, "q", "LEASE", 300)
    started = time.monotonic()
    calls = []
    for n in range(2):
        calls.append(Call(server, "IL.ONCE", "q", "WAIT", 20_000, "LEASE", 300))
        waiting(r, "q", n + 1)
    what, second = calls[0].reply()
    assert what == b"compute" and second > token and time.monotonic() - started < 3
    assert refused(do(r, "IL.PUBLISH", "q", token, "late"), "STALE")
    what, third = calls[1].reply()
    assert what == b"compute" and third > second
    assert do(r, "IL.PUBLISH", "q", third, "x") == b"OK"


def test_a_lease_that_is_over_with_nobody_waiting(r):
    token = compute(r, "q", "LEASE", 20)
    wait_until(lambda: word(r, "q") == "known")
    assert refused(do(r, "IL.PUBLISH", "q", token, "late"), "STALE")
    assert refused(do(r, "IL.RENEW", "q", token, "LEASE", 1000), "STALE")
    assert compute(r, "q") > token


def test_renewing_keeps_a_computation(server, r):
    token = compute(r, "q", "LEASE", 300)
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000)
    waiting(r, "q", 1)
    for _ in range(5):
        assert do(r, "IL.RENEW", "q", token, "LEASE", 600) == b"OK"
        assert not call.ready(0.15)
    assert do(r, "IL.PUBLISH", "q", token, "x") == b"OK"
    assert call.reply() == [b"ready", b"x"]


def test_ttl_of_a_value(server, r):
    token = compute(r, "q")
    assert do(r, "IL.PUBLISH", "q", token, "x", "TTL", 60_000) == b"OK"
    assert 50_000 < r.pttl("q") <= 60_000 and 50_000 < state(r, "q")["ttl_ms"]
    r.pexpire("q", 1)
    wait_until(lambda: r.exists("q") == 0)
    assert compute(r, "q") > token


# -- the life cycle --------------------------------------------------------------------------------


def test_cancel(server, r):
    assert do(r, "IL.CANCEL", "q") == 0
    token = compute(r, "q")
    calls = [Call(server, "IL.ONCE", "q", "WAIT", 0) for _ in range(3)]
    waiting(r, "q", 3)
    assert do(r, "IL.CANCEL", "q") == 1
    assert [call.reply() for call in calls] == [[b"failed", b"cancelled"]] * 3
    assert refused(do(r, "IL.PUBLISH", "q", token, "x"), "STALE")
    assert do(r, "IL.CANCEL", "q") == 0 and word(r, "q") == "cancelled"
    assert do(r, "IL.ONCE", "q") == [b"failed", b"cancelled"]
    assert do(r, "IL.RESET", "q") == 1 and word(r, "q") == "known"
    assert compute(r, "q") > token


def test_a_value_that_is_there_can_t_be_cancelled(r):
    token = compute(r, "q")
    do(r, "IL.PUBLISH", "q", token, "x")
    assert do(r, "IL.CANCEL", "q") == 0 and do(r, "IL.ONCE", "q") == [b"ready", b"x"]


def test_reset_forgets_the_value(r):
    assert do(r, "IL.RESET", "q") == 0
    token = compute(r, "q")
    do(r, "IL.PUBLISH", "q", token, "x", "TTL", 60_000)
    assert do(r, "IL.RESET", "q") == 1
    assert word(r, "q") == "known" and r.ttl("q") == -1
    assert compute(r, "q") > token


def test_reset_while_it_is_computed(server, r):
    """Nobody else begins until the one that computes is done; what it brings is refused."""
    token = compute(r, "q")
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000)
    waiting(r, "q", 1)
    assert do(r, "IL.RESET", "q") == 1
    assert word(r, "q") == "resetting" and not call.ready(0.05)
    assert refused(do(r, "IL.RENEW", "q", token, "LEASE", 1000), "STALE")
    reply = do(r, "IL.PUBLISH", "q", token, "old")
    assert refused(reply, "STALE") and "reset" in str(reply)
    what, second = call.reply()
    assert what == b"compute" and second > token
    assert do(r, "IL.PUBLISH", "q", second, "new") == b"OK"


def test_a_second_reset_does_not_wait(server, r):
    token = compute(r, "q")
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000)
    waiting(r, "q", 1)
    do(r, "IL.RESET", "q")
    assert do(r, "IL.RESET", "q") == 1
    assert call.reply()[1] > token


def test_a_lease_ends_a_reset_too(server, r):
    compute(r, "q", "LEASE", 300)
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000)
    waiting(r, "q", 1)
    do(r, "IL.RESET", "q")
    assert call.reply()[0] == b"compute"


def test_nocompute_waits_for_somebody_else(server, r):
    """The caller that cannot compute is queued until one comes that can."""
    assert do(r, "IL.ONCE", "q", "NOCOMPUTE") is None and r.exists("q") == 0
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000, "NOCOMPUTE")
    waiting(r, "q", 1)
    assert word(r, "q") == "queued"
    token = compute(r, "q")
    assert word(r, "q") == "executing" and not call.ready(0.05)
    do(r, "IL.PUBLISH", "q", token, "x")
    assert call.reply() == [b"ready", b"x"]


def test_state_tells_who_and_since_when(server, r):
    assert state(r, "q") is None
    before = time.time() * 1000 - 2
    call = Call(server, "IL.ONCE", "q", "LEASE", 60_000)
    token = call.reply()[1]
    shown = state(r, "q")
    assert shown["by"].startswith(f"{call.id} 127.0.0.1:")
    assert before < shown["since_ms"] < time.time() * 1000 + 2
    assert (shown["state"], shown["token"], shown["runs"]) == ("executing", token, 1)
    assert 50_000 < shown["lease_ms"] <= 60_000


# -- what ends a wait ------------------------------------------------------------------------------


def test_unblock_and_kill(server, r):
    token = compute(r, "q")
    calls = []
    for n in range(4):
        calls.append(Call(server, "IL.ONCE", "q", "WAIT", 0))
        waiting(r, "q", n + 1)
    r.client_unblock(calls[0].id)
    r.client_unblock(calls[1].id, error=True)
    r.client_kill_filter(_id=calls[2].id)
    assert calls[0].reply() is None and refused(calls[1].reply(), "UNBLOCKED")
    waiting(r, "q", 1)
    do(r, "IL.FAIL", "q", token, "x", "RETRY")
    assert calls[3].reply()[0] == b"compute"


@pytest.mark.parametrize("end", [
    lambda r: r.delete("q"), lambda r: r.pexpire("q", 1), lambda r: r.flushall(), lambda r: r.rename("q", "p"),
    lambda r: r.swapdb(0, 9),
], ids=["del", "expire", "flushall", "rename", "swapdb"])
def test_a_key_that_goes_makes_the_next_compute(server, r, end):
    token = compute(r, "q")
    calls = []
    for n in range(2):
        calls.append(Call(server, "IL.ONCE", "q", "WAIT", 20_000))
        waiting(r, "q", n + 1)
    end(r)
    what, second = calls[0].reply()
    assert what == b"compute" and second > token
    assert refused(do(r, "IL.PUBLISH", "q", token, "old"), "STALE")
    assert do(r, "IL.PUBLISH", "q", second, "x") == b"OK" and calls[1].reply() == [b"ready", b"x"]


def test_wrong_type(server, r):
    compute(r, "q")
    calls = [Call(server, "IL.ONCE", "q", "WAIT", 20_000), Call(server, "IL.ONCE", "q", "WAIT", 0, "NOCOMPUTE")]
    waiting(r, "q", 2)
    r.set("q", "x")
    assert all(refused(call.reply(), "WRONGTYPE") for call in calls)
    for command in (("IL.ONCE", "q"), ("IL.PUBLISH", "q", 1, "x"), ("IL.FAIL", "q", 1, "x"), ("IL.CANCEL", "q"),
                    ("IL.RESET", "q"), ("IL.STATE", "q"), ("IL.RENEW", "q", 1, "LEASE", 1)):
        assert refused(do(r, *command), "WRONGTYPE"), command


def test_a_value_restored_over_a_wait_is_given(server, r):
    token = compute(r, "other")
    do(r, "IL.PUBLISH", "other", token, "from elsewhere")
    compute(r, "q")
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000)
    waiting(r, "q", 1)
    r.copy("other", "q", replace=True)
    assert call.reply() == [b"ready", b"from elsewhere"]


@pytest.mark.parametrize("command, complaint", [
    (("IL.ONCE", "q", "WAIT"), "WAIT is missing"), (("IL.ONCE", "q", "NOW"), "unknown option 'NOW'"),
    (("IL.ONCE", "q", "LEASE", 0), "LEASE must be"), (("IL.PUBLISH", "q", "x", "v"), "the token must be"),
    (("IL.PUBLISH", "q", 1, "v", "TTL", 0), "TTL must be"), (("IL.PUBLISH", "q", 1, "v", "EX", 1), "unknown option"),
    (("IL.FAIL", "q", 1, "m", "AGAIN"), "unknown option 'AGAIN'"), (("IL.FAIL", "q", -1, "m"), "the token must be"),
    (("IL.ONCE",), "wrong number"), (("IL.STATE", "a", "b"), "wrong number"),
])
def test_bad_arguments(r, command, complaint):
    assert complaint in str(do(r, *command))
    assert r.dbsize() == 0


def test_a_stranger_cannot_publish(r):
    assert refused(do(r, "IL.PUBLISH", "q", 5, "x"), "STALE")
    token = compute(r, "q")
    for wrong in (0, token - 1, token + 1):
        assert refused(do(r, "IL.PUBLISH", "q", wrong, "x"), "STALE")
        assert refused(do(r, "IL.FAIL", "q", wrong, "x"), "STALE")
    assert do(r, "IL.PUBLISH", "q", token, "") == b"OK"
    assert refused(do(r, "IL.PUBLISH", "q", token, "twice"), "STALE")
    assert do(r, "IL.ONCE", "q") == [b"ready", b""]


# -- lanes and durability --------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
def test_every_lane(server, r, lane):
    what, token = in_lane(server, lane, "IL.ONCE", "q", "WAIT", 0, "LEASE", 60_000)
    assert what == b"compute"
    shown = as_map(in_lane(server, lane, "IL.STATE", "q"))
    assert shown["state"] == "executing" and (shown["by"] == "script") == (lane == "lua")
    assert in_lane(server, lane, "IL.PUBLISH", "q", token, "x") in (b"OK", "OK")
    assert in_lane(server, lane, "IL.ONCE", "q") == [b"ready", b"x"]


def test_where_nobody_can_wait_the_answer_is_null(server, r):
    compute(r, "q")
    assert in_multi(r, "IL.ONCE", "q", "WAIT", 0) is None and in_lua(r, "IL.ONCE", "q", "WAIT", 0) is None
    assert state(r, "q")["waiting"] == 0


def test_a_key_like_others(r):
    token = compute(r, "q")
    assert r.type("q") == b"InterOnce"
    do(r, "IL.PUBLISH", "q", token, "x" * 100_000)
    assert r.memory_usage("q") > 100_000
    dumped = r.dump("q")
    r.delete("q")
    r.restore("q", 0, dumped)
    assert do(r, "IL.ONCE", "q")[1] == b"x" * 100_000
    assert r.command_getkeys("IL.PUBLISH", "q", 1, "v") == ["q"]


@pytest.mark.parametrize("store", STORES)
def test_everything_survives_a_restart(new_server, store):
    server = new_server(config=STORES[store])
    r = server.client()
    tokens = {key: compute(r, key, "LEASE", 600_000) for key in ("done", "bad", "off", "back", "going")}
    do(r, "IL.PUBLISH", "done", tokens["done"], b"\x00value", "TTL", 600_000)
    do(r, "IL.FAIL", "bad", tokens["bad"], "because")
    do(r, "IL.CANCEL", "off")
    do(r, "IL.FAIL", "back", tokens["back"], "", "RETRY")
    short = compute(r, "short", "LEASE", 50)
    before = {key: state(r, key) for key in tokens}
    r = restart(server, store)
    for key, old in before.items():
        new = state(r, key)
        for both in (old, new):
            both.pop("ttl_ms"), both.pop("lease_ms")
        assert new == old
    assert do(r, "IL.ONCE", "done") == [b"ready", b"\x00value"] and r.pttl("done") > 500_000
    assert do(r, "IL.PUBLISH", "going", tokens["going"], "x") == b"OK"
    wait_until(lambda: word(r, "short") == "known")
    assert compute(r, "short") > max(short, *tokens.values())


def test_a_replica_and_a_failover(new_server):
    master = new_server()
    m = master.client()
    with replica_of(new_server, master) as replica:
        f = replica.client()
        token = compute(m, "q")
        done = compute(m, "done")
        do(m, "IL.PUBLISH", "done", done, "x")
        in_step(master, replica)
        assert state(f, "q") == state(m, "q") and word(f, "done") == "completed"
        assert m.execute_command("DEBUG", "DIGEST") == f.execute_command("DEBUG", "DIGEST")
        f.replicaof("NO", "ONE")
        call = Call(replica, "IL.ONCE", "q", "WAIT", 20_000)
        waiting(f, "q", 1)
        assert do(f, "IL.PUBLISH", "q", token, "y") == b"OK"
        assert call.reply() == [b"ready", b"y"] and do(f, "IL.ONCE", "done") == [b"ready", b"x"]
        assert compute(f, "new") > done


def test_a_long_line_does_not_hold_the_server_up(server, r):
    """1,500 get the value in slices; nobody is forgotten."""
    token = compute(r, "q")
    calls = [Call(server, "IL.ONCE", "q", "WAIT", 0) for _ in range(1500)]
    waiting(r, "q", 1500)
    do(r, "IL.PUBLISH", "q", token, "x" * 1000)
    assert all(call.reply() == [b"ready", b"x" * 1000] for call in calls)
    assert state(r, "q")["waiting"] == 0


def test_a_python_function_computes(server, r):
    source = "t = execute('IL.ONCE', 'q', 'WAIT', '0')[1]; execute('IL.PUBLISH', 'q', str(t), 'by Python')"
    call = Call(server, "IL.ONCE", "q", "WAIT", 20_000, "NOCOMPUTE")
    waiting(r, "q", 1)
    assert do(r, "RG.PYEXECUTE", source) == b"OK"
    assert call.reply() == [b"ready", b"by Python"] and state(r, "q")["by"] == "script"
