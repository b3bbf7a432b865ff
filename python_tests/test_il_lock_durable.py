"""Locks over restarts, replicas, failovers and files: who holds them, until when, and which token comes next."""

import struct
import time

import pytest

from blocking import Call, close_calls, in_step, replica_of, waiting_for  # noqa: F401 (a fixture)
from helpers import as_map, in_multi, reply_or_error, wait_until
from test_il_lock import info, lock, refused, unlock

AOF = ["--appendonly", "yes", "--appendfsync", "always"]
STORES = {
    "rdb": [],
    "aof": AOF,
    "aof-rewritten": AOF,
    "aof-rewritten-as-commands": [*AOF, "--aof-use-rdb-preamble", "no"],
}


def restart(server, store):
    client = server.client()
    if store.startswith("aof-rewritten"):
        client.bgrewriteaof()
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"]
                   and not client.info("persistence")["aof_rewrite_scheduled"], 20)
    server.restart(save=store == "rdb")
    return server.client()


def state(token, owner=b"far", depth=1):
    """A lock as `IL._LOCK` takes it."""
    return struct.pack("<QQQQQQ", token, depth, 1, 0, 0, len(owner)) + owner


@pytest.mark.parametrize("store", STORES)
def test_holders_keep_their_locks_over_a_restart(new_server, store):
    server = new_server(config=STORES[store])
    r = server.client()
    token, _ = lock(r, "kept", "me")
    lock(r, "kept", "me")
    lock(r, "leased", "me", "LEASE", 600_000)
    lock(r, "freed", "me")
    unlock(r, "freed", "me")
    lock(r, "deleted", "me")
    r.delete("deleted")
    lock(r, "short", "me", "LEASE", 50)
    in_multi(r, "IL.LOCK", "in multi", "me")
    r.select(2)
    lock(r, "in 2", "me")
    r.select(0)
    last = info(r, "in multi")["token"]
    r = restart(server, store)
    assert lock(r, "kept", "me") == [token, 3]
    assert lock(r, "kept", "you") is None
    assert 500_000 < info(r, "leased")["lease_ms"] <= 600_000
    wait_until(lambda: info(r, "short")["state"] == "free")
    assert sorted(r.keys("*")) == [b"in multi", b"kept", b"leased"]
    assert server.client(db=2).keys("*") == [b"in 2"]
    assert [unlock(r, "kept", "me") for _ in range(3)] == [2, 1, 0]
    assert lock(r, "kept", "you")[0] > last


@pytest.mark.parametrize("store", STORES)
def test_sessions_end_with_the_process(new_server, store):
    server = new_server(config=STORES[store])
    r = server.client()
    holder = Call(server, "IL.LOCK", "l", "me", "SESSION")
    assert holder.reply()[1] == 1
    r = restart(server, store)
    wait_until(lambda: r.exists("l") == 0)
    assert lock(r, "l", "you")[1] == 1


@pytest.mark.parametrize("store", ["rdb", "aof", "aof-rewritten"])
def test_tokens_do_not_depend_on_the_clock_alone(new_server, store):
    """A token that is ahead of the clock stays the one to exceed: after DEL, and after a restart."""
    server = new_server(config=STORES[store])
    r = server.client()
    ahead = int(time.time() * 1e6) + 10**12
    assert r.execute_command("IL._LOCK", "l", state(ahead), -1) == b"OK"
    assert info(r, "l")["token"] == ahead
    r.delete("l")
    assert lock(r, "l", "me")[0] == ahead + 1
    unlock(r, "l", "me")
    r = restart(server, store)
    assert r.dbsize() == 0
    assert lock(r, "other", "me")[0] >= ahead + 2


def test_a_crash_loses_nothing_that_was_answered(new_server):
    server = new_server(config=AOF)
    r = server.client()
    token, _ = lock(r, "l", "me")
    waiter = Call(server, "IL.LOCK", "l", "you", "WAIT", 0)
    waiting_for(r, "l", 1)
    unlock(r, "l", "me")
    later = waiter.reply()[0]
    server.kill()
    r = server.start().client()
    assert later > token and info(r, "l")["owner"] == "you" and info(r, "l")["token"] == later
    assert lock(r, "l", "me") is None


def test_a_reload_serves_those_who_wait(server, r):
    lock(r, "l", "me")
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 0)
    waiting_for(r, "l", 1)
    r.execute_command("DEBUG", "RELOAD")
    assert info(r, "l")["owner"] == "me" and not call.ready(0.2)
    unlock(r, "l", "me")
    assert call.reply()[1] == 1
    digest = r.execute_command("DEBUG", "DIGEST")
    r.execute_command("DEBUG", "RELOAD")
    assert r.execute_command("DEBUG", "DIGEST") == digest


def test_a_replica_has_the_same_locks(new_server):
    master = new_server()
    m = master.client()
    lock(m, "before", "me")
    with replica_of(new_server, master) as replica:
        f = replica.client()
        assert info(f, "before") == info(m, "before")
        token, _ = lock(m, "l", "me", "LEASE", 600_000)
        lock(m, "l", "me")
        lock(m, "gone", "me")
        unlock(m, "gone", "me")
        lock(m, "short", "me", "LEASE", 30)
        call = Call(master, "IL.LOCK", "short", "you", "WAIT", 20_000, "LEASE", 600_000)
        assert call.reply()[1] == 1
        in_multi(m, "IL.LOCK", "m", "me")
        holder = Call(master, "IL.LOCK", "s", "me", "SESSION")
        holder.reply()
        in_step(master, replica)
        for name in ("l", "gone", "short", "m", "before"):
            mine, theirs = info(f, name), info(m, name)
            for both in (mine, theirs):
                both.pop("lease_ms")
            assert mine == theirs
        assert info(f, "s")["state"] == "held" and 500_000 < info(f, "short")["lease_ms"]
        assert refused(lock(f, "new", "me"), "You can't write against a read only replica")
        assert m.execute_command("DEBUG", "DIGEST") == f.execute_command("DEBUG", "DIGEST")
        holder.close()
        wait_until(lambda: f.exists("s") == 0)


def test_a_failover_keeps_locks_and_tokens_and_ends_sessions(new_server):
    master = new_server()
    m = master.client()
    ahead = int(time.time() * 1e6) + 10**12
    with replica_of(new_server, master) as replica:
        f = replica.client()
        m.execute_command("IL._LOCK", "l", state(ahead), -1)
        m.delete("l")
        kept, _ = lock(m, "kept", "me")
        holder = Call(master, "IL.LOCK", "s", "me", "SESSION")
        holder.reply()
        in_step(master, replica)
        assert f.exists("s") == 1
        f.replicaof("NO", "ONE")
        wait_until(lambda: f.exists("s") == 0)
        assert lock(f, "s", "you")[0] > kept > ahead
        assert info(f, "kept")["owner"] == "me" and unlock(f, "kept", "me") == 0
        assert lock(m, "kept", "you") is None


def test_those_who_wait_are_told_when_the_server_becomes_a_replica(new_server):
    server, other = new_server(), new_server()
    r = server.client()
    lock(r, "l", "me")
    call = Call(server, "IL.LOCK", "l", "you", "WAIT", 0)
    waiting_for(r, "l", 1)
    r.replicaof("127.0.0.1", other.port)
    assert refused(call.reply(), "UNBLOCKED")
    wait_until(lambda: r.info("replication")["master_link_status"] == "up", 20)
    assert info(r, "l")["state"] == "free" and info(r, "l")["waiting"] == 0
    r.replicaof("NO", "ONE")
    assert lock(r, "l", "you")[1] == 1


def test_files_of_a_server_without_locks_load_without_the_module(new_server):
    """What the module saves beside the keys is only there once a lock was."""
    server = new_server()
    if server.version() < (7, 2) and not server.is_valkey():
        pytest.skip("this server notes the module's name in every file")
    r = server.client()
    r.set("a", 1)
    r.save()
    assert b"InterLock" not in (server.folder / "dump.rdb").read_bytes()


def test_shutdown_does_not_wait_for_those_who_wait(new_server):
    server = new_server()
    r = server.client()
    lock(r, "l", "me")
    for n in range(20):
        Call(server, "IL.LOCK", "l", f"owner {n}", "WAIT", 0)
    waiting_for(r, "l", 20)
    started = time.monotonic()
    reply_or_error(lambda: r.shutdown(nosave=True))
    assert server.wait(20) == 0 and time.monotonic() - started < 10


def test_state_of_a_lock_reads_as_documented(r):
    r.execute_command("IL._LOCK", "l", state(77, b"me", 3), -1)
    shown = as_map(r.execute_command("IL.LOCKINFO", "l"))
    assert (shown["token"], shown["owner"], shown["depth"]) == (77, "me", 3)
    for broken in (b"", state(77)[:-1], state(77) + b"x", state(77, b"me", 0)):
        assert "bad state" in str(reply_or_error(lambda: r.execute_command("IL._LOCK", "k", broken, -1)))
