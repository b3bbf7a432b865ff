"""Registrations survive: a restart from an RDB or an AOF, a kill, a full synchronisation, a failover."""

import string
import struct

import pytest
import redis

from gears import wait_freed
from helpers import plain, wait_until
from registrations import entries, ids, owned, register, sessions
from servers import ServerDied

SCRIPT = """
runs = execute('INCR', 'runs')
seen = []
def remember(words):
    seen.append(words[1])
    return len(seen)
GB('CommandReader').map(remember).register(trigger='remember', mode='sync')
GB('CommandReader').map(lambda w: 'async ' + w[1]).register(trigger='other')
GB('KeysReader').foreach(lambda x: execute('INCR', 'events')).register('user:*', mode='sync', eventTypes=['set'])
GB('ShardsIDReader').foreach(lambda x: execute('INCR', 'executions')).run()
"""


def shown(client):
    """What must be the same afterwards: everything but the statistics."""
    return [(entry["id"], entry["reader"], entry["desc"], entry["RegistrationData"]["mode"],
             entry["RegistrationData"]["args"]) for entry in entries(client)]


def set_up(client):
    register(client, SCRIPT, "ID", "mine", "DESCRIPTION", "words")
    first, second, third = ids(client)
    client.execute_command("RG.UNREGISTER", second)
    assert client.execute_command("RG.TRIGGER", "remember", "a") == [b"1"]
    wait_until(lambda: client.get("executions") == b"1")
    return shown(client), sessions(client), (first, third)


def check(client, before, writes=True):
    was, was_sessions, _ = before
    wait_until(lambda: len(ids(client)) == len(was), what="the registrations are back")
    assert shown(client) == was
    wait_until(lambda: sessions(client) == was_sessions)
    # The script was run again, but not what it does beside registering.
    assert (client.get("runs"), client.get("executions")) == (b"1", b"1")
    if writes:
        assert client.execute_command("RG.TRIGGER", "remember", "a") == [b"1"]
        events = int(client.get("events") or 0)
        client.set("user:1", 1)
        assert int(client.get("events")) == events + 1
        with pytest.raises(redis.ResponseError, match="^subcommand not found$"):
            client.execute_command("RG.TRIGGER", "other", 1)


@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
def test_rdb(new_server, isolation):
    server = new_server("ISOLATION", isolation)
    before = set_up(server.client())
    server.restart()
    check(server.client(), before)
    # And once more, from what was restored; new ids go on where the old ones ended.
    server.restart()
    client = server.client()
    check(client, before)
    register(client, "GB().register('new*')")
    numbers = [int(one.rsplit("-", 1)[1]) for one in ids(client)]
    assert len(set(numbers)) == 3 and numbers[-1] == max(numbers)
    for registration in ids(client):
        assert client.execute_command("RG.UNREGISTER", registration) == b"OK"
    wait_freed(client)
    server.restart()
    assert ids(server.client()) == []


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_aof_of_a_killed_server(new_server, preamble):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble])
    before = set_up(server.client())
    server.kill()
    server.start()
    check(server.client(), before)


def test_aof_that_was_rewritten(new_server):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    client = server.client()
    before = set_up(client)
    client.bgrewriteaof()
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"]
               and not client.info("persistence")["aof_rewrite_scheduled"], 20)
    server.kill()
    server.start()
    check(server.client(), before)


def test_debug_reload_changes_nothing(new_server):
    server = new_server()
    before = set_up(server.client())
    server.client().execute_command("DEBUG", "RELOAD")
    check(server.client(), before, writes=False)
    # Not even what the script has in its globals.
    assert server.client().execute_command("RG.TRIGGER", "remember", "a") == [b"2"]


def test_a_call_right_after_the_start_waits_for_its_script(new_server):
    server = new_server()
    register(server.client(), "import time\ntime.sleep(0.3)\nGB('CommandReader').map(lambda w: w[1]).register(trigger='t')")
    server.restart()
    assert server.client().execute_command("RG.TRIGGER", "t", "here") == [b"here"]


def test_replica_and_failover(new_server):
    primary, replica = new_server(), new_server()
    p, c = primary.client(), replica.client()
    # One before the full synchronisation, one after it; what the replica had itself goes.
    before = set_up(p)
    register(c, "GB().register('mine*')")
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    check(c, before, writes=False)
    register(p, "GB('CommandReader').map(lambda w: 'v1').register(trigger='late')", "ID", "late")
    wait_until(lambda: len(ids(c)) == 3)
    register(p, "GB('CommandReader').map(lambda w: 'v2').register(trigger='late')", "ID", "late", "UPGRADE")
    wait_until(lambda: shown(c) == shown(p) and sessions(c) == sessions(p))
    wait_until(lambda: owned(c) == 2, what="no orphan on the replica")
    # The replica's registrations do nothing: it gets their effects.
    p.set("user:1", 1)
    wait_until(lambda: c.get("events") == p.get("events") == b"1")
    assert all(entry["RegistrationData"]["numTriggered"] == 0 for entry in entries(c))
    p.execute_command("RG.UNREGISTER", before[2][0])
    wait_until(lambda: shown(c) == shown(p))
    primary.kill()
    c.replicaof("NO", "ONE")
    assert c.execute_command("RG.TRIGGER", "late") == [b"v2"]
    c.set("user:2", 1)
    assert c.get("events") == b"2"


def test_a_script_that_can_not_be_run_again_is_not_lost(new_server, tmp_path):
    helper = tmp_path / "its_helper.py"
    helper.write_text("word = 'here'")
    server = new_server()
    register(server.client(), f"import sys\nsys.path.append({str(tmp_path)!r})\nimport its_helper\n"
                              "GB('CommandReader').map(lambda w: its_helper.word).register(trigger='t')")
    helper.unlink()
    server.restart()
    wait_until(lambda: "can't be restored" in server.log(), what="a line in the log")
    with pytest.raises(redis.ResponseError):
        server.client().execute_command("RG.TRIGGER", "t")
    helper.write_text("word = 'back'")
    server.restart()
    assert server.client().execute_command("RG.TRIGGER", "t") == [b"back"]


@pytest.mark.parametrize("command", ["RG._SESSION", "RG._SESSION2"])
def test_the_internal_command_is_not_for_clients(r, command):
    with pytest.raises(redis.ResponseError, match="is for replicas and the AOF"):
        r.execute_command(command, "", "page")


def file_number(name, version):
    """How an RDB names what a module saved: nine letters of six bits each, and ten bits for the version."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    number = 0
    for letter in name:
        number = number << 6 | letters.index(letter)
    return struct.pack(">BQ", 0x81, number << 10 | version)


def test_a_file_of_a_newer_format_is_refused_and_not_dropped(new_server):
    server = new_server()
    register(server.client(), SCRIPT, "ID", "mine")
    server.client().save()
    server.stop()
    path = server.folder / "dump.rdb"
    saved = path.read_bytes()
    assert saved.count(file_number("il-gears1", 2)) == 1
    # Without the checksum, which eight zeros at the end stand for.
    path.write_bytes(saved.replace(file_number("il-gears1", 2), file_number("il-gears1", 3))[:-8] + bytes(8))
    with pytest.raises(ServerDied, match="il-gears1 version 3 was written by a newer module"):
        server.start()
    path.write_bytes(saved)
    server.start()
    wait_until(lambda: len(ids(server.client())) == 3)
