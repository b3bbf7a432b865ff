"""Locks on a cluster: those who wait for a key that moves to another node are sent away, never served twice."""

import redis

from blocking import Call, close_calls, waiting_for  # noqa: F401 (a fixture)
from helpers import reply_or_error, wait_until
from servers import free_port
from test_il_lock import info, lock, unlock


def nodes(new_server):
    """Two nodes that know each other; the first has all slots."""
    buses = [free_port(), free_port()]
    first, second = (new_server(config=["--cluster-enabled", "yes", "--cluster-port", bus]) for bus in buses)
    a, b = first.client(), second.client()
    a.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    a.execute_command("CLUSTER MEET", "127.0.0.1", second.port, buses[1])
    for client in (a, b):
        wait_until(lambda: cluster_info(client)["cluster_known_nodes"] == "2", 20)
        wait_until(lambda: cluster_info(client)["cluster_state"] == "ok", 20)
    return first, second, a, b


def cluster_info(client):
    reply = client.execute_command("CLUSTER INFO")
    if isinstance(reply, dict):
        return {str(key): str(value) for key, value in reply.items()}
    return dict(line.split(":", 1) for line in reply.decode().split("\r\n") if ":" in line)


def test_a_node_serves_its_own_keys(new_server):
    first, _, a, b = nodes(new_server)
    lock(a, "l", "me")
    call = Call(first, "IL.LOCK", "l", "you", "WAIT", 20_000)
    waiting_for(a, "l", 1)
    a.delete("l")
    assert call.reply()[1] == 1
    assert isinstance(lock(b, "l", "me"), redis.exceptions.MovedError)


def test_those_who_wait_for_a_key_that_moves_are_sent_away(new_server):
    first, second, a, b = nodes(new_server)
    token, _ = lock(a, "l", "me")
    calls = [Call(first, "IL.LOCK", "l", f"owner {n}", "WAIT", 0) for n in range(3)]
    waiting_for(a, "l", 3)
    slot = a.execute_command("CLUSTER KEYSLOT", "l")
    mine, other = (c.execute_command("CLUSTER MYID").decode() for c in (a, b))
    wait_until(lambda: mine in str(b.execute_command("CLUSTER NODES")), 20)
    b.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", mine)
    a.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", other)
    assert a.execute_command("MIGRATE", "127.0.0.1", second.port, "l", 0, 5000) == b"OK"
    for call in calls:
        reply = call.reply()
        assert isinstance(reply, redis.exceptions.TryAgainError), reply
    for c in (b, a):
        c.execute_command("CLUSTER SETSLOT", slot, "NODE", other)
    assert info(b, "l")["token"] == token and unlock(b, "l", "me") == 0
    assert lock(b, "l", "you")[0] > token
    assert not isinstance(reply_or_error(lambda: a.execute_command("IL.LOCK", "l", "he")), list)
