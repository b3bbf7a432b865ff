"""RG.PYLOAD, RG.PYEXECUTESHA, RG.PYEXISTS: a script is sent once and can be called for ever."""

import hashlib

import pytest
import redis

from helpers import LANES, in_lane, wait_until

SOURCE = "GB('ShardsIDReader').map(lambda shard: execute('INCR', 'n')).run()"
SUM = hashlib.sha1(SOURCE.encode()).hexdigest()


@pytest.mark.parametrize("lane", LANES)
def test_every_lane(server, r, lane):
    assert in_lane(server, lane, "RG.PYLOAD", SOURCE) == SUM.encode()
    assert in_lane(server, lane, "RG.PYEXISTS", SUM, "0" * 40, SUM.upper()) == [1, 0, 1]
    for number in (1, 2):
        assert in_lane(server, lane, "RG.PYEXECUTESHA", SUM) == [[str(number).encode()], []]
    assert r.get("n") == b"2"


def test_options_are_those_of_pyexecute(r):
    r.execute_command("RG.PYLOAD", SOURCE)
    identity = r.execute_command("RG.PYEXECUTESHA", SUM, "UNBLOCKING", "SCOPE", "script")
    assert r.execute_command("RG.GETRESULTSBLOCKING", identity)[0] == [b"1"]
    r.execute_command("RG.DROPEXECUTION", identity)
    with pytest.raises(redis.ResponseError, match="^Unknown arguments were given: WHAT$"):
        r.execute_command("RG.PYEXECUTESHA", SUM, "WHAT")


def test_an_unknown_sum(r):
    for sum in ("0" * 40, b"\xff", "", SUM + "0"):
        with pytest.raises(redis.exceptions.ResponseError) as refused:
            r.execute_command("RG.PYEXECUTESHA", sum)
        assert "keep it with RG.PYLOAD first" in str(refused.value)
    for command in (("RG.PYLOAD",), ("RG.PYLOAD", "a", "b"), ("RG.PYEXECUTESHA",), ("RG.PYEXISTS",)):
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            r.execute_command(*command)


def test_it_is_not_lost(new_server):
    server, replica = new_server(config=["--appendonly", "yes", "--appendfsync", "always"]), new_server()
    server.client().execute_command("RG.PYLOAD", b"\xff binary \x00")
    c = replica.client()
    c.replicaof("127.0.0.1", server.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    server.client().execute_command("RG.PYLOAD", SOURCE)
    both = ("RG.PYEXISTS", SUM, hashlib.sha1(b"\xff binary \x00").hexdigest())
    wait_until(lambda: c.execute_command(*both) == [1, 1])
    server.kill()
    server.start()
    assert server.client().execute_command(*both) == [1, 1]
    c.replicaof("NO", "ONE")
    assert replica.restart() and replica.client().execute_command(*both) == [1, 1]
